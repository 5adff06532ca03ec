"""Amounts as integers in minor units, from and to exact decimals; never through float."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Final

import numpy as np
from numpy.typing import NDArray

MAX_DECIMALS: Final = 18
"""More decimals leave no whole unit in 64 bits."""

_LEAST: Final = -(1 << 63)
_MOST: Final = (1 << 63) - 1
_LONGEST: Final = 64  # characters; int64 needs 20, leading zeros are common

_NUMBER: Final = re.compile(r"([+-]?)(?:([0-9]+)(?:\.([0-9]*))?|\.([0-9]+))")
_EXPONENT: Final = re.compile(r"[+-]?[0-9.]+[eE][+-]?[0-9]+")
_GROUPED: Final = re.compile("[+-]?[0-9]+(?:[,.'_ \u00a0\u2009\u202f\u2019][0-9]+)+")
_NOT_FINITE: Final = re.compile(r"[+-]?(?:s?nan|inf|infinity)", re.IGNORECASE)


class InvalidAmount(ValueError):
    """A value that is no amount. ``code`` is a fixed public word; the value is never kept."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)


def to_minor_units(value: str | int | Decimal | None, decimals: int) -> int:
    """``value`` times 10^decimals, exactly, in the range of int64.

    ``decimals`` is the column's declared scale: 2 reads "12.5" as 1250, 0 reads a column of
    pence as it stands. Text is ASCII digits with an optional sign and point, white space
    around it allowed. Raises :class:`InvalidAmount` with one of

    - ``empty``, ``too-long``, ``not-a-number``, ``not-finite``
    - ``thousands-separator``: "1,234", "1 234", "1.234.567", and "12,50"
    - ``exponent``: "1.2E+06", what a spreadsheet leaves of a longer number
    - ``too-many-decimals``: in text even "12.500", which half the world reads as 12,500
    - ``out-of-range``: does not fit 64 bits

    and ``TypeError`` for a float: it is not known which decimal it was.
    """
    if isinstance(value, str):
        minor = _from_text(value, decimals)
    elif isinstance(value, int) and not isinstance(value, bool):
        scale: int = 10**decimals
        minor = value * scale
    elif isinstance(value, Decimal):
        minor = _from_decimal(value, decimals)
    elif value is None:
        raise InvalidAmount("empty")
    else:
        raise TypeError(f"an amount is text, an integer or a decimal, not {type(value).__name__}")
    if not _LEAST <= minor <= _MOST:
        raise InvalidAmount("out-of-range")
    return minor


def _from_text(value: str, decimals: int) -> int:
    text = value.strip()
    if len(text) > _LONGEST:
        raise InvalidAmount("too-long")
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise InvalidAmount(_why_not(text))
    sign, whole, after, alone = match.groups()
    fraction = after or alone or ""
    if len(fraction) > decimals:
        raise InvalidAmount("too-many-decimals")
    magnitude = int((whole or "") + fraction.ljust(decimals, "0"))
    return -magnitude if sign == "-" else magnitude


def _why_not(text: str) -> str:
    if not text:
        return "empty"
    if _NOT_FINITE.fullmatch(text):
        return "not-finite"
    if _EXPONENT.fullmatch(text):
        return "exponent"
    return "thousands-separator" if _GROUPED.fullmatch(text) else "not-a-number"


def _from_decimal(value: Decimal, decimals: int) -> int:
    # By digits: Decimal's arithmetic rounds to its context's precision without a word.
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise InvalidAmount("not-finite")
    if not value:
        return 0
    if value.adjusted() + decimals > 19:
        raise InvalidAmount("out-of-range")
    coefficient = int("".join(map(str, digits)) or "0")
    shift = exponent + decimals
    scale: int = 10 ** min(abs(shift), 19 + len(digits))  # bounded, whatever the exponent
    if shift >= 0:
        magnitude = coefficient * scale
    else:
        magnitude, rest = divmod(coefficient, scale)
        if rest:
            raise InvalidAmount("too-many-decimals")
    return -magnitude if sign else magnitude


def minor_units(
    values: Iterable[str | int | Decimal | None], decimals: int
) -> tuple[NDArray[np.int64], list[tuple[int, str]]]:
    """:func:`to_minor_units` of many: int64[n], and (position, code) of those that are none.

    The array holds 0 where a value is refused.
    """
    amounts: list[int] = []
    refused: list[tuple[int, str]] = []
    for position, value in enumerate(values):
        try:
            amounts.append(to_minor_units(value, decimals))
        except InvalidAmount as fault:
            refused.append((position, fault.code))
            amounts.append(0)
    return np.array(amounts, np.int64), refused


def from_minor_units(minor: int, decimals: int) -> str:
    """The exact decimal, always with ``decimals`` places: (-5, 2) is "-0.05". Any integer."""
    digits = str(abs(int(minor))).rjust(decimals + 1, "0")
    whole, fraction = digits[: len(digits) - decimals], digits[len(digits) - decimals :]
    return ("-" if minor < 0 else "") + whole + ("." + fraction if fraction else "")


def sum_by_group(
    amounts: NDArray[np.int64], group: NDArray[np.int64], groups: int
) -> tuple[NDArray[np.int64], int]:
    """Sums of int64[n] by ``group`` int64[n] in [0, groups): int64[groups], exact.

    Also returns how many sums left the range of int64 (those are not to be used). High and
    low halves are added apart, so that nothing wraps for fewer than 2^31 rows.
    """
    high = np.zeros(groups, np.int64)
    low = np.zeros(groups, np.int64)
    np.add.at(high, group, amounts >> 32)
    np.add.at(low, group, amounts & 0xFFFF_FFFF)
    high += low >> 32
    outside = int(np.count_nonzero((high < -(1 << 31)) | (high >= 1 << 31)))
    return (high << 32) | (low & 0xFFFF_FFFF), outside
