"""Vectors in blocks: only the one right cutting of the one right vector is taken."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mpc.wire.v1.session_pb2 import Block
from protocols.errors import PeerFault
from protocols.role import Receive, Send, Steps
from protocols.stream import BLOCK_BYTES, Reader, Writer, block_count, receive_vector, send_vector

WIDTH = 64 << 10  # four elements to a block


def vector(count: int, width: int = WIDTH) -> NDArray[np.uint8]:
    return np.random.default_rng(count).integers(0, 256, (count, width), dtype=np.uint8)


def written(steps: Steps[Any]) -> list[Block]:
    """The blocks that a role sends."""
    blocks = []
    for effect in steps:
        assert isinstance(effect, Send)
        assert isinstance(effect.message, Block)
        blocks.append(effect.message)
    return blocks


def given(steps: Steps[Any], blocks: list[Block]) -> Any:
    """What a role returns that is sent just these blocks."""
    answer: Any = None
    pending = list(blocks)
    while True:
        try:
            effect = steps.send(answer)
        except StopIteration as stop:
            assert not pending
            return stop.value
        assert isinstance(effect, Receive)
        answer = pending.pop(0)


def refusal(blocks: list[Block], count: int, width: int = WIDTH) -> str:
    with pytest.raises(PeerFault) as fault:
        given(receive_vector("peer", "lane", width, count), blocks)
    assert fault.value.culprit == "peer"
    return fault.value.code


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 8, 9])
def test_what_is_sent_is_received(count: int) -> None:
    blocks = written(send_vector("peer", "lane", vector(count)))
    assert [block.last for block in blocks] == [False] * (len(blocks) - 1) + [True]
    assert len(blocks) == max(1, -(-count // 4))
    received = given(receive_vector("peer", "lane", WIDTH, count), blocks)
    assert np.array_equal(received, vector(count))


@pytest.mark.parametrize("width", [1, 7, 32, BLOCK_BYTES, BLOCK_BYTES + 1])
def test_blocks_stay_below_their_bound(width: int) -> None:
    """Except that an element is never cut."""
    count = 2 * block_count(width) + 1
    blocks = written(send_vector("peer", "lane", vector(count, width)))
    assert len(blocks) == 3
    assert all(len(block.data) <= max(BLOCK_BYTES, width) for block in blocks)


@pytest.mark.parametrize("pieces", [[9], [1] * 9, [4, 5], [2, 0, 7]])
def test_a_writer_takes_pieces_of_any_size(pieces: list[int]) -> None:
    whole, writer, blocks = vector(9), Writer("peer", "lane", WIDTH, 9), []
    first = 0
    for piece in pieces:
        blocks += written(writer.write(whole[first : first + piece]))
        first += piece
    received = given(receive_vector("peer", "lane", WIDTH, 9), blocks)
    assert np.array_equal(received, whole)


def test_a_writer_keeps_to_what_it_announced() -> None:
    writer = Writer("peer", "lane", 32, 3)
    with pytest.raises(ValueError, match="more elements"):
        written(writer.write(vector(4, 32)))
    with pytest.raises(ValueError, match="32 bytes"):
        written(writer.write(vector(1, 31)))


def nine() -> list[Block]:
    return written(send_vector("peer", "lane", vector(9)))


def with_fields(index: int, **fields: Any) -> list[Block]:
    blocks = nine()
    for name, value in fields.items():
        setattr(blocks[index], name, value)
    return blocks


@pytest.mark.parametrize("index", [0, 1, 2])
@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"width": WIDTH - 1}, "block-width"),
        ({"width": 0}, "block-width"),
        ({"width": 2**32 - 1}, "block-width"),
        ({"data": b""}, "block-width"),
        ({"data": bytes(WIDTH - 1)}, "block-width"),
        ({"count": 0}, "block-width"),
        ({"count": 2**32 - 1}, "block-width"),
        ({"first": 3}, "block-order"),
        ({"first": 2**64 - 1}, "block-order"),
        ({"count": 5, "data": bytes(5 * WIDTH)}, "block-too-large"),
        ({"count": 0, "data": b"", "last": False}, "block-empty"),
    ],
)
def test_a_block_that_does_not_fit_its_place_is_refused(
    index: int, fields: dict[str, Any], code: str
) -> None:
    assert refusal(with_fields(index, **fields), 9) == code


def test_nothing_may_be_missing_twice_or_out_of_order() -> None:
    first, second, third = nine()
    assert refusal([first, third], 9) == "block-order"
    assert refusal([first, first], 9) == "block-order"
    assert refusal([second], 9) == "block-order"


def test_the_end_is_explicit_and_where_it_was_announced() -> None:
    assert refusal(with_fields(0, last=True), 9) == "block-last"
    assert refusal(with_fields(2, last=False), 9) == "block-last"
    assert refusal(nine(), 10) == "block-last"
    assert refusal(nine(), 8) == "block-last"
    assert refusal(nine(), 7) == "block-past-the-end"
    assert refusal(with_fields(2, count=2, data=bytes(2 * WIDTH)), 9) == "block-past-the-end"
    assert refusal([Block(width=WIDTH)], 0) == "block-last"
    assert refusal(nine(), 0) == "block-past-the-end"


def test_pieces_must_end_where_they_are_asked_to() -> None:
    reader = Reader("peer", "lane", WIDTH, 9)
    with pytest.raises(PeerFault) as fault:
        given(reader.take(6), nine()[:2])
    assert fault.value.code == "block-boundary"


def test_a_reader_gives_block_by_block_and_knows_the_end() -> None:
    reader, blocks = Reader("peer", "lane", WIDTH, 9), nine()
    sizes = []
    while not reader.done:
        sizes.append(len(given(reader.next(), [blocks.pop(0)])))
    assert sizes == [4, 4, 1]
