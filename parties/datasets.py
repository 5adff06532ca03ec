"""An owner's files as streams of Arrow record batches. The only module that imports duckdb.

CSV cells arrive as text, exactly as they stand ("007" and "NA" stay), an empty cell as null;
Parquet values as they are typed. Rows come in file order, so that a row number means the same
row each time, for as long as the file's :func:`stamp` is the same.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import duckdb
import pyarrow as pa

from mpc.money import MAX_DECIMALS
from mpc.normalise import Normaliser, key_rule
from parties import csv_files
from parties.data_errors import DataError

T = TypeVar("T")

BATCH_ROWS: Final = 1 << 16


@dataclass(frozen=True)
class Dataset:
    """A source and what may be asked of it.

    ``keys`` are the columns that make up an identifier; ``normaliser`` names their published
    rule (``text``, ``text/1``, or one for each key column: ``lei,text``). ``columns`` are the
    others that protocols may read, ``None`` for all. ``decimals`` declares the scale of
    amount columns: 2 for a column of 12.50, 0 for a column of pence.
    """

    name: str
    source: Path
    keys: tuple[str, ...]
    normaliser: str = "text"
    columns: tuple[str, ...] | None = None
    decimals: Mapping[str, int] = field(default_factory=dict, hash=False)
    delimiter: str = ","

    def __post_init__(self) -> None:
        if not self.keys or len(set(self.keys)) != len(self.keys):
            raise DataError("bad-key", f"{self.where}: name one or more different key columns")
        for column, decimals in self.decimals.items():
            if not 0 <= decimals <= MAX_DECIMALS:
                raise DataError(
                    "bad-decimals",
                    f"{self.where}, column {column!r}: decimals are 0 to {MAX_DECIMALS}",
                )
        if len(self.delimiter) != 1 or self.delimiter in '"\r\n':
            raise DataError("bad-delimiter", f"{self.where}: a delimiter is one character")
        fault = None
        try:
            key_rule(self.normaliser, len(self.keys))
        except ValueError as error:
            fault = str(error)
        if fault is not None:
            raise DataError("bad-normaliser", f"{self.where}: {fault}")

    @property
    def rule(self) -> tuple[Normaliser, ...]:
        return key_rule(self.normaliser, len(self.keys))

    @property
    def where(self) -> str:
        """How messages name it."""
        file = Path(self.source).name
        return f"dataset {self.name!r} ({file if file.isprintable() else repr(file)})"


@dataclass(frozen=True)
class Engine:
    """What reading may use: DuckDB's memory, threads, and a directory to spill into
    (``None``: it never writes)."""

    memory: str = "1GB"
    threads: int = 2
    temporary: Path | None = None


DEFAULT_ENGINE: Final = Engine()


@dataclass(frozen=True)
class Column:
    """``type`` is DuckDB's name for it: VARCHAR, BIGINT, DECIMAL(12,2), ..."""

    name: str
    type: str


@dataclass(frozen=True)
class Description:
    columns: tuple[Column, ...]
    rows: int


def stamp(dataset: Dataset) -> str:
    """Changes when the file does. Local: it tells size and time."""
    status = _path(dataset).stat()
    return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ino}"


def describe(dataset: Dataset, *, engine: Engine = DEFAULT_ENGINE) -> Description:
    """Every column, and the exact number of rows."""
    with _connected(dataset, engine) as source:
        columns = source.columns()
        rows = source.guarded(lambda: source.sql("count(*)").fetchall()[0][0])
    return Description(columns, rows)


def scan(
    dataset: Dataset, columns: Sequence[str], *, engine: Engine = DEFAULT_ENGINE
) -> Iterator[pa.RecordBatch]:
    """The named columns, in that order, in batches of at most ``BATCH_ROWS`` rows.

    Raises :class:`DataError` for a file that cannot be read to its end, a column that is not
    there or not offered, and a file that changed meanwhile.
    """
    before = stamp(dataset)
    with _connected(dataset, engine) as source:
        select = ", ".join(source.find(name) for name in columns)
        reader = source.guarded(lambda: source.sql(select).to_arrow_reader(BATCH_ROWS))
        while (batch := source.guarded(lambda: next(reader, None))) is not None:
            yield batch
    if stamp(dataset) != before:
        raise DataError("changed", f"{dataset.where}: the file changed while it was read; retry")


def line_of(dataset: Dataset, row: int) -> str:
    """Where data row ``row`` (from 0) stands, in words."""
    if _is_csv(dataset):
        line = csv_files.line_of_row(_path(dataset), dataset.delimiter, row)
        if line is not None:
            return f"line {line}"
    return f"data row {row + 1}"


def _path(dataset: Dataset) -> Path:
    path = Path(dataset.source)
    if path.is_dir():
        raise DataError("not-a-file", f"{dataset.where}: the source is a directory; name a file")
    if not path.exists():
        raise DataError("no-such-file", f"{dataset.where}: there is no file {str(path)!r}")
    if not path.is_file():
        raise DataError("not-a-file", f"{dataset.where}: the source is not an ordinary file")
    return path.resolve()


