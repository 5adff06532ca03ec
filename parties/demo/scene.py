"""Who takes part in the demonstration: what each party has, whom it trusts, what it allows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import parties
from parties.config import DatasetEntry
from parties.errors import ConfigError
from parties.rules import Rule

BANK: Final = "bank"
ENTERPRISES: Final = ("leeds", "bradford", "calderdale", "wakefield", "sheffield")
PARTNER: Final = "data-partner"

APPLICANTS, SUPPLIERS = "applicants", "suppliers"
PAYABLES, CARDHOLDERS = "payables", "cardholders"
FLOOR: Final = 3
LEAST_ASKED: Final = 100
"""Enterprises answer nobody who brings fewer names: no probing for one company."""
LEAST_SCORED: Final = 1000
PARTNER_COLUMNS: Final = ("LIMIT_BAL", "PAY_0", "PAY_2", "PAY_3", "PAY_4", "PAY_5")
WITHHELD_COLUMNS: Final = ("SEX", "EDUCATION", "MARRIAGE", "AGE")
"""In the partner's file, but in no line of its policy."""

_EXAMPLE: Final = Path("examples", "joint_credit_check")


@dataclass(frozen=True)
class Actor:
    """One party. ``files`` are copied from the example into its node's directory; ``workers`` is
    how many processes its node may start, 0 for one a processor."""

    name: str
    kind: str
    files: tuple[str, ...]
    datasets: tuple[DatasetEntry, ...]
    trusts: tuple[str, ...]
    rules: tuple[Rule, ...] = ()
    workers: int = 1


def actors() -> tuple[Actor, ...]:
    """Everybody, the bank first."""
    bank = Actor(
        BANK,
        "bank",
        ("applicants.csv", "cardholders.csv.gz"),
        (
            DatasetEntry(APPLICANTS, "applicants.csv", ("company",), "name"),
            DatasetEntry(CARDHOLDERS, "cardholders.csv.gz", ("id",)),
        ),
        (*ENTERPRISES, PARTNER),
        workers=0,
    )
    return (bank, *map(_enterprise, ENTERPRISES), _partner())


def _enterprise(name: str) -> Actor:
    others = tuple(other for other in ENTERPRISES if other != name)
    # One sum a day: two of them over different contributors could be subtracted.
    rules = (
        Rule(PAYABLES, "psi", BANK, reveal=("rows",), min_cohort=LEAST_ASKED, per_day=1),
        Rule(
            PAYABLES, "sum", BANK, columns=("amount",), beside=others, min_cohort=FLOOR, per_day=1
        ),
    )
    ledger = DatasetEntry(
        PAYABLES, "payables.csv.gz", ("supplier_name",), "name", decimals={"amount": 2}
    )
    return Actor(name, "enterprise", ("payables.csv.gz",), (ledger,), (BANK, *others), rules)


def _partner() -> Actor:
    # One score a day: the same rows under other weights would give the columns away.
    rule = Rule(
        CARDHOLDERS, "score", BANK, columns=PARTNER_COLUMNS, min_cohort=LEAST_SCORED, per_day=1
    )
    cards = DatasetEntry(CARDHOLDERS, "cardholders.csv.gz", ("id",))
    return Actor(PARTNER, "data partner", ("cardholders.csv.gz",), (cards,), (BANK,), (rule,))


def find_example(given: Path | None = None) -> Path:
    """The folder with the data: ``given``, or that of the checkout that this code stands in, or
    the one below the current directory. ``ConfigError`` where there is none."""
    checkout = Path(parties.__file__).resolve().parents[1]
    places = [given] if given is not None else [checkout / _EXAMPLE, _EXAMPLE]
    for place in places:
        if (place / "oracle.py").is_file() and (place / "data").is_dir():
            return place.resolve()
    raise ConfigError(
        "the demonstration's data are not here",
        where=given or _EXAMPLE,
        remedy="they are in the repository: run `make demo` in a clone, or name the folder with "
        "--example DIR",
    )
