"""The simulator finds the bugs it is there for, and runs the same way for the same seed."""

from __future__ import annotations

import itertools
import os
from typing import Any

import pytest

from mpc.wire.v1.psi_ecdh_pb2 import SetSize
from protocols.errors import Misuse, PeerFault
from protocols.local import Outcome
from protocols.role import (
    Steps,
    compute,
    compute_fresh,
    draw,
    each,
    fork,
    read,
    receive,
    send,
)
from protocols.session import Session
from tests.protocols.toy import Role, install
from tests.sim.simulation import FaultAt, Seeded, Simulation

SEEDS = int(os.environ.get("JOINTCREDIT_SEEDS", "200"))
NUMBERS = {"alice": (3, 1, 4, 1, 5), "bob": (9, 2, 6, 5, 3), "carol": (5, 8, 9, 7, 9)}

pytestmark = pytest.mark.conformance


def squared(number: int) -> int:
    return number * number


def exchange(session: Session, params: Any) -> Steps[int]:
    """Everybody tells everybody the squares of its numbers, and adds up all it hears."""
    numbers = yield from read("numbers")

    def tell(peer: str) -> Steps[None]:
        for number in numbers:
            square = yield from compute(squared, number)
            salt = yield from draw(4)
            yield from send(peer, "squares", SetSize(count=square << 32 | int.from_bytes(salt)))

    def hear(peer: str) -> Steps[int]:
        total = 0
        for _ in numbers:
            message = yield from receive(peer, "squares", SetSize)
            total += message.count >> 32
        return total

    heard = yield from fork(
        each([tell(peer) for peer in session.others]), each([hear(peer) for peer in session.others])
    )
    return sum(heard[1]) + sum(squared(number) for number in numbers)


def simulate(monkeypatch: pytest.MonkeyPatch, role: Role, **options: Any) -> Simulation:
    plan, secrets = install(monkeypatch, dict.fromkeys(NUMBERS, role))
    sources = {name: {"numbers": lambda n=n: n} for name, n in NUMBERS.items()}
    return Simulation(plan, secrets, sources, **options)


def test_three_parties_come_to_one_total_under_every_schedule(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    total = sum(number * number for numbers in NUMBERS.values() for number in numbers)
    crashes = 0
    for seed in range(SEEDS):
        simulation = simulate(
            monkeypatch, exchange, schedule=Seeded(seed), window=1 + seed % 8, coins=seed
        )
        outcome = simulation.run()
        assert set(outcome.results.values()) == {total}, f"seed {seed}"
        crashes += outcome.crashes
    assert crashes > SEEDS


def test_the_same_seed_is_the_same_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(seed: int) -> tuple[Outcome, int]:
        simulation = simulate(monkeypatch, exchange, schedule=Seeded(seed))
        return simulation.run(), simulation.events

    assert run(7) == run(7)
    assert run(7) != run(8)


def test_all_that_is_sent_is_counted_once_whatever_happens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also what is sent for the first time by a party that has just come back."""
    calm = simulate(monkeypatch, exchange)
    sizes = calm.run().bytes_sent
    for event in range(calm.events):
        for fault in ("crash", "cut", "duplicate"):
            faulty = simulate(monkeypatch, exchange, schedule=FaultAt(event, fault))
            assert faulty.run().bytes_sent == sizes


def found_by_a_crash(monkeypatch: pytest.MonkeyPatch, role: Role) -> set[str]:
    """The codes with which runs end that crash once, at any event."""
    calm = simulate(monkeypatch, role)
    calm.run()
    codes = set()
    for event in range(calm.events):
        try:
            simulate(monkeypatch, role, schedule=FaultAt(event, "crash")).run()
        except Misuse as error:
            codes.add(error.code)
    return codes


_ticks = itertools.count()


def tick() -> int:
    """Not a function of its arguments."""
    return next(_ticks)


def told(number: int, session: Session) -> Steps[int]:
    def hear(peer: str) -> Steps[int]:
        return (yield from receive(peer, "ticks", SetSize)).count

    for peer in session.others:
        yield from send(peer, "ticks", SetSize(count=number))
    heard = yield from each([hear(peer) for peer in session.others])
    return sum(heard)


def test_a_role_that_is_not_deterministic_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def role(session: Session, params: Any) -> Steps[int]:
        return (yield from told(tick(), session))

    assert found_by_a_crash(monkeypatch, role) == {"replay-differs"}


def test_work_that_draws_its_own_randomness_must_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgotten(session: Session, params: Any) -> Steps[int]:
        number = yield from compute(tick)
        return (yield from told(number, session))

    def stated(session: Session, params: Any) -> Steps[int]:
        number = yield from compute_fresh(tick)
        return (yield from told(number, session))

    monkeypatch.setattr("tests.sim.simulation._compute", lambda effect: effect.call(*effect.args))
    assert found_by_a_crash(monkeypatch, forgotten) == {"replay-differs"}
    assert found_by_a_crash(monkeypatch, stated) == set()


def test_a_two_sided_exchange_without_branches_waits_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All are at sending more than a window holds, and nobody at receiving."""

    def role(session: Session, params: Any) -> Steps[None]:
        for peer in session.others:
            for number in range(5):
                yield from send(peer, "numbers", SetSize(count=number))
        for peer in session.others:
            for _ in range(5):
                yield from receive(peer, "numbers", SetSize)

    simulate(monkeypatch, role, window=5).run()
    with pytest.raises(Misuse) as end:
        simulate(monkeypatch, role, window=4).run()
    assert end.value.code == "deadlock"


def test_a_role_that_leaves_something_unread_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def role(session: Session, params: Any) -> Steps[None]:
        yield from send(session.others[0], "numbers", SetSize(count=1))
        yield from draw(1)

    with pytest.raises(PeerFault) as end:
        simulate(monkeypatch, role).run()
    assert end.value.code in ("frame-unread", "frame-after-the-end")


def test_parties_that_saw_different_frames_do_not_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """One byte on one lane, that the role itself cannot tell from another."""
    changes = 0

    def tamper(received: Any) -> Any:
        nonlocal changes
        if getattr(received, "payload", b"")[-1:] == b"\x01" and not changes:
            changes += 1
            received = type(received).FromString(received.SerializeToString())
            received.payload = received.payload[:-1] + b"\x02"
        return [received]

    def role(session: Session, params: Any) -> Steps[int]:
        return (yield from told(1, session))

    with pytest.raises(PeerFault) as end:
        simulate(monkeypatch, role, tamper=tamper).run()
    assert (changes, end.value.code) == (1, "transcript-differs")
