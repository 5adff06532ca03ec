"""Whatever happens to a message on its way ends the session, and never in a result.

Frames are changed between two honest machines, so every change, even one to another message just
as valid, must show: at once as a ``PeerFault`` naming the sender, or in the receipts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from mpc.wire.v1.session_pb2 import Credit, Frame
from protocols.errors import Misuse, PeerFault
from protocols.local import Outcome
from tests.protocols.adversary import (
    InTransit,
    changed,
    changed_envelopes,
    changed_payloads,
    place_of,
)
from tests.protocols.case import Case, Run, simulate
from tests.sim.simulation import RECEIPTS, Tamper

pytestmark = pytest.mark.conformance


def ends_of_lanes(outcome: Outcome) -> list[Frame]:
    """The first and the last frame of every lane."""
    first: dict[tuple[int, int, str], Frame] = {}
    last: dict[tuple[int, int, str], Frame] = {}
    for frame in outcome.frames:
        lane = frame.sender, frame.receiver, frame.lane
        first.setdefault(lane, frame)
        last[lane] = frame
    return list({place_of(f): f for f in (*first.values(), *last.values())}.values())


def faulted(run: Run, tamper: Tamper) -> tuple[str, PeerFault]:
    """Where the session ended, and how."""
    simulation = simulate(run, tamper=tamper)
    with pytest.raises(PeerFault) as fault:
        simulation.run()
    return simulation.where, fault.value


def test_a_changed_envelope_is_refused_by_its_receiver(case: Case) -> None:
    run = case.make(0)
    names = run.plan.names
    for frame in ends_of_lanes(simulate(run).run()):
        for what, code, instead in changed_envelopes(frame):
            where, fault = faulted(run, InTransit(place_of(frame), instead))
            found = (where, fault.culprit, fault.code)
            expected = (names[frame.receiver], names[frame.sender], code)
            assert found == expected, f"{what} on {frame.lane}"


def test_what_is_no_message_is_refused_by_its_receiver(case: Case) -> None:
    run = case.make(0)
    names = run.plan.names
    for frame in ends_of_lanes(simulate(run).run()):
        for what, codes, instead in changed_payloads(frame):
            where, fault = faulted(run, InTransit(place_of(frame), [instead]))
            assert (where, fault.culprit) == (names[frame.receiver], names[frame.sender]), what
            assert fault.code in codes, f"{what} on {frame.lane}"


def test_no_changed_byte_passes_unnoticed(case: Case) -> None:
    """What its receiver cannot tell from an honest message shows in the signed receipts."""
    run = case.make(0)
    names = run.plan.names
    in_receipts = set()
    for frame in ends_of_lanes(simulate(run).run()):
        other = bytearray(frame.payload)
        if not other:
            continue
        other[len(other) // 2] ^= 4
        instead = changed(frame, payload=bytes(other))
        where, fault = faulted(run, InTransit(place_of(frame), [instead]))
        if where == RECEIPTS:
            assert fault.code == "transcript-differs"
            in_receipts.add(frame.lane)
        else:
            assert where in names
    assert in_receipts <= case.malleable


def test_a_lost_frame_never_ends_in_a_result(case: Case) -> None:
    """Everybody waits, or somebody notices the gap; a node gives up at its deadline."""
    run = case.make(0)
    for frame in ends_of_lanes(simulate(run).run()):
        with pytest.raises((Misuse, PeerFault)) as end:
            simulate(run, tamper=InTransit(place_of(frame), [])).run()
        assert end.value.code in ("deadlock", "frame-gap"), frame.lane


def test_a_frame_from_nobody_is_the_links_mistake(case: Case) -> None:
    """Whose a connection is, the node must check; a machine can but refuse who is nobody."""
    run = case.make(0)
    frame = simulate(run).run().frames[0]
    for sender in (frame.receiver, len(run.plan.names), 2**32 - 1):
        instead = [changed(frame, sender=sender)]
        simulation = simulate(run, tamper=InTransit(place_of(frame), instead))
        with pytest.raises(Misuse) as end:
            simulation.run()
        assert (simulation.where, end.value.code) == (
            run.plan.names[frame.receiver],
            "frame-from-nobody",
        )


def test_a_frame_of_another_session_is_refused(case: Case) -> None:
    """The same plan, the same data, only another run of it."""
    run = case.make(0)
    names = run.plan.names
    earlier = {place_of(frame): frame for frame in simulate(run, coins=1).run().frames}
    for frame in ends_of_lanes(simulate(run).run()):
        instead = [earlier[place_of(frame)]]
        where, fault = faulted(run, InTransit(place_of(frame), instead))
        assert (where, fault.culprit) == (names[frame.receiver], names[frame.sender])
        assert fault.code == "wrong-session"


def test_frames_after_the_end_are_refused_and_old_ones_ignored(case: Case) -> None:
    run = case.make(0)
    for frame in ends_of_lanes(simulate(run).run()):
        finished = simulate(run)
        finished.run()
        machine = finished.nodes[run.plan.names[frame.receiver]].machine
        machine.deliver(frame)
        lane = [place_of(f)[3] for f in finished.frames if place_of(f)[:3] == place_of(frame)[:3]]
        with pytest.raises(PeerFault) as fault:
            machine.deliver(changed(frame, sequence=max(lane) + 1))
        assert fault.value.culprit == run.plan.names[frame.sender]
        assert fault.value.code == "frame-after-the-end"


def test_a_frame_that_nobody_reads_is_refused(case: Case) -> None:
    """It may not be left out of the transcript, nor stay in it unread."""
    run = case.make(0)
    frame = simulate(run).run().frames[0]
    extra = changed(frame, lane="nobody-reads-this", sequence=0)
    where, fault = faulted(run, InTransit(place_of(frame), [frame, extra]))
    assert (where, fault.culprit) == (
        run.plan.names[frame.receiver],
        run.plan.names[frame.sender],
    )
    assert fault.code == "frame-unread"


def test_credits_for_what_was_not_sent_are_refused(case: Case) -> None:
    run = case.make(0)
    names = run.plan.names
    for credit in _first_credits(run):
        for what, code, instead in _changed_credits(credit):
            where, fault = faulted(run, _FirstCredit(credit, [instead]))
            found = (where, fault.culprit, fault.code)
            assert found == (names[credit.receiver], names[credit.sender], code), what


def test_credits_may_come_again_late_or_not_at_all(case: Case) -> None:
    """Each one says how much was consumed all told, so that only the last one matters."""
    run = case.make(0)
    for credit in _first_credits(run):
        older = changed(credit, consumed=0)
        for instead in ([credit, credit], [older], [credit, older], []):
            outcome = simulate(run, tamper=_FirstCredit(credit, instead)).run()
            results = {name: case.plain(result) for name, result in outcome.results.items()}
            assert results == run.expected


def _first_credits(run: Run) -> list[Credit]:
    """The first one of every lane."""
    seen: dict[tuple[int, int, str], Credit] = {}

    def note(received: Frame | Credit) -> Sequence[Frame | Credit]:
        if isinstance(received, Credit):
            seen.setdefault((received.sender, received.receiver, received.lane), received)
        return [received]

    simulate(run, tamper=note).run()
    return list(seen.values())


def _changed_credits(credit: Credit) -> Iterator[tuple[str, str, Credit]]:
    yield "far too much", "credit-too-high", changed(credit, consumed=2**64 - 1)
    yield "another lane", "credit-lane", changed(credit, lane="unheard-of")
    yield "ill-formed lane", "credit-lane", changed(credit, lane="../" + credit.lane)
    yield "another session", "wrong-session", changed(credit, session_id=bytes(32))
    yield "another receiver", "wrong-party", changed(credit, receiver=credit.sender)


class _FirstCredit:
    def __init__(self, credit: Credit, instead: Sequence[Frame | Credit]) -> None:
        self._credit, self._instead, self._done = credit, instead, False

    def __call__(self, received: Frame | Credit) -> Sequence[Frame | Credit]:
        if self._done or received != self._credit:
            return [received]
        self._done = True
        return self._instead
