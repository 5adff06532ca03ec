"""Errors say what went wrong in fixed words: never an identifier, a value or a key."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest

from protocols.errors import Cancelled, LinkLost, Misuse, PeerFault, Refused, SessionError
from protocols.role import Effect, Read
from tests.protocols.adversary import (
    InTransit,
    Liar,
    changed_envelopes,
    changed_fields,
    changed_payloads,
    observing,
    place_of,
)
from tests.protocols.case import Case, Run, simulate
from tests.protocols.leaks import traces_of_amount, traces_of_identifier
from tests.protocols.test_hostile_links import ends_of_lanes
from tests.protocols.test_lying_peers import first_and_last, sent_by_all

pytestmark = pytest.mark.conformance


def text_of(error: BaseException) -> bytes:
    """All that a log line or a status could take from it, but for the traceback."""
    return f"{error} {error!r} {error.args} {vars(error)}".encode(errors="replace")


def secrets_in(run: Run, error: BaseException) -> set[str]:
    text = text_of(error)
    return {
        name
        for party in run.plan.names
        for traces in (
            *map(traces_of_identifier, run.identifiers[party]),
            *map(traces_of_amount, run.amounts.get(party, ())),
        )
        for name, trace in traces
        if trace in text
    }


def ending(run: Run, **options: Any) -> SessionError:
    with pytest.raises(SessionError) as end:
        simulate(run, **options).run()
    return end.value


def endings(run: Run) -> Iterable[SessionError]:
    """One of every kind that a hostile link or peer can bring about at the first frames."""
    for frame in ends_of_lanes(simulate(run).run())[:2]:
        for _, _, instead in changed_envelopes(frame):
            yield ending(run, tamper=InTransit(place_of(frame), instead))
        for _, _, other in changed_payloads(frame):
            yield ending(run, tamper=InTransit(place_of(frame), [other]))
    for sent in first_and_last(sent_by_all(run)):
        for _, message in list(changed_fields(sent.message))[-2:]:
            liar = Liar(sent.sender, sent.to, sent.lane, sent.number, message)
            try:
                simulate(run, wrap=liar, hostile=sent.sender).run()
            except SessionError as error:
                yield error


def ports_read(run: Run) -> set[tuple[str, str]]:
    """(party, port) for all local data that the roles ask for."""
    seen: set[tuple[str, str]] = set()

    def note(name: str, effect: Effect) -> None:
        if isinstance(effect, Read):
            seen.add((name, effect.port))

    simulate(run, wrap=observing(note)).run()
    return seen


def with_source(run: Run, name: str, port: str, call: Callable[..., Any]) -> Run:
    return replace(run, sources={**run.sources, name: {**run.sources[name], port: call}})


def test_whatever_a_peer_does_no_secret_gets_into_an_error(case: Case) -> None:
    run = case.make(0)
    for error in endings(run):
        assert secrets_in(run, error) == set()


def test_what_a_source_says_when_it_fails_goes_no_further(case: Case) -> None:
    """A file that cannot be read often says at which value; that is for the node's own log."""
    run = case.make(0)
    for name, port in ports_read(run):

        def failing(*args: Any, name: str = name) -> Any:
            raise ValueError(f"cannot read {run.identifiers[name][0]!r}")

        error = ending(with_source(run, name, port, failing))
        assert isinstance(error, Misuse)
        assert (error.code, str(error)) == ("internal-error", "ValueError")
        assert secrets_in(run, error) == set()


def test_a_source_that_gives_something_else_is_our_own_fault(case: Case) -> None:
    run = case.make(0)
    for name, port in ports_read(run):
        given = run.identifiers[name][0]
        wrong = with_source(run, name, port, lambda *args, given=given: given)
        simulation = simulate(wrong)
        with pytest.raises(SessionError) as end:
            simulation.run()
        assert isinstance(end.value, Misuse)
        assert simulation.where == name
        assert secrets_in(run, end.value) == set()


def test_the_check_itself_finds_a_secret_in_an_error(case: Case) -> None:
    run = case.make(0)
    (party, *_) = run.plan.names
    item = run.identifiers[party][0]
    for error in (Misuse("code", f"row {item}"), PeerFault(item, "code")):
        assert secrets_in(run, error) == {"utf-8"}


def test_sessions_and_their_keys_do_not_show_secrets(case: Case) -> None:
    run = case.make(0)
    simulation = simulate(run)
    simulation.run()
    for node in simulation.nodes.values():
        shown = repr(node.session)
        for key in node.session.pair_keys.values():
            assert key.expose().hex() not in shown
            assert repr(key.expose()) not in shown


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (Misuse("rows-outside-plan", "too many rows"), "rows-outside-plan", "too many rows"),
        (Misuse("deadlock"), "deadlock", "deadlock"),
        (PeerFault("firm", "frame-gap"), "frame-gap", "firm: frame-gap"),
        (Refused("firm", "policy"), "policy", "firm refused: policy"),
        (Refused("firm", "policy", "line 3"), "policy", "firm refused: policy (line 3)"),
        (Cancelled("shutdown"), "shutdown", "cancelled: shutdown"),
        (Cancelled("shutdown", "firm"), "shutdown", "cancelled: shutdown (by firm)"),
        (LinkLost("firm", "deadline"), "deadline", "firm: deadline"),
    ],
)
def test_each_has_a_public_code_and_a_text(error: SessionError, code: str, text: str) -> None:
    assert (error.code, str(error)) == (code, text)
