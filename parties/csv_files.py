"""The parts of a CSV file that need words rather than speed: header, faults, line numbers.

DuckDB reads the rows. It does not say which names a header repeats, its messages quote the
offending line, and its line numbers count a quoted line break as none: hence this module,
which is slow and runs on the header, or on the whole file once something is already wrong.
"""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, cast

from parties.data_errors import DataError

MAX_LINE: Final = 1 << 22
"""Bytes of the longest line that is read."""

_HEADER_MOST: Final = 1 << 20  # bytes
_CHUNK: Final = 1 << 20
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")

# The csv module's own bound, 128 KiB, would take a long cell for a broken one. Process-wide.
csv.field_size_limit(MAX_LINE)


def is_gzip(path: Path) -> bool:
    return path.suffix.lower() == ".gz"


def _open(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path)) if is_gzip(path) else path.open("rb")


def verify_gzip(path: Path, where: str) -> None:
    """Read to the end and compare the checksums, which DuckDB does not do."""
    try:
        with gzip.open(path) as stream:
            while stream.read(_CHUNK):
                pass
        return
    except (EOFError, zlib.error, gzip.BadGzipFile):
        pass
    raise DataError(
        "gzip-damaged", f"{where}: the file is not gzip, or damaged or cut short; copy it again"
    )


def read_header(path: Path, delimiter: str, where: str) -> tuple[str, ...]:
    """The column names of the first line. Raises :class:`DataError` for a header that is
    absent, not UTF-8, cut short, or names two columns alike (columns without a name may
    repeat: nothing can ask for them)."""
    with _open(path) as stream:
        start = stream.read(_HEADER_MOST)
    if not start:
        raise DataError("empty-file", f"{where}: the file is empty; it needs a header line")
    if start.startswith(_UTF16):
        raise DataError("not-utf-8", f"{where}: the file is UTF-16; save it as UTF-8")
    if start.startswith(b"PAR1"):
        raise DataError("wrong-format", f"{where}: this is a Parquet file; name it .parquet")
    if start.startswith(b"\x1f\x8b"):
        raise DataError("wrong-format", f"{where}: this is a gzip file; name it .csv.gz")
    text = start.decode("utf-8-sig", "surrogateescape")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    names: list[str] | None
    try:
        names = next(reader)
    except csv.Error:
        names = None
    if names is None:
        raise DataError("bad-header", f"{where}, line 1: a quote in the header is not closed")
    if not any(names):
        raise DataError("bad-header", f"{where}, line 1: the header line is blank; remove it")
    if any(_is_broken(name) for name in names):
        raise DataError("not-utf-8", f"{where}, line 1: the header is not UTF-8; save it as UTF-8")
    seen: dict[str, int] = {}
    for position, name in enumerate(names, start=1):
        if name and name in seen:
            raise DataError(
                "duplicate-header",
                f"{where}, line 1: columns {seen[name]} and {position} have the same name; "
                "rename one",
            )
        seen[name] = position
    return tuple(names)


def find_fault(path: Path, delimiter: str, width: int, where: str) -> DataError:
    """What is wrong with a file of ``width`` columns that DuckDB refused, and on which line."""
    for line, row in _records(path, delimiter):
        at = f"{where}, line {line}"
        if isinstance(row, str):
            if "limit" in row:
                return DataError("long-line", f"{at}: a cell has more than {MAX_LINE} bytes")
            return DataError(
                "bad-quotes",
                f"{at}: a quoted field is not closed, or text follows its closing quote; "
                'write a quote inside a field as ""',
            )
        if any(map(_is_broken, row)):
            return DataError("not-utf-8", f"{at}: not UTF-8; save the file as UTF-8")
        if len(row) != width and not (row == [] and width > 1):
            return DataError(
                "ragged-row",
                f"{at}: {len(row)} fields where the header has {width}; quote fields that "
                f"contain {delimiter!r}",
            )
    return DataError(
        "bad-csv",
        f"{where}: not readable as CSV (RFC 4180): mixed line ends, or a line over the limit; "
        "export the file again",
    )


def line_of_row(path: Path, delimiter: str, row: int) -> int | None:
    """The line on which data row ``row`` (from 0) starts; ``None`` where it is not found."""
    records = _records(path, delimiter)
    _, header = next(records)
    # A blank line is a row of one empty cell where there is one column, and else no row.
    lines = (line for line, cells in records if cells != [] or len(header) == 1)
    return next(itertools.islice(lines, row, None), None)


def _records(path: Path, delimiter: str) -> Iterator[tuple[int, list[str] | str]]:
    """Every record behind the number of the line it starts on; for the first that does not
    parse, the csv module's words (which hold no cell), and then no more."""
    with io.TextIOWrapper(
        _open(path), encoding="utf-8-sig", errors="surrogateescape", newline=""
    ) as stream:
        reader = csv.reader(stream, delimiter=delimiter, strict=True)
        line = 1
        while True:
            try:
                row = next(reader, None)
            except csv.Error as error:
                yield line, str(error)
                return
            if row is None:
                return
            yield line, row
            line = reader.line_num + 1


def _is_broken(text: str) -> bool:
    return not text.isascii() and any("\udc80" <= c <= "\udcff" for c in text)
