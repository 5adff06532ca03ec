"""Lanes: numbered, windowed, hashed streams of messages between two parties of a session.

A lane runs one way, from one party to one other. The sender keeps every frame until the reader has
consumed it, so that a lost connection costs nothing; the reader drops what it has seen. Both chain
the same hash over what was sent and what was consumed: equal heads mean equal transcripts.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from mpc.errors import Malformed
from mpc.hashing import labelled_hash
from mpc.wire.v1.session_pb2 import Credit, Frame

LANE_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
MOST_LANES = 8
MOST_PAYLOAD = 512 << 10
MOST_WINDOW = 16
"""Unconsumed frames that a reader must hold, by the wire contract, whatever its own window is: with
the two bounds above at most 64 MiB a peer."""
WINDOW = 8


def _first_head(session_id: bytes, sender: int, receiver: int, lane: str) -> bytes:
    return labelled_hash("lane", session_id, bytes([sender]), bytes([receiver]), lane.encode())


def _next_head(head: bytes, frame: Frame) -> bytes:
    return labelled_hash(
        "frame", head, frame.sequence.to_bytes(8, "big"), frame.kind.encode(), frame.payload
    )


@dataclass
class Outgoing:
    """The sender's end of a lane."""

    head: bytes
    window: int
    sent: int = 0
    consumed: int = 0
    pending: deque[Frame] = field(default_factory=deque)

    @property
    def open(self) -> bool:
        """Whether another frame may leave: consumed frames count, not received ones."""
        return self.sent - self.consumed < self.window

    def add(self, frame: Frame) -> None:
        self.head = _next_head(self.head, frame)
        self.sent += 1
        self.pending.append(frame)

    def credit(self, consumed: int) -> None:
        if consumed > self.sent:
            raise Malformed("credit-too-high")
        while self.consumed < consumed:  # an older credit, seen again, changes nothing
            self.pending.popleft()
            self.consumed += 1


@dataclass
class Incoming:
    """The reader's end of a lane."""

    head: bytes
    received: int = 0
    consumed: int = 0
    waiting: deque[Frame] = field(default_factory=deque)

    def add(self, frame: Frame) -> bool:
        """Takes the frame in; ``False`` for one that was here before."""
        if frame.sequence < self.received:
            return False
        if frame.sequence > self.received:
            raise Malformed("frame-gap")
        if len(self.waiting) >= MOST_WINDOW:
            raise Malformed("window-exceeded")
        self.received += 1
        self.waiting.append(frame)
        return True

    def take(self) -> Frame:
        frame = self.waiting.popleft()
        self.head = _next_head(self.head, frame)
        self.consumed += 1
        return frame


class Lanes:
    """All lanes between this party and one peer; ``Malformed`` is what the peer got wrong.

    ``window`` bounds what this party has under way on a lane: 1 to ``MOST_WINDOW`` frames.
    """

    def __init__(self, session_id: bytes, me: int, peer: int, window: int = WINDOW) -> None:
        if not 1 <= window <= MOST_WINDOW:
            raise ValueError(f"a window is 1 to {MOST_WINDOW} frames")
        self._id, self._me, self._peer, self._window = session_id, me, peer, window
        self._out: dict[str, Outgoing] = {}
        self._in: dict[str, Incoming] = {}

    def outgoing(self, lane: str) -> Outgoing:
        if lane not in self._out:
            head = _first_head(self._id, self._me, self._peer, lane)
            self._out[lane] = Outgoing(head, self._window)
        return self._out[lane]

    def incoming(self, lane: str) -> Incoming:
        if lane not in self._in:
            if not LANE_NAME.fullmatch(lane):
                raise Malformed("lane-name")
            if len(self._in) >= MOST_LANES:
                raise Malformed("too-many-lanes")
            head = _first_head(self._id, self._peer, self._me, lane)
            self._in[lane] = Incoming(head)
        return self._in[lane]

    def frame(self, lane: str, kind: str, payload: bytes) -> Frame:
        """The next frame out; the caller has seen that the lane is open."""
        outgoing = self.outgoing(lane)
        frame = Frame(
            session_id=self._id,
            sender=self._me,
            receiver=self._peer,
            lane=lane,
            sequence=outgoing.sent,
            kind=kind,
            payload=payload,
        )
        outgoing.add(frame)
        return frame

    def deliver(self, frame: Frame) -> bool:
        self._check(frame)
        if len(frame.payload) > MOST_PAYLOAD:
            raise Malformed("payload-too-large")
        return self.incoming(frame.lane).add(frame)

    def credit(self, credit: Credit) -> None:
        self._check(credit)
        if credit.lane not in self._out:
            raise Malformed("credit-lane")
        self._out[credit.lane].credit(credit.consumed)

    def _check(self, received: Frame | Credit) -> None:
        if received.session_id != self._id:
            raise Malformed("wrong-session")
        if (received.sender, received.receiver) != (self._peer, self._me):
            raise Malformed("wrong-party")

    def credit_for(self, lane: str) -> Credit:
        return Credit(
            session_id=self._id,
            sender=self._me,
            receiver=self._peer,
            lane=lane,
            consumed=self._in[lane].consumed,
        )

    def resend(self) -> Iterable[Frame | Credit]:
        """What the peer may not have after a lost connection; it drops what it has."""
        for lane in sorted(self._in):
            if self._in[lane].consumed:
                yield self.credit_for(lane)
        for lane in sorted(self._out):
            yield from self._out[lane].pending

    def unread(self) -> bool:
        return any(incoming.waiting for incoming in self._in.values())

    def digest(self) -> bytes:
        """Over every lane that carried anything; both ends come to the same one."""
        heads = sorted(
            [(self._me, lane, out.sent, out.head) for lane, out in self._out.items() if out.sent]
            + [(self._peer, lane, i.consumed, i.head) for lane, i in self._in.items() if i.consumed]
        )
        return labelled_hash(
            "transcript",
            self._id,
            *(
                part
                for sender, lane, count, head in heads
                for part in (bytes([sender]), lane.encode(), count.to_bytes(8, "big"), head)
            ),
        )
