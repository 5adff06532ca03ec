"""Lanes: what each end takes, refuses, keeps and hashes."""

from __future__ import annotations

import random

import pytest

from mpc.errors import Malformed
from mpc.wire.v1.session_pb2 import Credit, Frame
from protocols.frames import MOST_LANES, MOST_PAYLOAD, MOST_WINDOW, Lanes
from tests.protocols.adversary import changed

SESSION = bytes(range(32))


def ends(window: int = 3) -> tuple[Lanes, Lanes]:
    """Party 0 and party 1 of a session, each towards the other."""
    return Lanes(SESSION, 0, 1, window), Lanes(SESSION, 1, 0, window)


def refusal(lanes: Lanes, received: Frame | Credit) -> str:
    with pytest.raises(Malformed) as malformed:
        if isinstance(received, Frame):
            lanes.deliver(received)
        else:
            lanes.credit(received)
    return malformed.value.code


def test_frames_are_numbered_from_zero_on_every_lane() -> None:
    a, _ = ends()
    frames = [a.frame(lane, "kind", b"") for lane in ("x", "y", "x")]
    assert [(f.lane, f.sequence) for f in frames] == [("x", 0), ("y", 0), ("x", 1)]
    assert {(f.session_id, f.sender, f.receiver) for f in frames} == {(SESSION, 0, 1)}


def test_a_frame_again_is_dropped_and_a_frame_ahead_refused() -> None:
    a, b = ends()
    first, second, third = (a.frame("x", "kind", bytes([n])) for n in range(3))
    assert b.deliver(first)
    assert not b.deliver(first)
    assert refusal(b, third) == "frame-gap"
    assert b.deliver(second)
    b.incoming("x").take()
    assert not b.deliver(first)


def test_a_reader_holds_what_the_contract_says_whatever_its_own_window() -> None:
    a, b = ends(window=2)
    for n in range(MOST_WINDOW):
        b.deliver(a.frame("x", "kind", bytes([n])))
    assert refusal(b, a.frame("x", "kind", b"too many")) == "window-exceeded"


def test_the_window_counts_what_was_consumed_not_what_arrived() -> None:
    a, b = ends(window=2)
    for n in range(3):
        b.deliver(a.frame("x", "kind", bytes([n])))
    assert not a.outgoing("x").open
    b.incoming("x").take()
    a.credit(b.credit_for("x"))
    assert not a.outgoing("x").open  # three were sent, one consumed
    b.incoming("x").take()
    a.credit(b.credit_for("x"))
    assert a.outgoing("x").open


def test_credits_only_ever_add() -> None:
    a, b = ends()
    for n in range(3):
        b.deliver(a.frame("x", "kind", bytes([n])))
    credits = []
    for _ in range(3):
        b.incoming("x").take()
        credits.append(b.credit_for("x"))
    a.credit(credits[2])
    a.credit(credits[0])
    a.credit(credits[2])
    assert a.outgoing("x").consumed == 3
    assert refusal(a, changed(credits[2], consumed=4)) == "credit-too-high"
    assert refusal(a, changed(credits[2], lane="y")) == "credit-lane"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"session_id": bytes(32)}, "wrong-session"),
        ({"session_id": SESSION[:31]}, "wrong-session"),
        ({"sender": 1}, "wrong-party"),
        ({"sender": 2}, "wrong-party"),
        ({"receiver": 0}, "wrong-party"),
        ({"receiver": 2}, "wrong-party"),
        ({"lane": ""}, "lane-name"),
        ({"lane": "X"}, "lane-name"),
        ({"lane": "x\n"}, "lane-name"),
        ({"lane": "-x"}, "lane-name"),
        ({"lane": "x" * 32}, "lane-name"),
        ({"lane": "é"}, "lane-name"),
        ({"sequence": 1}, "frame-gap"),
        ({"payload": bytes(MOST_PAYLOAD + 1)}, "payload-too-large"),
    ],
)
def test_frames_out_of_place_are_refused(fields: dict[str, object], code: str) -> None:
    a, b = ends()
    assert refusal(b, changed(a.frame("x", "kind", b"payload"), **fields)) == code