def _is_csv(dataset: Dataset) -> bool:
    name = Path(dataset.source).name.lower()
    if name.endswith((".csv", ".csv.gz")):
        return True
    if name.endswith(".parquet"):
        return False
    raise DataError(
        "unknown-format", f"{dataset.where}: a source ends in .csv, .csv.gz or .parquet"
    )


class _Source:
    """One file behind one locked-down connection."""

    def __init__(self, dataset: Dataset, engine: Engine) -> None:
        self._dataset = dataset
        self._path = _path(dataset)
        self._csv = _is_csv(dataset)
        self._names: tuple[str, ...] = ()
        # DuckDB takes * ? [ in a path as a pattern; in brackets each stands for itself.
        pattern = "".join(f"[{c}]" if c in "*?[" else c for c in str(self._path))
        self._parameters: dict[str, Any] = {"path": pattern}
        if self._csv:
            where = dataset.where
            if csv_files.is_gzip(self._path):
                csv_files.verify_gzip(self._path, where)
            self._names = csv_files.read_header(self._path, dataset.delimiter, where)
            self._parameters |= {
                # Names of ours, by position: a header is data, and never becomes SQL.
                "columns": {f"c{i}": "VARCHAR" for i in range(len(self._names))},
                "delimiter": dataset.delimiter,
                "compression": "gzip" if csv_files.is_gzip(self._path) else "none",
                "longest": csv_files.MAX_LINE,
            }
            # parallel stays true: the serial reader drops an unclosed last row without a word.
            self._table = (
                "read_csv($path, auto_detect=false, header=true, columns=$columns, "
                "delim=$delimiter, quote='\"', escape='\"', compression=$compression, "
                "max_line_size=$longest, strict_mode=true, null_padding=false, "
                "ignore_errors=false, parallel=true, hive_partitioning=false)"
            )
        else:
            self._table = "read_parquet($path, hive_partitioning=false)"
        self._connection = duckdb.connect(
            ":memory:",
            config={
                "memory_limit": engine.memory,
                "threads": engine.threads,
                "temp_directory": "" if engine.temporary is None else str(engine.temporary),
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "allow_community_extensions": False,
                "preserve_insertion_order": True,
            },
        )
        allowed = {"paths": [str(self._path), pattern]}
        self._connection.execute("SET allowed_paths = $paths", allowed)
        self._connection.execute("SET enable_external_access = false")
        self._connection.execute("SET lock_configuration = true")

    def close(self) -> None:
        self._connection.close()

    def sql(self, select: str) -> duckdb.DuckDBPyRelation:
        """``select`` is text of ours: quoted names and functions."""
        return self._connection.sql(f"SELECT {select} FROM {self._table}", params=self._parameters)

    def columns(self) -> tuple[Column, ...]:
        if self._csv:
            return tuple(Column(name, "VARCHAR") for name in self._names)
        relation = self.guarded(lambda: self.sql("*"))
        return tuple(
            Column(name, str(kind))
            for name, kind in zip(relation.columns, relation.types, strict=True)
        )

    def find(self, name: str) -> str:
        """The SQL for one offered column."""
        dataset = self._dataset
        names = [column.name for column in self.columns()]
        if name not in names or not name:
            near = difflib.get_close_matches(name, names, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            if self._csv and not near and len(names) == 1 and dataset.delimiter == ",":
                hint = "; the header has one column: is the delimiter another than ','?"
            raise DataError("no-such-column", f"{dataset.where}: no column {name!r}{hint}")
        if not (dataset.columns is None or name in (*dataset.keys, *dataset.columns)):
            raise DataError(
                "column-not-offered",
                f"{dataset.where}: column {name!r} is not among those this dataset offers",
            )
        if self._csv:
            return f"c{names.index(name)}"
        return '"' + name.replace('"', '""') + '"'

    def guarded(self, call: Callable[[], T]) -> T:
        """``call()``, with DuckDB's errors in our words: its own quote the offending line.

        Raised outside the handler, so that no traceback carries the original along.
        """
        exhausted = False
        try:
            return call()
        except duckdb.OutOfMemoryException:
            exhausted = True
        except (duckdb.Error, pa.ArrowException, OSError):
            pass
        where = self._dataset.where
        if exhausted:
            raise DataError("memory", f"{where}: reading needs more memory than it may use")
        if self._csv:
            raise csv_files.find_fault(self._path, self._dataset.delimiter, len(self._names), where)
        raise DataError("bad-parquet", f"{where}: not a Parquet file, or damaged")


@contextmanager
def _connected(dataset: Dataset, engine: Engine) -> Iterator[_Source]:
    source = _Source(dataset, engine)
    try:
        yield source
    finally:
        source.close()
