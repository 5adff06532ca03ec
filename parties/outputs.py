"""Results as files: exact, private to their owner, and whole or not there at all."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from parties.data_errors import DataError

Value = str | int | float | Decimal | None
Values = Sequence[Value] | NDArray[np.int64] | NDArray[np.float64]

STDOUT: Final = "-"
_FORMATS: Final = ("csv", "json", "parquet")


def format_of(path: str | Path) -> str:
    """ "csv", "json" or "parquet", by extension; "csv" for "-", which is standard output.

    Raises :class:`DataError` for another extension and for a place that cannot be written,
    so that a job is refused before it runs rather than after.
    """
    if str(path) == STDOUT:
        return "csv"
    target = Path(path)
    extension = target.suffix.lower().removeprefix(".")
    if extension not in _FORMATS:
        raise DataError(
            "unknown-format", f"output {target.name!r}: name it .csv, .json or .parquet, or -"
        )
    if not target.parent.is_dir():
        raise DataError("no-such-directory", f"output: there is no directory {target.parent}")
    if target.is_dir():
        raise DataError("not-a-file", f"output {target.name!r} is a directory; name a file")
    return extension


def write_table(
    path: str | Path, columns: Mapping[str, Values], *, stdout: BinaryIO | None = None
) -> None:
    """Write equally long ``columns`` to ``path``, in its extension's format.

    Integers of any size stay exact; money comes as minor units or as the decimal text of
    :func:`mpc.money.from_minor_units`, and is never made a float here. Floats are scores and
    the like: written so that they read back equal; infinities and NaN raise ``ValueError``.
    A file is readable by its owner alone, and replaces an older one in one step, after it
    is on disk.
    """
    kind = format_of(path)
    table = {name: _values(values) for name, values in columns.items()}
    if len({len(values) for values in table.values()}) > 1:
        raise ValueError("columns differ in length")
    if str(path) == STDOUT:
        stream = sys.stdout.buffer if stdout is None else stdout
        _write_csv(stream, table)
        stream.flush()
        return
    writer = {"csv": _write_csv, "json": _write_json, "parquet": _write_parquet}[kind]
    target = Path(path)
    fault = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as stream:
                writer(stream, table)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(name, target)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(name)
            raise
        _sync_directory(target.parent)
    except OSError as error:
        fault = error.strerror
    if fault is not None:
        raise DataError("not-written", f"output {target.name!r} was not written: {fault}")


def _values(values: Values) -> list[Value]:
    cells = [value.item() if isinstance(value, np.generic) else value for value in values]
    if any(isinstance(cell, float) and not math.isfinite(cell) for cell in cells):
        raise ValueError("a result that is not a finite number")
    return cells


def _write_csv(stream: BinaryIO, table: Mapping[str, Sequence[Value]]) -> None:
    text = io.TextIOWrapper(stream, encoding="utf-8", newline="", write_through=True)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table)
    # A csv row of one empty cell would be a blank line, which readers skip: quote it.
    quoted = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for row in zip(*table.values(), strict=True):
        (quoted if row in ((None,), ("",)) else writer).writerow(map(_plain, row))
    text.detach()


def _write_json(stream: BinaryIO, table: Mapping[str, Sequence[Value]]) -> None:
    separator = b"[\n"
    for row in zip(*table.values(), strict=True):
        cells = dict(zip(table, row, strict=True))
        stream.write(separator + json.dumps(cells, ensure_ascii=False, default=_plain).encode())
        separator = b",\n"
    stream.write(b"[]\n" if separator == b"[\n" else b"\n]\n")


def _write_parquet(stream: BinaryIO, table: Mapping[str, Sequence[Value]]) -> None:
    arrays = {name: _arrow(values) for name, values in table.items()}
    pq.write_table(pa.table(arrays), stream)


def _arrow(values: Sequence[Value]) -> pa.Array:
    integers = [v for v in values if isinstance(v, int) and not isinstance(v, bool)]
    if any(not -(1 << 63) <= v < 1 << 63 for v in integers):
        if len(integers) + sum(v is None for v in values) != len(values):
            raise ValueError("a column that mixes integers with other values")
        digits = max(len(str(abs(v))) for v in integers)
        kind = pa.decimal128(38, 0) if digits <= 38 else pa.decimal256(76, 0)
        return pa.array([None if v is None else Decimal(v) for v in values], kind)
    return pa.array(values)


def _plain(value: Value) -> str:
    if value is None:
        return ""
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
