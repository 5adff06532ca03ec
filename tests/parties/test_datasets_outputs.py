"""Results as files: exact, whole, and readable by their owner alone."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from mpc.money import from_minor_units
from parties import outputs
from parties.data_errors import DataError
from parties.outputs import format_of, write_table

HUGE = 2**63
TABLE = {
    "key": ["007", 'a "b", c', "l\nm", "", None],
    "total": [1, -HUGE - 1, HUGE, 10**30, 0],
    "money": [from_minor_units(m, 2) for m in (-5, HUGE, 0, 100, 1)],
    "score": np.array([0.1, 1 / 3, -2.5e-300, 0.0, 1.0]),
}


def test_csv(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    write_table(path, TABLE)
    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [r["key"] for r in rows] == ["007", 'a "b", c', "l\nm", "", ""]
    assert [int(r["total"]) for r in rows] == TABLE["total"]
    assert [r["money"] for r in rows] == TABLE["money"]
    assert [float(r["score"]) for r in rows] == TABLE["score"].tolist()
    assert path.stat().st_mode & 0o777 == 0o600


def test_json(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    write_table(path, TABLE)
    rows = json.loads(path.read_text())
    assert [r["key"] for r in rows] == TABLE["key"]
    assert [r["total"] for r in rows] == TABLE["total"]
    assert [r["money"] for r in rows] == TABLE["money"]
    write_table(path, {"key": []})
    assert json.loads(path.read_text()) == []


def test_parquet(tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"
    write_table(path, TABLE | {"small": np.arange(5)})
    table = pq.read_table(path).to_pydict()
    assert table["key"] == TABLE["key"] and table["money"] == TABLE["money"]
    assert table["total"] == [Decimal(v) for v in TABLE["total"]]
    assert table["score"] == TABLE["score"].tolist()
    assert str(pq.read_schema(path).field("small").type) == "int64"


def test_stdout_is_csv() -> None:
    stream = io.BytesIO()
    write_table("-", {"key": ["é"], "total": [1]}, stdout=stream)
    assert stream.getvalue() == "key,total\né,1\n".encode()
    assert not stream.closed


def test_numbers_keep_every_digit(tmp_path: Path) -> None:
    table = {"d": [Decimal("1E+3"), Decimal("0.10")], "n": [np.float64(0.1), np.int64(5)]}
    stream = io.BytesIO()
    write_table("-", table, stdout=stream)  # type: ignore[arg-type]
    assert stream.getvalue() == b"d,n\n1000,0.1\n0.10,5\n"
    write_table(tmp_path / "out.json", table)  # type: ignore[arg-type]
    rows = json.loads((tmp_path / "out.json").read_text())
    assert rows == [{"d": "1000", "n": 0.1}, {"d": "0.10", "n": 5}]


def test_one_empty_cell_is_no_blank_line() -> None:
    stream = io.BytesIO()
    write_table("-", {"key": ["", "a"]}, stdout=stream)
    assert stream.getvalue() == b'key\n""\na\n'


@pytest.mark.parametrize(
    "name, code",
    [
        ("out.xlsx", "unknown-format"), ("out", "unknown-format"),
        ("absent/out.csv", "no-such-directory"), ("folder.csv", "not-a-file"),
    ],
)  # fmt: skip
def test_where_nothing_can_be_written(tmp_path: Path, name: str, code: str) -> None:
    (tmp_path / "folder.csv").mkdir()
    for refuse in (format_of, lambda path: write_table(path, TABLE)):
        with pytest.raises(DataError) as caught:
            refuse(tmp_path / name)
        assert caught.value.code == code
    assert [p.name for p in tmp_path.iterdir()] == ["folder.csv"]


def test_a_failure_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.csv"
    write_table(path, {"a": [1]})

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(outputs.os, "fsync", full)
    with pytest.raises(DataError, match="not written: No space left on device"):
        write_table(path, {"a": [2]})
    assert path.read_text() == "a\n1\n"
    assert list(tmp_path.iterdir()) == [path]


def test_results_that_are_no_table(tmp_path: Path) -> None:
    for table in ({"a": [1], "b": []}, {"a": [float("nan")]}, {"a": np.array([np.inf])}):
        with pytest.raises(ValueError):
            write_table(tmp_path / "out.csv", table)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
