"""Masks cancel over the full roster and hide everything short of it."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from mpc.hashing import labelled_hash
from mpc.masking import StreamName, mask_plaintexts, residue_masks

ROSTER = 5
ROW_BITS = 2040 - 5  # not a whole number of bytes
PRIME = 1152921092289986561  # 60 bits, 1 modulo 2^36
NAME = StreamName("amounts", 0, 3)


def pair_keys(position: int) -> dict[int, bytes]:
    return {
        peer: labelled_hash("test/pair", bytes(sorted((position, peer))))
        for peer in range(ROSTER)
        if peer != position
    }


def masked_rows(plain: list[list[int]], name: StreamName = NAME) -> list[list[int]]:
    return [
        mask_plaintexts(row, position, pair_keys(position), ROW_BITS, name)
        for position, row in enumerate(plain)
    ]


def subset_sum(rows: list[list[int]], subset: tuple[int, ...]) -> list[int]:
    chosen = [rows[position] for position in subset]
    return [sum(column) % (1 << ROW_BITS) for column in zip(*chosen, strict=True)]


def chi_square(octets: NDArray[np.uint8]) -> float:
    seen = np.bincount(octets, minlength=256)
    expected = octets.size / 256
    return float(((seen - expected) ** 2 / expected).sum())


# 255 degrees of freedom: mean 255, standard deviation 22.6; the inputs are fixed.
UNIFORM = (140.0, 390.0)


def test_masks_cancel_over_the_full_roster_alone() -> None:
    plain = [[1000 * position + index for index in range(60)] for position in range(ROSTER)]
    rows = masked_rows(plain)
    assert subset_sum(rows, tuple(range(ROSTER))) == [sum(c) for c in zip(*plain, strict=True)]
    for size in range(1, ROSTER):
        for subset in combinations(range(ROSTER), size):
            truth = subset_sum(plain, subset)
            shown = subset_sum(rows, subset)
            assert not set(shown) & set(truth)
            whole = (ROW_BITS // 8) * 8
            octets = b"".join(
                (value % (1 << whole)).to_bytes(whole // 8, "little") for value in shown
            )
            assert UNIFORM[0] < chi_square(np.frombuffer(octets, np.uint8)) < UNIFORM[1]


def test_masked_plaintexts_stay_in_the_row() -> None:
    top = (1 << ROW_BITS) - 1
    for row in masked_rows([[0, top]] * ROSTER):
        assert all(0 <= value <= top for value in row)


@pytest.mark.parametrize(
    "other",
    [StreamName("counts", 0, 3), StreamName("amounts", 1, 3), StreamName("amounts", 0, 4)],
)
def test_every_step_pass_and_block_has_streams_of_its_own(other: StreamName) -> None:
    """Equal streams in two passes would cancel by subtraction and bare the difference."""
    plain = [[7, 7]] * ROSTER
    first, second = masked_rows(plain)[0], masked_rows(plain, other)[0]
    assert first[0] != first[1]
    assert not {x - y for x in first for y in second} & {0}
    ours = residue_masks(0, pair_keys(0), PRIME, (64,), NAME)
    theirs = residue_masks(0, pair_keys(0), PRIME, (64,), other)
    assert not (ours == theirs).any()


def test_another_length_or_modulus_never_reuses_a_stream() -> None:
    key = {1: bytes(32)}
    short = mask_plaintexts([0], 0, key, ROW_BITS, NAME)
    long = mask_plaintexts([0, 0], 0, key, ROW_BITS, NAME)
    assert short[0] != long[0]
    wide = mask_plaintexts([0], 0, key, ROW_BITS + 1, NAME)
    assert wide[0] % (1 << 64) != short[0] % (1 << 64)
    a = residue_masks(0, key, PRIME, (8,), NAME)
    assert not (a == residue_masks(0, key, PRIME, (9,), NAME)[:8]).any()


@pytest.mark.parametrize("modulus", [2, 3, 1 << 36, PRIME, (1 << 60) + 1, (1 << 63) - 25])
def test_residue_masks_cancel_modulo_the_prime(modulus: int) -> None:
    shape = (2, 3, 64)
    masks = [residue_masks(i, pair_keys(i), modulus, shape, NAME) for i in range(ROSTER)]
    for mask in masks:
        assert mask.shape == shape and mask.dtype == np.uint64 and (mask < modulus).all()
    total = sum(mask.astype(object) for mask in masks)
    assert isinstance(total, np.ndarray)
    assert not (total % modulus).any()
    partial = sum(mask.astype(object) for mask in masks[1:])
    assert isinstance(partial, np.ndarray)
    assert (partial % modulus).any()


def test_residue_masks_are_uniform_where_reduction_would_show() -> None:
    """Modulo 3 x 2^61, reducing 64-bit words would favour the lowest third by a factor of 3:2."""
    modulus = 3 << 61
    mask = residue_masks(0, {1: bytes(32)}, modulus, (1 << 16,), NAME)
    seen = np.bincount((mask // np.uint64(modulus // 256)).astype(np.int64), minlength=256)
    expected = mask.size / 256
    assert UNIFORM[0] < float(((seen - expected) ** 2 / expected).sum()) < UNIFORM[1]


@pytest.mark.parametrize(
    ("position", "peers"), [(0, []), (0, [0, 1]), (0, [2]), (3, [0, 1]), (1, [0, 3])]
)
def test_refuses_a_roster_with_gaps(position: int, peers: list[int]) -> None:
    keys = {peer: bytes(32) for peer in peers}
    with pytest.raises(ValueError, match="roster"):
        mask_plaintexts([1], position, keys, 64, NAME)
    with pytest.raises(ValueError, match="roster"):
        residue_masks(position, keys, PRIME, (1,), NAME)


def test_refuses_keys_and_moduli_of_a_wrong_size() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        mask_plaintexts([1], 0, {1: bytes(31)}, 64, NAME)
    for modulus in (1, 1 << 63):
        with pytest.raises(ValueError, match="modulus"):
            residue_masks(0, {1: bytes(32)}, modulus, (1,), NAME)
