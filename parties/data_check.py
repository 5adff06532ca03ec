"""What an owner should know of a dataset before it takes part in anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mpc.items import ITEM_BYTES, distinct
from mpc.money import minor_units
from mpc.normalise import Reason
from parties.columns import digested
from parties.datasets import DEFAULT_ENGINE, Column, Dataset, Engine, describe
from parties.values import amount_cells, is_number, numbers_of


@dataclass(frozen=True)
class ColumnCheck:
    """``empty`` and ``non_numeric`` (neither empty nor a finite number) count cells;
    ``refused`` counts, by code, those of a declared amount column that are no amount
    (empty ones too). ``minimum`` and ``maximum`` are cells of the data, as exact decimals:
    only where they were asked for."""

    name: str
    type: str
    empty: int
    non_numeric: int
    refused: Mapping[str, int]
    minimum: str | None
    maximum: str | None


@dataclass(frozen=True)
class Check:
    """``rows`` is ``distinct`` + ``duplicates`` + ``empty`` + all of ``invalid``, which
    counts rows by :class:`mpc.normalise.Reason`."""

    rows: int
    distinct: int
    duplicates: int
    empty: int
    invalid: Mapping[str, int]
    columns: tuple[ColumnCheck, ...]


@dataclass
class _Tally:
    empty: int = 0
    non_numeric: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    least: Decimal | None = None
    most: Decimal | None = None

    def add(self, cells: pa.Array, numeric: pa.Array) -> None:
        """Widen the range by the finite numbers among ``cells``."""
        if pa.types.is_boolean(cells.type):
            return
        numbers = [Decimal(str(cell)) for cell in cells.filter(numeric).to_pylist()]
        if numbers:
            self.least = min(numbers if self.least is None else (self.least, *numbers))
            self.most = max(numbers if self.most is None else (self.most, *numbers))


def check(dataset: Dataset, *, ranges: bool = False, engine: Engine = DEFAULT_ENGINE) -> Check:
    """Read all of the dataset once and count.

    No cell is returned unless ``ranges`` asks for the least and the greatest of each
    numeric column. Raises :class:`parties.data_errors.DataError` like any reading.
    """
    types = {column.name: column.type for column in describe(dataset, engine=engine).columns}
    columns = [
        Column(name, types.get(name, ""))  # one that is not there fails when it is read
        for name in (types if dataset.columns is None else dataset.columns)
        if name and name not in dataset.keys
    ]
    tallies = [_Tally() for _ in columns]
    digests = [np.empty((0, ITEM_BYTES), np.uint8)]
    left_out: Counter[Reason] = Counter()
    for block in digested(dataset, [column.name for column in columns], engine=engine):
        digests.append(block.items.digests)
        left_out += block.items.left_out
        for column, cells, tally in zip(columns, block.columns, tallies, strict=True):
            _count_cells(dataset, column.name, cells, tally, ranges)
    every = np.concatenate(digests)
    first, _ = distinct(every)
    return Check(
        rows=len(every) + left_out.total(),
        distinct=len(first),
        duplicates=len(every) - len(first),
        empty=left_out[Reason.EMPTY],
        invalid={
            reason.value: count for reason, count in left_out.items() if reason is not Reason.EMPTY
        },
        columns=tuple(
            ColumnCheck(
                name=column.name,
                type=column.type,
                empty=tally.empty,
                non_numeric=tally.non_numeric,
                refused=dict(tally.refused),
                minimum=None if tally.least is None else str(tally.least),
                maximum=None if tally.most is None else str(tally.most),
            )
            for column, tally in zip(columns, tallies, strict=True)
        ),
    )


def _count_cells(dataset: Dataset, name: str, cells: pa.Array, tally: _Tally, ranges: bool) -> None:
    kind = cells.type
    empty = cells.null_count
    if pa.types.is_string(kind):
        empty += int(pc.sum(pc.equal(pc.utf8_trim_whitespace(cells), "")).as_py() or 0)
    tally.empty += empty
    if pa.types.is_string(kind) or pa.types.is_boolean(kind) or is_number(kind):
        numeric = np.isfinite(numbers_of(dataset, name, cells))
    else:
        numeric = np.zeros(len(cells), bool)
    tally.non_numeric += len(cells) - empty - int(np.count_nonzero(numeric))
    if name in dataset.decimals:
        _, refused = minor_units(amount_cells(dataset, name, cells), dataset.decimals[name])
        tally.refused.update(code for _, code in refused)
    if ranges:
        tally.add(cells, pa.array(numeric))
