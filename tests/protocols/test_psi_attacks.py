"""Attacks on the Diffie-Hellman intersection, carried out by the firm against the bank."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mpc.curve25519 import tag_bytes
from mpc.wire.v1.psi_ecdh_pb2 import SetSize
from mpc.wire.v1.session_pb2 import Block, Frame
from protocols.errors import Misuse, PeerFault
from protocols.match import blind, raise_and_tag
from protocols.plan import Plan
from protocols.role import Compute, Effect, Send, Steps, draw, read, receive, send
from protocols.stream import receive_vector, send_vector
from tests.protocols.adversary import changed, observing, rewriting
from tests.protocols.case import Run, digests, simulate, suppliers
from tests.protocols.psi_cases import psi_plain, psi_run, psi_run_of
from tests.protocols.score_cases import score_run
from tests.sim.simulation import Wrap

ROWS, COUNT = 1, 2
P = 2**255 - 19


@pytest.fixture(autouse=True)
def four_points_to_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protocols.stream.BLOCK_BYTES", 128)
    monkeypatch.setattr("protocols.match.CHUNK", 4)


def refused(run: Run, wrap: Wrap, by: str = "bank", culprit: str = "firm") -> str:
    """The code with which ``by`` blames ``culprit``."""
    simulation = simulate(run, wrap=wrap, hostile=culprit)
    with pytest.raises(PeerFault) as fault:
        simulation.run()
    assert (simulation.where, fault.value.culprit) == (by, culprit)
    return fault.value.code


Change = Callable[[NDArray[np.uint8]], None]
"""Changes a whole vector in place."""


def changing(lane: str, count: int, change: Change) -> Wrap:
    """The firm sends ``count`` elements on ``lane`` as ``change`` would have them.

    ``change`` sees the elements sent so far, and zeros where others will follow.
    """
    sent = 0
    vector: NDArray[np.uint8] | None = None

    def rewrite(effect: Effect) -> Effect:
        nonlocal sent, vector
        if not isinstance(effect, Send) or effect.lane != lane:
            return effect
        block = effect.message
        assert isinstance(block, Block)
        if vector is None:
            vector = np.zeros((count, block.width), dtype=np.uint8)
        here = slice(sent, sent + block.count)
        vector[here] = np.frombuffer(block.data, np.uint8).reshape(-1, block.width)
        sent += block.count
        wanted = vector.copy()
        change(wanted)
        return Send(effect.to, lane, changed(block, data=wanted[here].tobytes()))

    return lambda name, steps: rewriting(steps, rewrite) if name == "firm" else steps


def put(at: int, value: bytes) -> Change:
    def change(vector: NDArray[np.uint8]) -> None:
        vector[at] = np.frombuffer(value, dtype=np.uint8)

    return change


def copy(source: int, target: int) -> Change:
    def change(vector: NDArray[np.uint8]) -> None:
        vector[target] = vector[source]

    return change


THEIRS = 11  # three blocks
PLACES = {"first": 0, "end of a block": 3, "middle": 5, "last": THEIRS - 1}


@pytest.mark.parametrize("at", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("reveal", [ROWS, COUNT])
@pytest.mark.parametrize(
    ("point", "code"),
    [
        (0, "point-low-order"),
        (1, "point-low-order"),
        (P - 1, "point-low-order"),
        (
            325606250916557431795983626356110631294008115727848805560023387167927233504,
            "point-low-order",
        ),
        (
            39382357235489614581723060781553021112529911719440698176882885853963445705823,
            "point-low-order",
        ),
        (P, "point-not-canonical"),
        (P + 1, "point-not-canonical"),
        (P + 9, "point-not-canonical"),
        (2**255 - 1, "point-not-canonical"),
        (2**255 + 9, "point-not-canonical"),
        (2**256 - 1, "point-not-canonical"),
    ],
)
def test_a_point_that_is_none_is_refused_wherever_it_stands(
    point: int, code: str, reveal: int, at: int
) -> None:
    run = psi_run(reveal=reveal, theirs=THEIRS)
    wrap = changing("points", THEIRS, put(at, point.to_bytes(32, "little")))
    assert refused(run, wrap) == code


@pytest.mark.parametrize(("source", "target"), [(0, 1), (0, 5), (3, 4), (0, THEIRS - 1)])
@pytest.mark.parametrize("reveal", [ROWS, COUNT])
def test_a_point_sent_twice_is_refused(reveal: int, source: int, target: int) -> None:
    """It would count twice, in one block or in two."""
    run = psi_run(reveal=reveal, theirs=THEIRS)
    assert refused(run, changing("points", THEIRS, copy(source, target))) == "point-repeated"


@pytest.mark.parametrize(("source", "target"), [(0, 1), (0, 8)])
@pytest.mark.parametrize("reveal", [ROWS, COUNT])
def test_an_echo_that_holds_a_tag_twice_is_refused(reveal: int, source: int, target: int) -> None:
    """Or one common item could be made to look like several."""
    run = psi_run(reveal=reveal, mine=9)
    assert refused(run, changing("echo", 9, copy(source, target))) == "echo-repeated"


@pytest.mark.parametrize("reveal", [ROWS, COUNT])
@pytest.mark.parametrize("to_both", [False, True])
@pytest.mark.parametrize("at", [0, THEIRS - 1])
def test_reflected_points_are_refused(reveal: int, to_both: bool, at: int) -> None:
    """One of the bank's own points among the firm's would always match, whatever its item."""

    def reflecting() -> Steps[None]:
        yield from send("bank", "size", SetSize(count=THEIRS))
        size = yield from receive("bank", "size", SetSize)
        theirs = yield from receive_vector("bank", "points", 32, size.count)
        scalar = yield from draw(32)
        items = yield from read("items")
        points = blind(items, scalar, b"whatever").copy()
        points[at] = theirs[0]
        yield from send_vector("bank", "points", points)
        tags = raise_and_tag(theirs, scalar, b"whatever", tag_bytes(20, 20))
        yield from send_vector("bank", "echo", tags)

    run = psi_run(reveal=reveal, to_both=to_both, theirs=THEIRS)

    def wrap(name: str, steps: Steps[Any]) -> Steps[Any]:
        if name != "firm":
            return steps
        steps.close()
        return reflecting()

    assert refused(run, wrap) == "point-reflected"


@pytest.mark.parametrize("size", [0, 4, 21, 2**63])
def test_a_set_outside_the_plans_bounds_is_refused(size: int) -> None:
    """The firm says so, and would be told nothing of the bank's points in return."""
    run = bounded(psi_run())

    def rewrite(effect: Effect) -> Effect:
        if isinstance(effect, Send) and effect.lane == "size":
            return Send(effect.to, effect.lane, SetSize(count=size))
        return effect

    def wrap(name: str, steps: Steps[Any]) -> Steps[Any]:
        return rewriting(steps, rewrite) if name == "firm" else steps

    simulation = simulate(run, wrap=wrap, hostile="firm")
    with pytest.raises(PeerFault) as fault:
        simulation.run()
    assert (fault.value.culprit, fault.value.code) == ("firm", "set-outside-plan")
    assert {frame.lane for frame in simulation.frames if frame.sender == 0} == {"size"}


