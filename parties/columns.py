"""Identifiers of a dataset as digests, and rows of it as they stand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mpc.items import ITEM_BYTES, ItemDigests, distinct, item_digests
from mpc.normalise import Reason
from parties.data_errors import DataError
from parties.datasets import DEFAULT_ENGINE, Dataset, Engine, scan, stamp

Cell = str | int | float | Decimal | None


@dataclass(frozen=True, eq=False)
class Items:
    """The distinct identifiers of a dataset.

    ``digests`` uint8[n, 16], in the order they first occur, and ``first_row`` int64[n],
    where that is (from 0, ascending). ``rows`` is the number of all data rows:
    n + ``duplicates`` + ``empty`` + ``invalid``. ``stamp`` is the file's when it was read.
    **Digests stay on this machine** (see :func:`mpc.items.item_digests`).
    """

    digests: NDArray[np.uint8]
    first_row: NDArray[np.int64]
    rows: int
    duplicates: int
    empty: int
    invalid: int
    stamp: str


@dataclass(frozen=True, eq=False)
class Digested:
    """One batch: its first row's number, its columns behind the keys, and its items."""

    start: int
    columns: list[pa.Array]
    items: ItemDigests


def digested(
    dataset: Dataset, columns: Sequence[str] = (), *, engine: Engine = DEFAULT_ENGINE
) -> Iterator[Digested]:
    """Every batch of ``columns`` together with the items of its rows."""
    start = 0
    width = len(dataset.keys)
    for batch in scan(dataset, (*dataset.keys, *columns), engine=engine):
        keys = [_key_text(dataset, name, batch.column(i)) for i, name in enumerate(dataset.keys)]
        yield Digested(start, batch.columns[width:], item_digests(dataset.rule, keys))
        start += batch.num_rows


def _key_text(dataset: Dataset, name: str, column: pa.Array) -> list[str | None]:
    kind = column.type
    if pa.types.is_dictionary(kind) or pa.types.is_integer(kind) or pa.types.is_date(kind):
        column = column.cast(pa.string())
    elif not pa.types.is_string(kind):
        raise DataError(
            "bad-key-type",
            f"{dataset.where}, column {name!r}: {kind} is no type for an identifier; store it "
            "as text",
        )
    values: list[str | None] = column.to_numpy(zero_copy_only=False).tolist()
    return values


def load_items(dataset: Dataset, *, engine: Engine = DEFAULT_ENGINE) -> Items:
    """The distinct identifiers; duplicates collapse onto their first row."""
    before = stamp(dataset)
    digests = [np.empty((0, ITEM_BYTES), np.uint8)]
    positions = [np.empty(0, np.int64)]
    left_out: Counter[Reason] = Counter()
    for block in digested(dataset, engine=engine):
        digests.append(block.items.digests)
        positions.append(block.items.rows + block.start)
        left_out += block.items.left_out
    every = np.concatenate(digests)
    first, _ = distinct(every)
    empty = left_out.pop(Reason.EMPTY, 0)
    invalid = left_out.total()
    return Items(
        digests=every[first],
        first_row=np.concatenate(positions)[first],
        rows=len(every) + empty + invalid,
        duplicates=len(every) - len(first),
        empty=empty,
        invalid=invalid,
        stamp=before,
    )


def read_columns(
    dataset: Dataset,
    columns: Sequence[str],
    rows: NDArray[np.int64],
    *,
    expect: str | None = None,
    engine: Engine = DEFAULT_ENGINE,
) -> dict[str, list[Cell]]:
    """Cells of ``columns`` in the given ``rows`` (int64, from 0, any order), as they stand.

    ``expect`` is the stamp of the file the row numbers belong to (:class:`Items`).
    """
    if expect is not None and stamp(dataset) != expect:
        raise DataError(
            "changed", f"{dataset.where}: the file changed since its rows were numbered; run again"
        )
    order = np.argsort(rows, kind="stable")
    ascending = rows[order]
    parts: list[list[pa.Array]] = [[] for _ in columns]
    start = 0
    for batch in scan(dataset, columns, engine=engine):
        end = start + batch.num_rows
        low, high = np.searchsorted(ascending, (start, end))
        if low < high:
            picked = pa.array(ascending[low:high] - start)
            for part, column in zip(parts, batch.columns, strict=True):
                part.append(column.take(picked))
        start = end
    if len(rows) and not (ascending[0] >= 0 and ascending[-1] < start):
        raise IndexError("a row number past the dataset's rows")
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    table: dict[str, list[Cell]] = {}
    for name, part in zip(columns, parts, strict=True):
        cells = pa.chunked_array(part).take(pa.array(back)).to_pylist() if part else []
        table[name] = [_cell(cell) for cell in cells]
    return table


def original_keys(
    dataset: Dataset,
    rows: NDArray[np.int64],
    *,
    expect: str | None = None,
    engine: Engine = DEFAULT_ENGINE,
) -> dict[str, list[Cell]]:
    """The key columns in the given rows, as they stood in the data before normalising."""
    return read_columns(dataset, dataset.keys, rows, expect=expect, engine=engine)


def _cell(cell: object) -> Cell:
    if cell is None or isinstance(cell, str | int | float | Decimal):
        return cell
    return cell.isoformat() if isinstance(cell, date) else str(cell)
