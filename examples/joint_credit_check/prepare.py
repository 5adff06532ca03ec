"""Rebuild data/ from its sources: ``python prepare.py DIRECTORY``.

DIRECTORY holds the files that data/SOURCES.md lists under "Sources". Nothing is drawn at
random: where rows are chosen, split or shuffled, the SHA-256 of a label and the row's
identifier decides.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final

from oracle import BANK, ENTERPRISES, HERE, PARTNER, Row, spelling, supplier_key

BANK_COLUMNS: Final = (
    "PAY_6",
    *(f"BILL_AMT{month}" for month in range(1, 7)),
    *(f"PAY_AMT{month}" for month in range(1, 7)),
)
PARTNER_COLUMNS: Final = (
    *("LIMIT_BAL", "SEX", "EDUCATION", "MARRIAGE", "AGE"),
    *(f"PAY_{month}" for month in (0, 2, 3, 4, 5)),
)
TEST_ROWS: Final = 9_000  # 30 %
UNKNOWN_TO_PARTNER: Final = 1_500  # 5 %


def draw(label: str, identifier: str) -> bytes:
    """A rank that depends on nothing else: sort by it to shuffle."""
    return hashlib.sha256(f"{label}:{identifier}".encode()).digest()


def source(directory: Path, name: str) -> list[Row]:
    with gzip.open(directory / f"{name}.csv.gz", "rt", encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text))


def compress(data: bytes) -> bytes:
    """Gzip with neither file name nor time in its header: the same bytes each time."""
    stored = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=stored, mtime=0) as file:
        file.write(data)
    return stored.getvalue()


def write(name: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write data/NAME, compressed where it ends in .gz, and print its line for SOURCES.md."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    inside = text.getvalue().encode()
    stored = compress(inside) if name.endswith(".gz") else inside
    path = HERE / "data" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(stored)
    digests = " | ".join(hashlib.sha256(part).hexdigest() for part in (stored, inside))
    print(f"| {name} | {len(rows):,} | {len(stored):,} | {digests} |")


def ledgers(directory: Path) -> set[str]:
    """Each enterprise's lines, complete and in their order; all their supplier keys."""
    keys: set[str] = set()
    for enterprise in ENTERPRISES:
        rows = source(directory, f"payables/payables_2018_{enterprise}")
        keys.update(row["supplier_key"] for row in rows)
        write(
            f"{enterprise}/payables.csv.gz",
            ("supplier_name", "payment_date", "amount"),
            [
                (r["supplier_name"], r["payment_date"], f"{Decimal(r['amount_pence']) / 100:.2f}")
                for r in rows
            ],
        )
    return keys


def applicants(directory: Path, supplier_keys: set[str]) -> None:
    """UK companies that occur in a ledger, and as many that occur in none, mixed.

    Left out: names that go on after the legal form ("... LIMITED PENSION SCHEME"), which are
    other legal entities than the company, and names that two entities share.
    """
    companies = [
        row
        for row in source(directory, "identifiers/lei_companies")
        if row["country"] == "GB"
        and spelling(row["legal_name"]) == supplier_key(row["legal_name"])
        and row["name_key"].endswith((" LTD", " PLC", " LLP", " CIC"))
    ]
    bearers = Counter(row["name_key"] for row in companies)
    companies = [row for row in companies if bearers[row["name_key"]] == 1]
    known = [row for row in companies if row["name_key"] in supplier_keys]
    others = [row for row in companies if row["name_key"] not in supplier_keys]
    others.sort(key=lambda row: draw("other", row["lei"]))
    chosen = known + others[: len(known)]
    chosen.sort(key=lambda row: draw("applicant", row["lei"]))
    write(
        f"{BANK}/applicants.csv",
        ("company", "lei"),
        [(row["legal_name"], row["lei"]) for row in chosen],
    )


def cardholders(directory: Path) -> None:
    """The columns split as FATE splits them; the rows into past customers and applicants."""
    rows = source(directory, "credit/default_credit_raw")
    label = "default.payment.next.month"

    def shuffled(name: str, chosen: Iterable[Row]) -> list[Row]:
        return sorted(chosen, key=lambda row: draw(name, row["ID"]))

    def pick(row: Row, columns: Iterable[str]) -> list[str]:
        return [row["ID"], *(row[column] for column in columns)]

    split = shuffled("split", rows)
    test, training = split[:TEST_ROWS], split[TEST_ROWS:]
    known = shuffled("known to the partner", rows)[UNKNOWN_TO_PARTNER:]
    write(
        f"{BANK}/cardholders.csv.gz",
        ("id", *BANK_COLUMNS),
        [pick(row, BANK_COLUMNS) for row in shuffled("bank", test)],
    )
    write(
        f"{BANK}/outcomes.csv.gz",
        ("id", "defaulted"),
        [pick(row, [label]) for row in shuffled("bank", test)],
    )
    write(
        f"{BANK}/past_cardholders.csv.gz",
        ("id", *BANK_COLUMNS, "defaulted"),
        [pick(row, [*BANK_COLUMNS, label]) for row in shuffled("bank", training)],
    )
    write(
        f"{PARTNER}/cardholders.csv.gz",
        ("id", *PARTNER_COLUMNS),
        [pick(row, PARTNER_COLUMNS) for row in shuffled("partner", known)],
    )


def main() -> None:
    """Write all files and print the table of SOURCES.md."""
    if len(sys.argv) != 2:
        sys.exit("usage: python prepare.py DIRECTORY (holding payables/, identifiers/, credit/)")
    directory = Path(sys.argv[1])
    applicants(directory, ledgers(directory))
    cardholders(directory)


if __name__ == "__main__":
    main()
