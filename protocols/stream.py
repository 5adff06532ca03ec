"""Vectors on lanes: blocks of packed fixed-width elements, in order, with an explicit last one.

This file alone knows of contiguity, exact width, the total bound and "nothing after last".
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mpc.errors import Malformed
from mpc.wire.v1.session_pb2 import Block
from protocols.errors import PeerFault, blame
from protocols.role import Steps, receive, send

BLOCK_BYTES = 256 << 10


def block_count(width: int) -> int:
    """How many elements of ``width`` bytes one block carries at most."""
    return max(1, BLOCK_BYTES // width)


class Writer:
    """Sends ``count`` elements of ``width`` bytes to one party on one lane, piece by piece."""

    def __init__(self, to: str, lane: str, width: int, count: int) -> None:
        self._to, self._lane, self._width, self._count = to, lane, width, count
        self._sent = 0

    def write(self, elements: NDArray[np.uint8]) -> Steps[None]:
        """Sends uint8[n, width], within ``count``; an empty vector is one empty block."""
        if elements.ndim != 2 or elements.shape[1] != self._width:
            raise ValueError(f"elements of shape {elements.shape} on a lane of {self._width} bytes")
        if self._sent + len(elements) > self._count:
            raise ValueError("more elements than announced")
        size = block_count(self._width)
        for first in range(0, len(elements), size):
            yield from self._block(elements[first : first + size])
        if self._count == 0:
            yield from self._block(elements)

    def _block(self, elements: NDArray[np.uint8]) -> Steps[None]:
        first, self._sent = self._sent, self._sent + len(elements)
        block = Block(
            first=first,
            count=len(elements),
            width=self._width,
            data=elements.tobytes(),
            last=self._sent == self._count,
        )
        yield from send(self._to, self._lane, block)


class Reader:
    """Receives exactly ``count`` elements of ``width`` bytes from one party on one lane."""

    def __init__(self, sender: str, lane: str, width: int, count: int) -> None:
        self._sender, self._lane, self._width, self._count = sender, lane, width, count
        self._received = 0
        self.done = False

    def next(self) -> Steps[NDArray[np.uint8]]:
        """The next block, uint8[n, width]; ``PeerFault`` for any that does not fit its place."""
        block = yield from receive(self._sender, self._lane, Block)
        with blame(self._sender):
            self._check(block)
        self._received += block.count
        self.done = block.last
        return np.frombuffer(block.data, dtype=np.uint8).reshape(block.count, self._width)

    def _check(self, block: Block) -> None:
        if block.width != self._width or len(block.data) != block.count * self._width:
            raise Malformed("block-width")
        if block.first != self._received:
            raise Malformed("block-order")
        if block.count > block_count(self._width):
            raise Malformed("block-too-large")
        end = self._received + block.count
        if end > self._count:
            raise Malformed("block-past-the-end")
        if block.last != (end == self._count):
            raise Malformed("block-last")
        if block.count == 0 and self._count > 0:
            raise Malformed("block-empty")

    def take(self, count: int) -> Steps[NDArray[np.uint8]]:
        """Exactly ``count`` elements, in blocks that end where these end."""
        elements = np.empty((count, self._width), dtype=np.uint8)
        filled = 0
        while filled < count:
            block = yield from self.next()
            if filled + len(block) > count:
                raise PeerFault(self._sender, "block-boundary")
            elements[filled : filled + len(block)] = block
            filled += len(block)
        return elements

    def rest(self) -> Steps[NDArray[np.uint8]]:
        """Everything that is still to come, as one array uint8[count, width]."""
        missing = self._count - self._received
        if not missing and not self.done:
            return (yield from self.next())
        return (yield from self.take(missing))


def send_vector(to: str, lane: str, elements: NDArray[np.uint8]) -> Steps[None]:
    """All of uint8[n, width] at once; the receiver knows n and width from the plan or before."""
    yield from Writer(to, lane, elements.shape[1], len(elements)).write(elements)


def receive_vector(sender: str, lane: str, width: int, count: int) -> Steps[NDArray[np.uint8]]:
    """uint8[count, width]."""
    return (yield from Reader(sender, lane, width, count).rest())
