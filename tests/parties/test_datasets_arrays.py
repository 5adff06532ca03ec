"""From a dataset to the arrays a protocol takes, and back to rows."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mpc.items import item_digests
from mpc.normalise import key_rule
from parties.columns import load_items, original_keys, read_columns
from parties.data_check import check
from parties.data_errors import DataError
from parties.datasets import Dataset
from parties.values import load_amounts, load_features

LEDGER = """supplier,month,amount,score,note
Acme Ltd,1,10.50,0.5,a
 ACME  LTD ,1,0.25,-1e3,b
,1,99,9,c
Bravo,2,-3,4,d
C\0D,1,7,9,e
Ｂravo,3,5,.5,f
"""
CANARY = "4711.1234"


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.csv"
    path.write_text(LEDGER)
    return path


def dataset(path: Path, **options: object) -> Dataset:
    given = {"keys": ("supplier",), "decimals": {"amount": 2}} | options
    return Dataset("ledger", path, **given)  # type: ignore[arg-type]


def digests(*keys: str) -> np.ndarray:
    return item_digests(key_rule("text", 1), [keys]).digests


def test_items(ledger: Path) -> None:
    items = load_items(dataset(ledger))
    assert items.digests.tobytes() == digests("acme ltd", "bravo").tobytes()
    assert items.first_row.tolist() == [0, 3]
    assert (items.rows, items.duplicates, items.empty, items.invalid) == (6, 2, 1, 1)


def test_items_with_several_key_columns(ledger: Path) -> None:
    items = load_items(dataset(ledger, keys=("supplier", "month")))
    assert items.first_row.tolist() == [0, 3, 5]
    assert (items.rows, items.duplicates, items.empty, items.invalid) == (6, 1, 1, 1)


def test_items_of_many_batches_and_of_none(tmp_path: Path) -> None:
    path = tmp_path / "big.csv"
    path.write_text("supplier\n" + "".join(f"S{i % 70_000}\n" for i in range(150_000)))
    items = load_items(dataset(path))
    assert items.first_row.tolist() == list(range(70_000))
    assert (items.rows, items.duplicates) == (150_000, 80_000)
    path.write_text("supplier\n")
    items = load_items(dataset(path))
    assert items.digests.shape == (0, 16) and items.rows == 0


def test_cells_of_a_megabyte(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    path.write_text("supplier,v\n" + "x" * (1 << 20) + ",1\na,2\n")
    items = load_items(dataset(path))
    assert (items.rows, items.invalid, len(items.digests)) == (2, 1, 1)
    path.write_text("supplier,v\n" + "x" * (1 << 20) + ",1\na,2,3\n")
    with pytest.raises(DataError, match="line 3: 3 fields"):
        load_items(dataset(path))
    path.write_text("supplier,v\n" + "x" * (1 << 23) + ",1\na,2\n")
    with pytest.raises(DataError, match="line 2: a cell has more than"):
        load_items(dataset(path))


def test_integer_and_date_keys_of_parquet(tmp_path: Path) -> None:
    import datetime

    path = tmp_path / "k.parquet"
    days = [datetime.date(2018, 1, 2)]
    pq.write_table(pa.table({"n": [7], "d": days, "f": [7.0], "s": ["7"]}), path)
    by_text = load_items(dataset(path, keys=("s",)))
    assert load_items(dataset(path, keys=("n",))).digests.tobytes() == by_text.digests.tobytes()
    by_day = load_items(dataset(path, keys=("d",)))
    assert by_day.digests.tobytes() == digests("2018-01-02").tobytes()
    with pytest.raises(DataError, match="column 'f': double is no type for an identifier"):
        load_items(dataset(path, keys=("f",)))


def test_original_keys_come_back_as_they_stood(ledger: Path) -> None:
    source = dataset(ledger, keys=("supplier", "month"))
    rows = np.array([5, 1, 1, 2])
    assert original_keys(source, rows) == {
        "supplier": ["Ｂravo", " ACME  LTD ", " ACME  LTD ", None],
        "month": ["3", "1", "1", "1"],
    }
    assert read_columns(source, ["note"], np.empty(0, np.int64)) == {"note": []}
    for wrong in ([6], [-1]):
        with pytest.raises(IndexError):
            original_keys(source, np.array(wrong))


def test_rows_of_a_file_that_changed_are_not_read(ledger: Path) -> None:
    items = load_items(dataset(ledger))
    assert original_keys(dataset(ledger), items.first_row, expect=items.stamp)
    ledger.write_text("supplier\nX\nY\nZ\nU\n")
    with pytest.raises(DataError) as caught:
        original_keys(dataset(ledger), items.first_row, expect=items.stamp)
    assert caught.value.code == "changed"


def test_amounts_sum_duplicates_exactly(ledger: Path) -> None:
    amounts = load_amounts(dataset(ledger), "amount")
    assert amounts.digests.tobytes() == digests("acme ltd", "bravo").tobytes()
    assert amounts.sums.tolist() == [1075, 200] and amounts.sums.dtype == np.int64
    assert amounts.counts.tolist() == [2, 2]


def test_amounts_of_wanted_identifiers(ledger: Path) -> None:
    wanted = digests("zulu", "bravo", "acme ltd", "xray")
    amounts = load_amounts(dataset(ledger), "amount", wanted=wanted)
    assert amounts.digests is wanted
    assert amounts.sums.tolist() == [0, 200, 1075, 0]
    assert amounts.counts.tolist() == [0, 2, 2, 0]
    with pytest.raises(ValueError, match="repeat"):
        load_amounts(dataset(ledger), "amount", wanted=digests("a", "a"))
    ledger.write_text("supplier,amount\n")
    assert load_amounts(dataset(ledger), "amount", wanted=wanted).sums.tolist() == [0] * 4


def test_amounts_that_are_none(ledger: Path) -> None:
    ledger.write_text(f'supplier,amount\n"a\nb",1\nb,"1,000"\nc,{CANARY}\nd,\n,x\ne,5\n')
    with pytest.raises(DataError) as caught:
        load_amounts(dataset(ledger), "amount")
    assert str(caught.value) == (
        "dataset 'ledger' (ledger.csv), column 'amount': no amount with at most 2 "
        "decimals in 3 rows (empty 1, thousands-separator 1, too-many-decimals 1), the first on "
        "line 4; correct or leave them out"
    )


def test_blank_lines_are_rows_of_a_single_column_alone(ledger: Path) -> None:
    for content in ("amount\n1\n\n2\nx\n", "amount,v\n1,1\n\n2,2\nx,3\n"):
        ledger.write_text(content)
        with pytest.raises(DataError, match="the first on line 5;"):
            load_amounts(dataset(ledger, keys=("amount",)), "amount")


def test_sums_past_64_bits_are_refused(ledger: Path) -> None:
    most = "92233720368547758.07"
    ledger.write_text(f"supplier,amount\na,{most}\nb,1\na,0.01\n")
    with pytest.raises(DataError) as caught:
        load_amounts(dataset(ledger), "amount", wanted=digests("b"))
    assert caught.value.code == "sum-out-of-range"
    assert "column 'amount': the sum of 1 identifier does not fit 64 bits" in str(caught.value)
    assert most not in str(caught.value)
    ledger.write_text(f"supplier,amount\na,{most}\na,0.01\na,-0.01\n")
    assert load_amounts(dataset(ledger), "amount").sums.tolist() == [2**63 - 1]


def test_amounts_need_declared_decimals(ledger: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_amounts(dataset(ledger), "score")
    assert caught.value.code == "no-decimals"
    with pytest.raises(DataError, match="too-many-decimals"):
        load_amounts(dataset(ledger), "amount", decimals=0)


def test_amounts_of_parquet(tmp_path: Path) -> None:
    path = tmp_path / "ledger.parquet"
    columns = {
        "supplier": ["a", "b", "a"],
        "exact": pa.array([Decimal("1.5000"), Decimal("2"), Decimal("-9")], pa.decimal128(20, 4)),
        "pence": [150, 200, -900],
        "binary": [1.5, 2.0, -9.0],
    }
    pq.write_table(pa.table(columns), path)
    source = dataset(path, decimals={"exact": 2, "pence": 0, "binary": 2})
    assert load_amounts(source, "exact").sums.tolist() == [-750, 200]
    assert load_amounts(source, "pence").sums.tolist() == [-750, 200]
    with pytest.raises(DataError) as caught:
        load_amounts(source, "binary")
    assert caught.value.code == "inexact-amounts"


def test_features_follow_the_identifiers(ledger: Path) -> None:
    source = dataset(ledger, keys=("note",))
    matrix = load_features(source, ["score", "amount"])
    assert matrix.dtype == np.float64 and matrix.flags.c_contiguous
    assert matrix.tolist() == [[0.5, -1000, 9, 4, 9, 0.5], [10.5, 0.25, 99, -3, 7, 5]]
    picked = load_features(source, ["amount"], wanted=digests("f", "b"))
    assert picked.tolist() == [[5, 0.25]]
    with pytest.raises(DataError) as caught:
        load_features(source, ["amount"], wanted=digests("f", "zulu"))
    assert caught.value.code == "missing-identifiers" and "1 identifier of" in str(caught.value)


def test_features_of_repeated_identifiers_are_refused(ledger: Path) -> None:
    with pytest.raises(DataError, match="2 rows repeat an identifier") as caught:
        load_features(dataset(ledger), ["score"])
    assert caught.value.code == "duplicate-identifiers"


@pytest.mark.parametrize("cell", ["", "x", "nan", "inf", "1e999", "1_0", "0x1p3", "1,5", "１"])
def test_features_that_are_no_number(ledger: Path, cell: str) -> None:
    ledger.write_text(f'supplier,score\na,1\nb,"{cell}"\nc,"{cell}"\n')
    with pytest.raises(DataError) as caught:
        load_features(dataset(ledger), ["score"])
    assert "column 'score': no finite number in 2 rows" in str(caught.value)
    assert "first on line 3" in str(caught.value)


def test_features_of_parquet(tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    columns = {
        "supplier": ["a", "b"], "f": [0.1, None], "i": [1, 2], "b": [True, False],
        "d": pa.array([Decimal("0.1"), Decimal("2.5")], pa.decimal128(9, 1)),
    }  # fmt: skip
    pq.write_table(pa.table(columns), path)
    assert load_features(dataset(path), ["i", "b", "d"]).tolist() == [[1, 2], [1, 0], [0.1, 2.5]]
    with pytest.raises(DataError, match=r"column 'f': no finite number in 1 row .*data row 2"):
        load_features(dataset(path), ["f"])


def test_check_counts_and_shows_no_cell(ledger: Path) -> None:
    report = check(dataset(ledger))
    assert (report.rows, report.distinct, report.duplicates, report.empty) == (6, 2, 2, 1)
    assert report.invalid == {"control-character": 1}
    columns = {column.name: column for column in report.columns}
    assert list(columns) == ["month", "amount", "score", "note"]
    assert columns["note"].non_numeric == 6 and columns["score"].non_numeric == 0
    assert all(c.minimum is None and c.maximum is None for c in report.columns)


def test_check_with_ranges_and_refused_amounts(ledger: Path) -> None:
    ledger.write_text("supplier,amount,x\na,10.50,\nb,9.999,q\nc, ,3\nd,,1e2\n")
    report = check(dataset(ledger), ranges=True)
    amount, x = report.columns
    assert (amount.minimum, amount.maximum, amount.empty) == ("9.999", "10.50", 2)
    assert amount.refused == {"too-many-decimals": 1, "empty": 2}
    assert (x.minimum, x.maximum, x.empty, x.non_numeric) == ("3", "1E+2", 1, 1)
    only = check(dataset(ledger, columns=("x",)))
    assert [column.name for column in only.columns] == ["x"]
    with pytest.raises(DataError, match=r"no column 'ammount'; did you mean 'amount'"):
        check(dataset(ledger, columns=("ammount",)))
