"""Reading an owner's files: what comes through unchanged, what is refused, and in which words."""

from __future__ import annotations

import csv
import gzip
import io
import os
import tempfile
import traceback
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parties.columns import load_items
from parties.data_errors import DataError
from parties.datasets import Column, Dataset, Engine, describe, scan

CANARY = "canary-4711"


def file(tmp_path: Path, content: str | bytes, name: str = "data.csv") -> Path:
    path = tmp_path / name
    raw = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    return path


def rows(path: Path, *columns: str, **options: object) -> list[tuple[object, ...]]:
    dataset = Dataset("d", path, ("k",), **options)  # type: ignore[arg-type]
    found: list[tuple[object, ...]] = []
    for batch in scan(dataset, columns):
        found += zip(*(column.to_pylist() for column in batch.columns), strict=True)
    return found


@pytest.mark.parametrize("name", ["data.csv", "data.csv.gz", "DATA.CSV"])
def test_cells_stay_as_they_stand(tmp_path: Path, name: str) -> None:
    path = file(tmp_path, "k,v\n007,NA\n1e5,null\n 8 ,\nTrue,2018-01-01\n\u4e2d,\uff21\n", name)
    expected = [
        ("007", "NA"), ("1e5", "null"), (" 8 ", None), ("True", "2018-01-01"), ("中", "Ａ")
    ]  # fmt: skip
    assert rows(path, "k", "v") == expected
    assert rows(path, "v", "k") == [(v, k) for k, v in expected]
    described = describe(Dataset("d", path, ("k",)))
    assert described.columns == (Column("k", "VARCHAR"), Column("v", "VARCHAR"))
    assert described.rows == 5


@pytest.mark.parametrize(
    "content, expected",
    [
        ("\ufeffk,v\n1,2\n", [("1", "2")]),
        ("k,v\r\n1,2\r\n3,4\r\n", [("1", "2"), ("3", "4")]),
        ("k,v\n1,2", [("1", "2")]),
        ('"k",v\n"a\nb","x, ""y"""\n', [("a\nb", 'x, "y"')]),
        ('k,v\n5" pipe,2\n', [('5" pipe', "2")]),
        ("k,v\n1,2\n\n3,4\n\n", [("1", "2"), ("3", "4")]),
        ("k,v\n#1,2\n", [("#1", "2")]),
        ("k,v\na\0b,2\n", [("a\0b", "2")]),
        ("k,v\n", []),
        ("k,v", []),
    ],
)
def test_forms_of_csv(tmp_path: Path, content: str, expected: list[tuple[str, str]]) -> None:
    path = file(tmp_path, content)
    assert rows(path, "k", "v") == expected
    assert describe(Dataset("d", path, ("k",))).rows == len(expected)


def test_another_delimiter(tmp_path: Path) -> None:
    assert rows(file(tmp_path, "k;v\n1,5;2\n"), "k", delimiter=";") == [("1,5",)]


@pytest.mark.parametrize("name", ["data.csv", "data.csv.gz"])
@pytest.mark.parametrize(
    "content, code, says",
    [
        ("", "empty-file", "needs a header"),
        ("\n\nk,v\n1,2\n", "bad-header", "line 1"),
        ('"k,v\n1,2\n', "bad-header", "quote in the header"),
        ("k,v,k\n1,2,3\n", "duplicate-header", "columns 1 and 3"),
        ("k,v\n1,2\n3,canary-4711,5\n", "ragged-row", "line 3: 3 fields where the header has 2"),
        ("k,v\n1,2\ncanary-4711\n", "ragged-row", "line 3: 1 fields"),
        ('k,v\n"a\n\nb",2\n1,2,3\n', "ragged-row", "line 5:"),
        ('k,v\n1,2\n"canary-4711,4\n5,6\n', "bad-quotes", "line 3:"),
        ('k,v\n1,2\n"canary-4711,4\n', "bad-quotes", "line 3:"),
        ('k,v\n1,2\n3,"canary-4711', "bad-quotes", "line 3:"),
        ('k,v\n1,2\n"3"canary-4711,4\n', "bad-quotes", "line 3:"),
        (b"k,v\n1,2\n\xff-canary-4711,4\n", "not-utf-8", "line 3:"),
        (b"k,\xe9\n1,2\n", "not-utf-8", "line 1:"),
        ("k,v\n1,2\n".encode("utf-16"), "not-utf-8", "UTF-16"),
        ("k,v\r\n1,canary-4711\n3,4\r\n", "bad-csv", "mixed line ends"),
        ("k,v\n1,2\n\x1a", "ragged-row", "line 3:"),
    ],
)
def test_malformed(tmp_path: Path, name: str, content: str | bytes, code: str, says: str) -> None:
    path = file(tmp_path, content, name)
    with pytest.raises(DataError) as caught:
        rows(path, "k")
    assert caught.value.code == code
    assert says in str(caught.value)
    assert "dataset 'd'" in str(caught.value) and name in str(caught.value)
    assert "\n" not in str(caught.value)
    shown = "".join(traceback.format_exception(caught.value, chain=True))
    assert caught.value.__context__ is None
    assert CANARY not in shown


