"""Values of a dataset as the arrays that protocols take, aligned to its identifiers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mpc.items import ITEM_BYTES, distinct
from mpc.money import minor_units, sum_by_group
from parties.columns import digested
from parties.data_errors import DataError
from parties.datasets import DEFAULT_ENGINE, Dataset, Engine, line_of

_NUMBER: Final = r"^\s*[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?\s*$"


@dataclass(frozen=True, eq=False)
class Amounts:
    """``digests`` uint8[n, 16]; ``sums`` int64[n], in minor units, exact; ``counts`` int64[n],
    how many rows each sums (0: the dataset does not have this identifier)."""

    digests: NDArray[np.uint8]
    sums: NDArray[np.int64]
    counts: NDArray[np.int64]


def load_amounts(
    dataset: Dataset,
    column: str,
    *,
    decimals: int | None = None,
    wanted: NDArray[np.uint8] | None = None,
    engine: Engine = DEFAULT_ENGINE,
) -> Amounts:
    """The sum of ``column`` for each distinct identifier, or for each of ``wanted``.

    ``decimals`` defaults to the dataset's declaration. ``wanted`` uint8[m, 16], distinct; an
    identifier the dataset does not have sums to 0 with count 0. Rows without a valid
    identifier take no part. Every row that does must hold an amount, and every identifier's
    sum must fit 64 bits, asked for or not: what is refused must not depend on a query.
    """
    if decimals is None:
        decimals = dataset.decimals.get(column)
    if decimals is None:
        raise DataError(
            "no-decimals",
            f"{dataset.where}, column {column!r}: declare how many decimals its amounts have",
        )
    digests = [np.empty((0, ITEM_BYTES), np.uint8)]
    amounts = [np.empty(0, np.int64)]
    faults = _Faults()
    for block in digested(dataset, (column,), engine=engine):
        kept = block.items.rows
        values = amount_cells(dataset, column, block.columns[0].take(pa.array(kept)))
        minor, refused = minor_units(values, decimals)
        for position, code in refused:
            faults.add(block.start + int(kept[position]), code)
        digests.append(block.items.digests)
        amounts.append(minor)
    faults.refuse(dataset, column, f"no amount with at most {decimals} decimals")
    every = np.concatenate(digests)
    first, group = distinct(every)
    sums, outside = sum_by_group(np.concatenate(amounts), group, len(first))
    if outside:
        raise DataError(
            "sum-out-of-range",
            f"{dataset.where}, column {column!r}: the sum of {_count(outside, 'identifier')} "
            "does not fit 64 bits; declare fewer decimals or correct the amounts",
        )
    own = every[first]
    counts = np.bincount(group, minlength=len(first)).astype(np.int64)
    if wanted is None:
        return Amounts(own, sums, counts)
    place = _places(own, wanted)
    there = np.flatnonzero(place >= 0)
    asked = Amounts(wanted, np.zeros(len(wanted), np.int64), np.zeros(len(wanted), np.int64))
    asked.sums[there] = sums[place[there]]
    asked.counts[there] = counts[place[there]]
    return asked


def load_features(
    dataset: Dataset,
    columns: Sequence[str],
    *,
    wanted: NDArray[np.uint8] | None = None,
    engine: Engine = DEFAULT_ENGINE,
) -> NDArray[np.float64]:
    """``columns`` as float64[len(columns), n], one position for each identifier.

    The order is that of :func:`load_items`, or of ``wanted`` uint8[n, 16], all of which must
    be there. A repeated identifier is an error, for its row would be ambiguous; so is a cell
    that is missing or not a finite number.
    """
    digests = [np.empty((0, ITEM_BYTES), np.uint8)]
    values = [np.empty((len(columns), 0))]
    faults = [_Faults() for _ in columns]
    for block in digested(dataset, columns, engine=engine):
        kept = block.items.rows
        numbers = np.empty((len(columns), len(kept)))
        for i, cells in enumerate(block.columns):
            numbers[i] = numbers_of(dataset, columns[i], cells.take(pa.array(kept)))
            for position in np.flatnonzero(~np.isfinite(numbers[i])):
                faults[i].add(block.start + int(kept[position]), "not-a-number")
        digests.append(block.items.digests)
        values.append(numbers)
    for name, found in zip(columns, faults, strict=True):
        found.refuse(dataset, name, "no finite number")
    every = np.concatenate(digests)
    first, _ = distinct(every)
    if len(first) != len(every):
        raise DataError(
            "duplicate-identifiers",
            f"{dataset.where}: {_count(len(every) - len(first), 'row')} repeat an identifier "
            "where each needs one row; keep one of each",
        )
    matrix = np.concatenate(values, axis=1)
    if wanted is None:
        return matrix
    place = _places(every, wanted)
    absent = int(np.count_nonzero(place < 0))
    if absent:
        raise DataError(
            "missing-identifiers",
            f"{dataset.where}: {_count(absent, 'identifier')} of those asked for are not there",
        )
    return np.ascontiguousarray(matrix[:, place])


def numbers_of(dataset: Dataset, name: str, cells: pa.Array) -> NDArray[np.float64]:
    """float64[n], each the nearest to its cell; NaN where it is missing or no number."""
    kind = cells.type
    if pa.types.is_string(kind):
        good = pc.match_substring_regex(cells, _NUMBER)
        text = pc.utf8_trim_whitespace(cells)
        cells = pc.if_else(good, text, pa.scalar(None, pa.string())).cast(pa.float64())
    elif is_number(kind) or pa.types.is_boolean(kind):
        cells = cells.cast(pa.float64(), safe=False)
    else:
        raise DataError(
            "bad-feature-type", f"{dataset.where}, column {name!r}: {kind} is not a number"
        )
    numbers: NDArray[np.float64] = cells.to_numpy(zero_copy_only=False)
    return numbers


def is_number(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind) or pa.types.is_decimal(kind) or pa.types.is_floating(kind)
    )


def amount_cells(dataset: Dataset, name: str, cells: pa.Array) -> list[Any]:
    kind = cells.type
    if pa.types.is_floating(kind):
        raise DataError(
            "inexact-amounts",
            f"{dataset.where}, column {name!r}: amounts are stored as binary floating point, "
            "which has no exact cents; store them as DECIMAL, integer or text",
        )
    if not (pa.types.is_string(kind) or is_number(kind)):
        raise DataError("bad-amount-type", f"{dataset.where}, column {name!r}: {kind} is no amount")
    values: list[Any] = cells.to_pylist()
    return values


def _places(own: NDArray[np.uint8], wanted: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Where each of ``wanted`` stands in ``own``, both distinct: int64, -1 for nowhere."""
    _, group = distinct(np.concatenate((own, wanted)))
    place = group[len(own) :]
    if len(np.unique(place)) != len(place):
        raise ValueError("wanted digests repeat")
    return np.where(place < len(own), place, -1)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


class _Faults:
    """How many rows of a column are refused, for what, and the first of them."""

    def __init__(self) -> None:
        self._codes: Counter[str] = Counter()
        self._first = 0

    def add(self, row: int, code: str) -> None:
        if not self._codes:
            self._first = row
        self._codes[code] += 1

    def refuse(self, dataset: Dataset, column: str, what: str) -> None:
        if not self._codes:
            return
        codes = ", ".join(f"{code} {count}" for code, count in sorted(self._codes.items()))
        raise DataError(
            "bad-cells",
            f"{dataset.where}, column {column!r}: {what} in {_count(self._codes.total(), 'row')} "
            f"({codes}), the first on {line_of(dataset, self._first)}; correct or leave them out",
        )
