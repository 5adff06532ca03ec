"""Many integers in one Paillier plaintext.

A plaintext is a row of slots, least significant first. A slot is wide enough for the sum of all
contributors' values, so sums never reach the neighbour; the row is narrow enough that the sum
of all contributors' rows, each below 2^(slots x slot_bits), stays below n. Signed values are
shifted to be non-negative by a bias, which the sum carries once for each contributor and
:meth:`Packing.unpack` takes off again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mpc.errors import Malformed

_MIN_GUARD: Final = 4  # bits; up to 16 contributors share one layout


@dataclass(frozen=True)
class Packing:
    """A layout: ``slots`` slots of ``slot_bits`` bits for values of ``value_bits`` bits.

    The domain of a value is [-2^(value_bits-1), 2^(value_bits-1)) when ``signed``, else
    [0, 2^value_bits); it always fits int64.
    """

    value_bits: int
    slot_bits: int
    slots: int
    signed: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.value_bits <= 63 + self.signed:
            raise ValueError("a value has 1 to 64 bits, 63 when unsigned")
        if not self.value_bits <= self.slot_bits <= 128 or self.slots < 1:
            raise ValueError("a slot holds its value and has at most 128 bits")

    @classmethod
    def for_sum(
        cls, key_bits: int, contributors: int, *, value_bits: int = 64, signed: bool = True
    ) -> Packing:
        """The layout for sums over ``contributors`` under an n of exactly ``key_bits`` bits.

        contributors x 2^(slots x slot_bits) <= 2^(key_bits - 1) < n. Sixty-four-bit values of
        up to 16 contributors take 68 bits each: 30 in 2048 bits, 45 in 3072. Indicators
        (``value_bits=1, signed=False``) take 5 bits. Raises ``ValueError`` when no slot fits.
        """
        if contributors < 1:
            raise ValueError("a sum needs a contributor")
        carry = (contributors - 1).bit_length()
        slot_bits = value_bits + max(_MIN_GUARD, carry)
        slots = (key_bits - 1 - carry) // slot_bits
        if slots < 1:
            raise ValueError(f"{slot_bits + carry + 1 - key_bits} bits are missing for one slot")
        return cls(value_bits, slot_bits, slots, signed)

    @property
    def row_bits(self) -> int:
        """Width of one contributor's plaintext, bits."""
        return self.slots * self.slot_bits

    @property
    def bias(self) -> int:
        """What is added to each value to make it non-negative."""
        return 1 << (self.value_bits - 1) if self.signed else 0

    def plaintexts(self, count: int) -> int:
        """How many plaintexts ``count`` values take."""
        return -(-count // self.slots)

    def pack(self, values: NDArray[np.int64]) -> list[int]:
        """``values`` int64[count] as plaintexts in [0, 2^row_bits); unused slots are zero.

        Raises ``ValueError`` naming the first position whose value is out of domain.
        """
        self._refuse_outside(values)
        # Modulo 2^64 the sum is right: the biased value lies in [0, 2^64).
        biased = values.astype(np.uint64) + np.uint64(self.bias)
        octets = biased.astype("<u8").view(np.uint8).reshape(-1, 8)
        width = min(self.slot_bits, 64)
        rows = self.plaintexts(len(values))
        bits = np.zeros((rows * self.slots, self.slot_bits), np.uint8)
        bits[: len(values), :width] = np.unpackbits(octets, axis=1, bitorder="little")[:, :width]
        packed = np.packbits(bits.reshape(rows, self.row_bits), axis=1, bitorder="little")
        return [int.from_bytes(row, "little") for row in packed]

    def unpack(
        self, plaintexts: Sequence[int], count: int, contributors: int
    ) -> NDArray[np.object_]:
        """The exact sums, Python integers in object[count], from decrypted aggregates.

        ``plaintexts`` are sums modulo n of ``contributors`` rows, each row masked or not: they
        are reduced modulo 2^row_bits here, which takes off what cancelling masks carried over.
        Raises ``ValueError`` for a wrong number of plaintexts, and ``Malformed``
        ``sum-too-large`` (a plaintext no such rows can add up to), ``slot-too-large`` (likewise
        a slot) or ``padding-not-zero``, which mean that a contribution was malformed, missing
        or tampered with.
        """
        rows = self.plaintexts(count)
        if len(plaintexts) != rows:
            raise ValueError(f"{count} values take {rows} plaintexts, not {len(plaintexts)}")
        for index, plaintext in enumerate(plaintexts):
            if not 0 <= plaintext < contributors << self.row_bits:
                raise Malformed("sum-too-large", index)
        slots = self._slots(plaintexts)
        if slots[count:].any():
            raise Malformed("padding-not-zero", count)
        low, high = np.ascontiguousarray(slots[:count]).view("<u8").T
        sums: NDArray[Any] = low.astype(object)
        if self.slot_bits > 64:
            sums += high.astype(object) << 64
        excess = np.flatnonzero(sums > contributors * ((1 << self.value_bits) - 1))
        if excess.size:
            raise Malformed("slot-too-large", int(excess[0]))
        return sums - contributors * self.bias

    def _slots(self, plaintexts: Sequence[int]) -> NDArray[np.uint8]:
        """Every slot's content, uint8[plaintexts x slots, 16], least significant byte first."""
        width = -(-self.row_bits // 8)
        mask = (1 << self.row_bits) - 1
        octets = b"".join(int(p & mask).to_bytes(width, "little") for p in plaintexts)
        matrix = np.frombuffer(octets, np.uint8).reshape(len(plaintexts), width)
        bits = np.unpackbits(matrix, axis=1, bitorder="little", count=self.row_bits)
        cells = np.zeros((len(plaintexts) * self.slots, 128), np.uint8)
        cells[:, : self.slot_bits] = bits.reshape(-1, self.slot_bits)
        return np.packbits(cells, axis=1, bitorder="little")

    def _refuse_outside(self, values: NDArray[np.int64]) -> None:
        if values.dtype != np.int64 or values.ndim != 1:
            raise ValueError("values are one row of int64")
        low, high = -self.bias, (1 << self.value_bits) - 1 - self.bias
        outside = np.flatnonzero((values < low) | (values > high))
        if outside.size:
            raise ValueError(f"the value at {outside[0]} does not fit {self.value_bits} bits")