def test_a_fault_far_down_is_found_on_its_line(tmp_path: Path) -> None:
    lines = ["k,v"] + ['1,"a\nb"'] * 30_000 + ["1,2,3"]
    with pytest.raises(DataError, match="line 60002: 3 fields"):
        rows(file(tmp_path, "\n".join(lines)), "k")


def test_sources_that_are_no_file(tmp_path: Path) -> None:
    def code(path: Path) -> str:
        with pytest.raises(DataError) as caught:
            describe(Dataset("d", path, ("k",)))
        return caught.value.code

    assert code(tmp_path / "absent.csv") == "no-such-file"
    assert code(tmp_path) == "not-a-file"
    os.mkfifo(tmp_path / "pipe.csv")
    assert code(tmp_path / "pipe.csv") == "not-a-file"
    assert code(file(tmp_path, "k\n1\n", "book.xlsx")) == "unknown-format"
    assert code(file(tmp_path, b"PAR1....", "table.csv")) == "wrong-format"
    assert code(file(tmp_path, gzip.compress(b"k\n1\n"), "packed.csv")) == "wrong-format"
    assert code(file(tmp_path, "k\n1\n", "text.parquet")) == "bad-parquet"
    (tmp_path / "plain.csv.gz").write_text("k\n1\n")
    assert code(tmp_path / "plain.csv.gz") == "gzip-damaged"


