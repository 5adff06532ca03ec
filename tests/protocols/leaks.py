"""Finds a secret in bytes, in whatever plain shape it might have slipped out."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator

from mpc.wire.v1.session_pb2 import Block, Frame
from tests.protocols.case import digests

SHORTEST = 8
"""Bytes of a hash or an encoding that are enough to know it by, and never come up by chance."""


def traces_of_identifier(identifier: str) -> Iterator[tuple[str, bytes]]:
    """(what it is, bytes that betray it) for everything anyone can compute without a key."""
    for name, codec in (("utf-8", "utf-8"), ("utf-16-le", "utf-16-le"), ("utf-16-be", "utf-16-be")):
        yield from _shapes(name, identifier.encode(codec))
    for algorithm in ("sha256", "sha1", "md5"):
        digest = hashlib.new(algorithm, identifier.encode(), usedforsecurity=False).digest()
        yield from _shapes(algorithm, digest[:SHORTEST])
    yield from _shapes("own digest", digests([identifier]).tobytes()[:SHORTEST])


def traces_of_amount(amount: int) -> Iterator[tuple[str, bytes]]:
    """For an amount of more than 2^40, as 64-bit integers, floats' digits and decimal text."""
    for order in ("little", "big"):
        yield f"{order}-endian", amount.to_bytes(8, order, signed=True)  # type: ignore[arg-type]
        yield f"{order}-endian magnitude", abs(amount).to_bytes(8, order)  # type: ignore[arg-type]
    yield from _shapes("decimal", str(abs(amount)).encode())
    yield "protobuf varint", _varint(amount % 2**64)
    yield "protobuf zigzag varint", _varint((amount << 1) ^ (amount >> 63))


def _shapes(name: str, raw: bytes) -> Iterator[tuple[str, bytes]]:
    """The bytes themselves, and the texts that binary data travels in."""
    yield name, raw
    yield f"{name} reversed", raw[::-1]
    yield f"{name} hex", raw.hex().encode()
    yield f"{name} HEX", raw.hex().upper().encode()
    for offset in range(3):  # wherever it stands in what was encoded
        encoded = base64.b64encode(bytes(offset) + raw)
        whole = encoded[4 if offset else 0 : len(encoded) - 4]
        yield f"{name} base64 at {offset}", whole
        yield f"{name} urlsafe base64 at {offset}", whole.translate(bytes.maketrans(b"+/", b"-_"))


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def leaks(
    frames: Iterable[Frame],
    to: int,
    identifiers: Iterable[str],
    amounts: Iterable[int] = (),
) -> set[str]:
    """What party number ``to`` was sent of these secrets, and in which shape."""
    received = _by_lane(frame for frame in frames if frame.receiver == to)
    needles = [
        *((f"identifier as {n}", t) for each in identifiers for n, t in traces_of_identifier(each)),
        *((f"amount as {n}", t) for each in amounts for n, t in traces_of_amount(each)),
    ]
    return {
        f"{name} on {lane}"
        for lane, data in received.items()
        for name, needle in needles
        if needle in data
    }


def _by_lane(frames: Iterable[Frame]) -> dict[str, bytearray]:
    """The payloads of every lane, and the contents of its blocks, each one after the other.

    So a secret is found that the blocks cut in two, and one in a field that nobody looks at.
    """
    payloads: dict[str, bytearray] = {}
    contents: dict[str, bytearray] = {}
    for frame in frames:
        lane = f"{frame.lane} from {frame.sender}"
        payloads.setdefault(lane, bytearray()).extend(frame.payload)
        contents.setdefault(lane, bytearray())
        if frame.kind == Block.DESCRIPTOR.full_name:
            contents[lane].extend(Block.FromString(frame.payload).data)
    return {lane: payloads[lane] + contents[lane] for lane in payloads}
