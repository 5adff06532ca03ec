"""Packing against arithmetic on Python integers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpc.errors import Malformed
from mpc.masking import StreamName, mask_plaintexts
from mpc.packing import Packing

LOW, HIGH = -(1 << 63), (1 << 63) - 1


def pack_naively(layout: Packing, values: Sequence[int]) -> list[int]:
    rows = []
    for start in range(0, len(values), layout.slots):
        row = 0
        for slot, value in enumerate(values[start : start + layout.slots]):
            row += (value + layout.bias) << (slot * layout.slot_bits)
        rows.append(row)
    return rows


@st.composite
def layouts_and_values(draw: st.DrawFn) -> tuple[Packing, int, list[list[int]]]:
    signed = draw(st.booleans())
    value_bits = draw(st.integers(1, 63 + signed))
    contributors = draw(st.integers(1, 40))
    key_bits = draw(st.integers(150, 700))
    layout = Packing.for_sum(key_bits, contributors, value_bits=value_bits, signed=signed)
    value = st.integers(-layout.bias, (1 << value_bits) - 1 - layout.bias)
    count = draw(st.integers(0, 3 * layout.slots))
    row = st.lists(value, min_size=count, max_size=count)
    return layout, key_bits, draw(st.lists(row, min_size=contributors, max_size=contributors))


@settings(max_examples=150, deadline=None)
@given(layouts_and_values())
def test_packs_as_big_integer_code_does_and_sums_exactly(
    case: tuple[Packing, int, list[list[int]]],
) -> None:
    layout, key_bits, table = case
    packed = [layout.pack(np.array(row, np.int64)) for row in table]
    assert packed == [pack_naively(layout, row) for row in table]
    totals = [sum(column) for column in zip(*packed, strict=True)]
    assert all(total < 1 << (key_bits - 1) for total in totals)
    sums = layout.unpack(totals, len(table[0]), len(table))
    assert sums.tolist() == [sum(column) for column in zip(*table, strict=True)]


@pytest.mark.parametrize(("key_bits", "slots"), [(2048, 30), (3072, 45)])
@pytest.mark.parametrize("contributors", [2, 5, 16])
def test_amounts_of_up_to_sixteen_contributors_share_one_layout(
    key_bits: int, slots: int, contributors: int
) -> None:
    assert Packing.for_sum(key_bits, contributors) == Packing(64, 68, slots)


@pytest.mark.parametrize("contributors", [1, 2, 3, 16, 17, 1000, 1 << 20])
@pytest.mark.parametrize("value_bits", [1, 40, 64])
@pytest.mark.parametrize("key_bits", [2048, 3072, 4096])
def test_masked_rows_of_all_contributors_stay_below_every_n_of_this_size(
    contributors: int, value_bits: int, key_bits: int
) -> None:
    layout = Packing.for_sum(key_bits, contributors, value_bits=value_bits, signed=value_bits == 64)
    assert contributors << layout.row_bits <= 1 << (key_bits - 1)
    assert contributors << (layout.row_bits + layout.slot_bits) > 1 << (key_bits - 1)
    assert contributors * ((1 << value_bits) - 1) < 1 << layout.slot_bits


@pytest.mark.parametrize("extreme", [LOW, HIGH])
@pytest.mark.parametrize("contributors", [16, 17, 32])
def test_extremes_at_the_bound_are_exact_in_every_slot(extreme: int, contributors: int) -> None:
    layout = Packing.for_sum(2048, contributors)
    row = layout.pack(np.full(layout.slots, extreme, np.int64))
    totals = [contributors * plaintext for plaintext in row]
    sums = layout.unpack(totals, layout.slots, contributors)
    assert sums.tolist() == [contributors * extreme] * layout.slots


def test_indicators_are_counted_in_narrow_slots() -> None:
    layout = Packing.for_sum(2048, 16, value_bits=1, signed=False)
    assert (layout.slot_bits, layout.slots, layout.bias) == (5, 408, 0)
    indicators = np.random.default_rng(7).integers(0, 2, (16, 1000), dtype=np.int64)
    indicators[:, 3] = 1
    totals = [sum(c) for c in zip(*(layout.pack(row) for row in indicators), strict=True)]
    assert layout.unpack(totals, 1000, 16).tolist() == indicators.sum(axis=0).tolist()


def test_masking_slot_by_slot_would_overflow_into_the_neighbour() -> None:
    """Why masks cover the whole row: masks drawn slot by slot cancel modulo 2^slot_bits in each
    slot, but the carry that this modulus should swallow lands in the next slot."""
    layout = Packing.for_sum(2048, 2)
    values = np.arange(layout.slots, dtype=np.int64)
    slot = 1 << layout.slot_bits

    def mask_slots(row: int, mask: int) -> int:
        return sum(
            ((row >> at) + mask) % slot << at for at in range(0, layout.row_bits, layout.slot_bits)
        )

    row = layout.pack(values)[0]
    mask = (1 << 67) + 12345
    bad = mask_slots(row, mask) + mask_slots(row, -mask)
    assert bad % slot == 2 * row % slot  # the first slot is right,
    wrong = layout.unpack([bad], layout.slots, 2) - 2 * values
    assert wrong.tolist() == [0] + [1] * (layout.slots - 1)  # the others have a neighbour's carry

    keys = ({1: bytes(32)}, {0: bytes(32)})
    name = StreamName("sum", 0, 0)
    masked = [
        mask_plaintexts([row], position, keys[position], layout.row_bits, name)[0]
        for position in range(2)
    ]
    assert layout.unpack([sum(masked)], layout.slots, 2).tolist() == (2 * values).tolist()


def test_refuses_values_and_shapes_that_do_not_fit() -> None:
    narrow = Packing.for_sum(2048, 3, value_bits=8)
    with pytest.raises(ValueError, match="at 1 does not fit 8 bits"):
        narrow.pack(np.array([127, 128, -129], np.int64))
    with pytest.raises(ValueError, match="at 2 does not fit"):
        narrow.pack(np.array([127, -128, -129], np.int64))
    with pytest.raises(ValueError, match="int64"):
        narrow.pack(np.array([1.5]))
    with pytest.raises(ValueError, match="bits are missing"):
        Packing.for_sum(64, 3)
    with pytest.raises(ValueError, match="take 1 plaintexts, not 2"):
        narrow.unpack([0, 0], 3, 3)
    with pytest.raises(ValueError, match="64 bits"):
        Packing(64, 68, 2, signed=False)


def test_refuses_sums_that_no_contributors_can_have_made() -> None:
    layout = Packing.for_sum(2048, 3)
    row = layout.pack(np.zeros(5, np.int64))[0]
    for plaintext, code, index in [
        (-1, "sum-too-large", 0),
        (3 << layout.row_bits, "sum-too-large", 0),
        (row + (1 << (5 * layout.slot_bits)), "padding-not-zero", 5),
        (row + (3 << (64 + 2 * layout.slot_bits)), "slot-too-large", 2),
    ]:
        with pytest.raises(Malformed) as refusal:
            layout.unpack([plaintext], 5, 3)
        assert (refusal.value.code, refusal.value.index) == (code, index)
