"""Exact decimals to minor units and back."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpc.money import (
    MAX_DECIMALS,
    InvalidAmount,
    from_minor_units,
    minor_units,
    sum_by_group,
    to_minor_units,
)

LEAST, MOST = -(1 << 63), (1 << 63) - 1


@pytest.mark.parametrize(
    "value, decimals, minor",
    [
        ("12.50", 2, 1250), ("12.5", 2, 1250), ("12", 2, 1200), (" 12.50\t", 2, 1250),
        ("-0.05", 2, -5), ("+7", 0, 7), (".5", 1, 5), ("5.", 1, 50), ("-0", 2, 0),
        ("000123", 0, 123), ("0.1", 18, 10**17), ("92233720368547758.07", 2, MOST),
        ("-92233720368547758.08", 2, LEAST), (12, 2, 1200), (MOST, 0, MOST),
        (Decimal("12.50"), 2, 1250), (Decimal("12.5000"), 2, 1250), (Decimal("1E+3"), 2, 100000),
        (Decimal("-0.01"), 2, -1), (Decimal("0E+99"), 2, 0), (Decimal("0E-99"), 0, 0),
        # 0.1 + 0.2 and other sums that floats get wrong are digits here
        ("4503599627370497.51", 2, 450359962737049751),
        # more digits than the decimal context's 28
        (Decimal("1234567890.0000000000000000000000000000"), 0, 1234567890),
    ],
)  # fmt: skip
def test_exact(value: str | int | Decimal, decimals: int, minor: int) -> None:
    assert to_minor_units(value, decimals) == minor


@pytest.mark.parametrize(
    "value, decimals, code",
    [
        (None, 2, "empty"), ("", 2, "empty"), ("  ", 2, "empty"),
        ("1,234", 2, "thousands-separator"), ("1,234.50", 2, "thousands-separator"),
        ("1 234", 2, "thousands-separator"), ("1\u202f234", 2, "thousands-separator"),
        ("1'234", 2, "thousands-separator"), ("1.234.567", 2, "thousands-separator"),
        ("12,50", 2, "thousands-separator"), ("1_000", 2, "thousands-separator"),
        ("1.2E+06", 2, "exponent"), ("1e3", 0, "exponent"),
        ("12.505", 2, "too-many-decimals"), ("12.500", 2, "too-many-decimals"),
        ("0.1", 0, "too-many-decimals"), (Decimal("0.001"), 2, "too-many-decimals"),
        (Decimal("1E-999999"), 2, "too-many-decimals"),
        ("92233720368547758.08", 2, "out-of-range"), (MOST + 1, 0, "out-of-range"),
        (LEAST, 1, "out-of-range"), (Decimal("1E+999999"), 0, "out-of-range"),
        ("9" * 64, 0, "out-of-range"), ("9" * 65, 0, "too-long"), ("1" * (1 << 20), 0, "too-long"),
        ("NaN", 2, "not-finite"), ("-inf", 2, "not-finite"), ("Infinity", 2, "not-finite"),
        (Decimal("NaN"), 2, "not-finite"), (Decimal("-Infinity"), 2, "not-finite"),
        ("abc", 2, "not-a-number"), ("£5", 2, "not-a-number"), ("(5.00)", 2, "not-a-number"),
        ("--5", 2, "not-a-number"), (".", 2, "not-a-number"), ("5-", 2, "not-a-number"),
        ("１２", 2, "not-a-number"), ("٣", 0, "not-a-number"), ("\u22125", 0, "not-a-number"),
        ("0x10", 0, "not-a-number"), ("1\0", 0, "not-a-number"), ("1\n2", 0, "not-a-number"),
    ],
)  # fmt: skip
def test_refused_with_a_code(value: str | int | Decimal | None, decimals: int, code: str) -> None:
    with pytest.raises(InvalidAmount) as caught:
        to_minor_units(value, decimals)
    assert caught.value.code == str(caught.value) == code


@pytest.mark.parametrize("value", [1.5, True, np.float64(1), b"1"])
def test_floats_never_enter(value: object) -> None:
    with pytest.raises(TypeError):
        to_minor_units(value, 2)  # type: ignore[arg-type]


@given(st.integers(LEAST, MOST), st.integers(0, MAX_DECIMALS))
def test_there_and_back(minor: int, decimals: int) -> None:
    text = from_minor_units(minor, decimals)
    assert to_minor_units(text, decimals) == minor
    assert to_minor_units(Decimal(text), decimals) == minor
    assert Decimal(text).scaleb(decimals) == minor


def test_format_always_has_the_places() -> None:
    assert from_minor_units(-5, 2) == "-0.05"
    assert from_minor_units(0, 2) == "0.00"
    assert from_minor_units(123, 0) == "123"
    assert from_minor_units(10**30 + 1, 3) == "1000000000000000000000000000.001"
    assert from_minor_units(np.int64(LEAST), 2) == "-92233720368547758.08"


def test_bulk_says_which_and_why() -> None:
    amounts, refused = minor_units(["1", None, "2.5", "x"], 1)
    assert amounts.tolist() == [10, 0, 25, 0] and amounts.dtype == np.int64
    assert refused == [(1, "empty"), (3, "not-a-number")]


@given(
    st.lists(
        st.tuples(
            st.one_of(st.integers(LEAST, MOST), st.sampled_from([LEAST, MOST, -1, 0, 1])),
            st.integers(0, 3),
        )
    )
)
def test_group_sums_are_exact_or_said_not_to_fit(rows: list[tuple[int, int]]) -> None:
    amounts = np.array([a for a, _ in rows], np.int64)
    group = np.array([g for _, g in rows], np.int64)
    sums, outside = sum_by_group(amounts, group, 4)
    expected = [sum(a for a, g in rows if g == k) for k in range(4)]
    assert outside == sum(not LEAST <= e <= MOST for e in expected)
    for got, want in zip(sums.tolist(), expected, strict=True):
        assert got == want or not LEAST <= want <= MOST