@pytest.mark.parametrize("size", [0, 4, 21])
def test_a_set_of_ones_own_outside_the_plans_bounds_never_leaves(size: int) -> None:
    data = {"bank": suppliers("bank", 0, size), "firm": suppliers("firm", 0, 7)}
    simulation = simulate(bounded(psi_run_of(data, reveal=ROWS, to_both=True)))
    with pytest.raises(Misuse) as misuse:
        simulation.run()
    assert (simulation.where, misuse.value.code) == ("bank", "rows-outside-plan")
    assert not [frame for frame in simulation.frames if frame.sender == 0]


def bounded(run: Run) -> Run:
    """The same run under a plan that wants 5 to 20 identifiers of each party."""
    message = run.plan.message
    for party in message.parties:
        party.input.min_rows = 5
    return replace(run, plan=Plan.build(message))


@pytest.mark.parametrize(("mine", "theirs"), [(1, 1), (1, 12), (4, 4), (5, 8), (20, 20)])
@pytest.mark.parametrize("common", [0, 1])
@pytest.mark.parametrize("reveal", [ROWS, COUNT])
def test_the_smallest_and_the_largest_sets(
    mine: int, theirs: int, common: int, reveal: int
) -> None:
    shared = suppliers("common", 0, common)
    data = {
        "bank": [*suppliers("bank", 0, mine - common), *shared],
        "firm": [*shared, *suppliers("firm", 0, theirs - common)],
    }
    run = psi_run_of(data, reveal=reveal, to_both=True)
    results = simulate(run).run().results
    assert {name: psi_plain(result) for name, result in results.items()} == run.expected


def test_tags_are_as_wide_as_the_plans_sizes_demand() -> None:
    """40 bits, and the 400 pairs that two sets of 20 can make: 49 bits, 7 bytes."""
    echoed = [f for f in simulate(psi_run()).run().frames if f.lane == "echo"]
    assert {Block.FromString(frame.payload).width for frame in echoed} == {7}


def points_sent(frames: tuple[Frame, ...], by: int) -> set[bytes]:
    return set(_rows(frames, by, "points"))


def _rows(frames: tuple[Frame, ...], by: int, lane: str) -> Iterator[bytes]:
    for frame in frames:
        if (frame.sender, frame.lane) == (by, lane):
            block = Block.FromString(frame.payload)
            for at in range(block.count):
                yield block.data[at * block.width : (at + 1) * block.width]


def test_no_point_or_tag_comes_up_in_two_sessions() -> None:
    """Fresh scalars and session ids: the same items cannot be recognised."""
    first, second = (simulate(psi_run(), coins=coins).run().frames for coins in (1, 2))
    for party in (0, 1):
        for lane in ("points", "echo"):
            assert len(set(_rows(first, party, lane))) >= 7
            assert set(_rows(first, party, lane)).isdisjoint(_rows(second, party, lane))


def test_items_are_hashed_anew_for_every_session_and_pair() -> None:
    """Even two sessions with the same scalar have no point in common."""
    domains: set[bytes] = set()

    def note(name: str, effect: Effect) -> None:
        if isinstance(effect, Compute) and effect.call is blind:
            domains.add(effect.args[2])

    for coins in range(3):
        simulate(psi_run(), coins=coins, wrap=observing(note)).run()
    assert len(domains) == 3
    two_pairs = score_run(0, "score-two-holders", ("shop", "telecom"))
    simulate(two_pairs, wrap=observing(note)).run()
    assert len(domains) == 5
    items = digests(suppliers("common", 0, 5))
    points = [row.tobytes() for each in domains for row in blind(items, bytes(32), each)]
    assert len(set(points)) == 5 * len(domains)


def test_common_items_do_not_show_in_what_passes() -> None:
    """The two parties' points for the same item differ, and so do the tags they echo."""
    data = {"bank": suppliers("common", 0, 9), "firm": suppliers("common", 0, 9)}
    frames = simulate(psi_run_of(data, reveal=ROWS, to_both=True)).run().frames
    assert points_sent(frames, 0).isdisjoint(points_sent(frames, 1))
