"""The vectors that the contributors of sum.paillier add up, and the blocks they go in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpc.packing import Packing
from mpc.wire.v1.sum_paillier_pb2 import SumPaillierParameters
from protocols.plan import Plan
from protocols.sum_terms import layouts

BLOCK = 128
"""Ciphertexts in one piece of work: about half a second, and less than a block on the wire."""


@dataclass(frozen=True)
class Pass:
    """One vector that the contributors sum: its name, its layout, how many values it has."""

    step: str
    packing: Packing
    count: int

    @property
    def ciphertexts(self) -> int:
        return self.packing.plaintexts(self.count)

    def blocks(self) -> range:
        return range(-(-self.ciphertexts // BLOCK))

    def first(self, block: int) -> int:
        """Which ciphertext the block begins with."""
        return block * BLOCK

    def size(self, block: int) -> int:
        """How many ciphertexts it has."""
        return min(BLOCK, self.ciphertexts - block * BLOCK)

    def values(self, values: NDArray[np.int64], block: int) -> NDArray[np.int64]:
        """Its part of ``values``."""
        width = BLOCK * self.packing.slots
        return values[block * width : (block + 1) * width]


def passes(plan: Plan, params: SumPaillierParameters) -> Callable[[str, int], Pass]:
    """The pass of a name over so many values."""
    packings = layouts(plan, params)
    return lambda step, count: Pass(step, packings[step], count)
