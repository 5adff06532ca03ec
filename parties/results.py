"""A role's result as a table of the owner's own keys, kept as an Arrow stream until fetched."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from parties.sources import LocalData
from protocols.spec import Table


def to_arrow(table: Table, data: LocalData) -> bytes:
    """The key columns, where the result has rows, and behind them the result's own."""
    columns: dict[str, Sequence[Any]] = {}
    if table.rows is not None:
        columns.update(data.keys_of(np.fromiter(table.rows, dtype=np.int64)))
    for name, values in table.columns.items():
        columns[_free(name, columns)] = values
    made = pa.table({name: _array(values) for name, values in columns.items()})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, made.schema) as writer:
        writer.write_table(made)
    data_bytes: bytes = sink.getvalue().to_pybytes()
    return data_bytes


def from_arrow(data: bytes) -> dict[str, list[Any]]:
    """The columns again, as Python values: exact integers and decimals."""
    with pa.ipc.open_stream(data) as reader:
        table = reader.read_all()
    return {name: table.column(name).to_pylist() for name in table.column_names}


def _free(name: str, taken: dict[str, Sequence[Any]]) -> str:
    """A key column may be called like ours: then ours gives way."""
    while name in taken:
        name += "_"
    return name


def _array(values: Sequence[Any]) -> pa.Array:
    if any(isinstance(value, Decimal) for value in values):
        exponents = [-int(v.as_tuple().exponent) for v in values if v is not None]
        return pa.array(values, pa.decimal256(76, max(exponents)))
    return pa.array(values)
