"""A party that says anything at all in place of any of its messages.

Its frames are well-formed and its receipts are over what it really sent, so nothing but what the
messages say can give it away. No honest party may then crash, or come to a result that the liar
could not have brought about by lying about its own input. An honest party blames the liar, except
where the lie shows first at a third party (``Case.unattributed``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from mpc.wire import Message
from protocols.errors import Misuse, PeerFault
from protocols.role import Effect, Send
from tests.protocols.adversary import Liar, changed_fields, observing
from tests.protocols.case import Case, Run, simulate
from tests.sim.simulation import RECEIPTS

pytestmark = pytest.mark.conformance


@dataclass(frozen=True)
class Sent:
    """Message number ``number`` from ``sender`` to ``to`` on ``lane``."""

    sender: str
    to: str
    lane: str
    number: int
    message: Message


def sent_by_all(run: Run) -> list[Sent]:
    seen: list[Sent] = []
    numbers: dict[tuple[str, str, str], int] = {}

    def note(name: str, effect: Effect) -> None:
        if isinstance(effect, Send):
            lane = name, effect.to, effect.lane
            number = numbers[lane] = numbers.get(lane, -1) + 1
            seen.append(Sent(*lane, number, effect.message))

    simulation = simulate(run, wrap=observing(note))
    simulation.run()
    return seen


def first_and_last(messages: list[Sent]) -> list[Sent]:
    """Of every lane."""
    ends: dict[tuple[str, str, str, bool], Sent] = {}
    for sent in messages:
        ends[sent.sender, sent.to, sent.lane, sent.number > 0] = sent
    return list(ends.values())


def lies(run: Run) -> Iterator[tuple[str, Sent, Liar]]:
    for sent in first_and_last(sent_by_all(run)):
        for what, other in changed_fields(sent.message):
            text = f"{sent.sender} to {sent.to} on {sent.lane} {sent.number}: {what}"
            yield text, sent, Liar(sent.sender, sent.to, sent.lane, sent.number, other)


def test_no_lie_harms_more_than_a_lie_about_ones_input(case: Case) -> None:
    run = case.make(0)
    accepted = set()
    for text, sent, liar in lies(run):
        simulation = simulate(run, wrap=liar, hostile=sent.sender)
        try:
            outcome = simulation.run()
        except PeerFault as fault:
            assert simulation.where != RECEIPTS, text
            named = set(fault.culprit.split("+"))
            assert sent.sender in named or sent.lane in case.unattributed, f"{text}: {fault}"
        except Misuse as error:
            # The liar has stopped, and those who wait for it will do so until their deadline.
            assert error.code == "deadlock", f"{text}: {error!r} at {simulation.where}"
        else:
            accepted.add(sent.lane)
            for name, result in outcome.results.items():
                if name != sent.sender:
                    assert case.plausible(run.expected[name], case.plain(result)), text
    assert accepted <= case.malleable
