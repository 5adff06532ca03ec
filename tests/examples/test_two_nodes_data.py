"""examples/two_nodes: what its README says of the two files is so."""

from __future__ import annotations

import csv
import re
from decimal import Decimal
from pathlib import Path

from mpc.company_names import company_name_key

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "two_nodes"


def read(name: str) -> list[dict[str, str]]:
    with (EXAMPLE / name).open(encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text))


def test_the_readme_tables_every_match_with_its_spellings_and_sum() -> None:
    applicants, ledger = read("applicants.csv"), read("payables.csv")
    assert (len(applicants), len(ledger)) == (12, 20)
    lines: dict[str, list[dict[str, str]]] = {}
    for row in ledger:
        lines.setdefault(company_name_key(row["supplier"]), []).append(row)
    assert len(lines) == 14

    expected = []
    for row in applicants:
        name = row["company"]
        if found := lines.get(company_name_key(name)):
            spellings = list(dict.fromkeys(line["supplier"] for line in found))
            total = sum(Decimal(line["amount"]) for line in found)
            expected.append((name, spellings, str(len(found)), f"{total:.2f}"))
            assert name not in spellings or len(spellings) > 1, "a match that is too easy"

    readme = (EXAMPLE / "README.md").read_text("utf-8")
    table = re.findall(r"^\| `(.+?)`[^|]*\| (`.+`) \| (\d+) \| ([\d.]+) \|$", readme, re.MULTILINE)
    assert [
        (name, re.findall("`(.+?)`", spellings), count, total)
        for name, spellings, count, total in table
    ] == expected
    assert len(expected) == 9