@pytest.mark.parametrize("spoil", ["cut", "checksum", "middle"])
def test_damaged_gzip(tmp_path: Path, spoil: str) -> None:
    packed = bytearray(gzip.compress(b"k,v\n" + b"".join(b"%d,2\n" % i for i in range(5000))))
    if spoil == "cut":
        del packed[len(packed) // 2 :]
    else:
        packed[-6 if spoil == "checksum" else len(packed) // 2] ^= 0xFF
    path = tmp_path / "data.csv.gz"
    path.write_bytes(packed)
    with pytest.raises(DataError) as caught:
        rows(path, "k")
    assert caught.value.code == "gzip-damaged"


def test_gzip_members_are_one_file(tmp_path: Path) -> None:
    path = tmp_path / "data.csv.gz"
    path.write_bytes(gzip.compress(b"k,v\n1,2\n") + gzip.compress(b"3,4\n"))
    assert rows(path, "k") == [("1",), ("3",)]


def test_columns_that_are_not_there_or_not_offered(tmp_path: Path) -> None:
    path = file(tmp_path, "k,supplier_name,secret\n1,2,3\n")
    with pytest.raises(DataError, match=r"no column 'suplier_name'; did you mean 'supplier_name'"):
        rows(path, "suplier_name")
    with pytest.raises(DataError, match=r"no column 'zzz'$"):
        rows(path, "zzz")
    with pytest.raises(DataError, match="delimiter") as caught:
        rows(file(tmp_path, f"{CANARY};{CANARY}2\n1;2\n", "semi.csv"), "k")
    assert CANARY not in str(caught.value)  # a file without a header: its first row is data
    with pytest.raises(DataError) as caught:
        rows(path, "secret", columns=("supplier_name",))
    assert caught.value.code == "column-not-offered"
    assert rows(path, "k", "supplier_name", columns=("supplier_name",)) == [("1", "2")]


@pytest.mark.parametrize("name", ["data.csv", "data.parquet"])
def test_names_never_become_sql(tmp_path: Path, name: str) -> None:
    names = ["k", 'v"; DROP TABLE x; --', "'); COPY (SELECT 1) TO 'out.csv", "a b", "$path", "Key"]
    path = tmp_path / f"it's [a]*?{{b}} {name}"
    if name.endswith("csv"):
        header = ",".join('"' + n.replace('"', '""') + '"' for n in names)
        path.write_text(header + "\n1,2,3,4,5,6\n")
    else:
        pq.write_table(pa.table([[str(i + 1)] for i in range(6)], names=names), path)
    (tmp_path / f"it's a {name}").write_text("k,v\nwrong,file\n")
    assert rows(path, *names) == [("1", "2", "3", "4", "5", "6")]
    assert {p.name for p in tmp_path.iterdir()} == {path.name, f"it's a {name}"}


def test_a_pattern_opens_nothing_else(tmp_path: Path) -> None:
    file(tmp_path, "k\n1\n", "a.csv")
    with pytest.raises(DataError) as caught:
        rows(tmp_path / "*.csv", "k")
    assert caught.value.code == "no-such-file"


def test_directories_add_no_columns(tmp_path: Path) -> None:
    (tmp_path / "year=2018").mkdir()
    path = tmp_path / "year=2018" / "data.parquet"
    pq.write_table(pa.table({"k": ["1"]}), path)
    assert describe(Dataset("d", path, ("k",))).columns == (Column("k", "VARCHAR"),)


def test_the_connection_is_locked_down(tmp_path: Path) -> None:
    from parties.datasets import _connected

    path = file(tmp_path, "k\n1\n")
    other = file(tmp_path, "k\n2\n", "other.csv")
    with _connected(Dataset("d", path, ("k",)), Engine()) as source:
        run = source._connection.execute
        for statement in (
            f"SELECT * FROM read_csv('{other}')",
            f"COPY (SELECT 1) TO '{tmp_path / 'out.csv'}'",
            f"ATTACH '{tmp_path / 'x.db'}'",
            "INSTALL httpfs",
            "LOAD httpfs",
            "SELECT * FROM read_csv('https://example.org/x.csv')",
            "SET enable_external_access = true",
            "SET allowed_paths = ['/']",
        ):
            with pytest.raises(Exception, match=r"(?i)configuration|disabled|locked"):
                run(statement)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data.csv", "other.csv"]


@pytest.mark.parametrize("name", ["data.csv", "data.parquet"])
def test_rows_come_in_file_order(tmp_path: Path, name: str) -> None:
    count = 300_000
    table = pa.table({"k": pa.array(range(count)).cast(pa.string()), "v": ["x"] * count})
    path = tmp_path / name
    if name.endswith("csv"):
        path.write_text("k,v\n" + "".join(f"{i},x\n" for i in range(count)))
    else:
        pq.write_table(table, path, row_group_size=7_001)
    assert [int(str(k)) for (k,) in rows(path, "k")] == list(range(count))


def test_parquet_values_keep_their_types(tmp_path: Path) -> None:
    from decimal import Decimal

    path = tmp_path / "data.parquet"
    table = {"k": [1, 2], "m": pa.array([Decimal("1.50"), None], pa.decimal128(12, 2))}
    pq.write_table(pa.table(table), path)
    assert rows(path, "m", "k") == [(Decimal("1.50"), 1), (None, 2)]
    assert [c.type for c in describe(Dataset("d", path, ("k",))).columns] == [
        "BIGINT", "DECIMAL(12,2)"
    ]  # fmt: skip


def test_a_file_that_changes_while_it_is_read(tmp_path: Path) -> None:
    path = file(tmp_path, "k,v\n" + "1,2\n" * 200_000)
    batches = scan(Dataset("d", path, ("k",)), ["k"])
    next(batches)
    with path.open("a") as stream:
        stream.write("3,4\n")
    with pytest.raises(DataError) as caught:
        list(batches)
    assert caught.value.code == "changed"


def test_memory_is_bounded_by_the_engine(tmp_path: Path) -> None:
    path = file(tmp_path, "k\n1\n")
    assert load_items(Dataset("d", path, ("k",)), engine=Engine("64MB", 1, tmp_path)).rows == 1


@pytest.mark.parametrize(
    "options, code",
    [
        ({"keys": ()}, "bad-key"),
        ({"keys": ("k", "k")}, "bad-key"),
        ({"normaliser": "txt"}, "bad-normaliser"),
        ({"normaliser": "text/9"}, "bad-normaliser"),
        ({"decimals": {"v": 19}}, "bad-decimals"),
        ({"delimiter": ";;"}, "bad-delimiter"),
    ],
)
def test_a_dataset_that_makes_no_sense(options: dict[str, object], code: str) -> None:
    given = {"name": "d", "source": Path("data.csv"), "keys": ("k",)} | options
    with pytest.raises(DataError) as caught:
        Dataset(**given)  # type: ignore[arg-type]
    assert caught.value.code == code and "dataset 'd' (data.csv)" in str(caught.value)


CELL = st.text(st.sampled_from("ab,;\"\n\r\t \0\\#'é中\u200b"), max_size=6)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(CELL, CELL), max_size=6), st.sampled_from(["\n", "\r\n"]))
def test_whatever_csv_writes_is_read_back(cells: list[tuple[str, str]], end: str) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([("k", "v"), *cells])
    with tempfile.TemporaryDirectory() as folder:
        path = file(Path(folder), text.getvalue())
        assert [(k or "", v or "") for k, v in rows(path, "k", "v")] == cells  # type: ignore[misc]