def test_a_peer_cannot_open_any_number_of_lanes() -> None:
    a, b = ends()
    for n in range(MOST_LANES):
        b.deliver(a.frame(f"lane-{n}", "kind", b""))
    assert refusal(b, a.frame("one-more", "kind", b"")) == "too-many-lanes"


def test_a_new_connection_gets_what_was_not_consumed() -> None:
    a, b = ends(window=8)
    frames = [a.frame("x", "kind", bytes([n])) for n in range(4)]
    b.deliver(frames[0])
    b.deliver(frames[1])
    b.incoming("x").take()
    assert list(b.resend()) == [b.credit_for("x")]
    a.credit(b.credit_for("x"))
    assert list(a.resend()) == frames[1:]
    for frame in a.resend():
        b.deliver(frame)
    assert [b.incoming("x").take().payload for _ in range(3)] == [b"\1", b"\2", b"\3"]


@pytest.mark.parametrize("seed", range(20))
def test_both_ends_hash_the_same_whatever_the_order(seed: int) -> None:
    """Lanes both ways, delivered late, twice and interleaved at random."""
    coins = random.Random(seed)
    a, b = ends(window=4)
    for _ in range(200):
        sender, receiver = coins.choice([(a, b), (b, a)])
        lane = coins.choice("xyz")
        if sender.outgoing(lane).open:
            sender.frame(lane, coins.choice(["kind", "other"]), coins.randbytes(3))
        for frame in list(sender.resend()):
            known = isinstance(frame, Frame) and receiver.incoming(frame.lane).received
            if isinstance(frame, Frame) and frame.sequence <= known and coins.random() < 0.5:
                receiver.deliver(frame)
        if receiver.incoming(lane).waiting:
            receiver.incoming(lane).take()
            sender.credit(receiver.credit_for(lane))
    for sender, receiver in ((a, b), (b, a)):
        for lane in "xyz":
            for frame in sender.outgoing(lane).pending:
                receiver.deliver(frame)
            while receiver.incoming(lane).waiting:
                receiver.incoming(lane).take()
    assert a.digest() == b.digest()
    a.frame("x", "kind", b"one more")
    assert a.digest() != b.digest()


def test_the_digest_tells_any_two_transcripts_apart() -> None:
    transcripts = [
        [("x", "kind", b"ab"), ("x", "kind", b"c")],
        [("x", "kind", b"a"), ("x", "kind", b"bc")],
        [("x", "kind", b"c"), ("x", "kind", b"ab")],
        [("x", "kind", b"abc")],
        [("x", "kind", b"ab"), ("y", "kind", b"c")],
        [("y", "kind", b"ab"), ("x", "kind", b"c")],
        [("x", "kind", b"ab"), ("x", "kinder", b"c")],
        [("x", "kind", b"ab"), ("x", "kind", b"c"), ("x", "kind", b"")],
        [("x", "kind", b"ab"), ("x", "kind", b"c"), ("y", "kind", b"")],
        [],
    ]
    digests = set()
    for frames in transcripts:
        a, _ = ends()
        for lane, kind, payload in frames:
            a.frame(lane, kind, payload)
        digests.add(a.digest())
    assert len(digests) == len(transcripts)


def test_the_digest_depends_on_session_and_direction() -> None:
    def digest(session: bytes, me: int, peer: int) -> bytes:
        lanes = Lanes(session, me, peer)
        lanes.frame("x", "kind", b"payload")
        return lanes.digest()

    assert len({digest(SESSION, 0, 1), digest(SESSION, 1, 0), digest(bytes(32), 0, 1)}) == 3
    assert len({digest(SESSION, 0, 1), digest(SESSION, 0, 2), digest(SESSION, 2, 1)}) == 3
