"""What the protocols are measured on: made-up CSV files as users have them, and what must come out.

Every workload is made from a seed, and knows the right answer from the plaintexts alone.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import numpy as np
from nodes import Party, Query

SEED = 20240229
CONTRIBUTORS = 5
FLOOR = 3
FEATURES = {"shop": 12, "telecom": 11}
LARGEST_ERROR = 1e-5
ID_LETTERS = "0123456789ABCDEFGHJKLMNPQRTUWXY"


@dataclass(frozen=True)
class Workload:
    """``check`` raises ``WrongAnswer`` unless the output file is right. ``items`` is what the
    figures per item are taken over."""

    parties: tuple[Party, ...]
    query: Query
    items: int
    check: Callable[[Path], None]


class WrongAnswer(Exception):
    """A protocol's output differs from the plaintext computation."""


def identifiers(generator: np.random.Generator, count: int) -> list[str]:
    """Distinct, 18 characters each, as business registration numbers are."""
    letters = np.array(list(ID_LETTERS))
    drawn = letters[generator.integers(0, len(letters), (count, 11))]
    return [f"9{index:06d}{''.join(row)}" for index, row in enumerate(drawn.tolist())]


def psi(directory: Path, rows: int) -> Workload:
    """``rows`` identifiers a side, half of them in common; the querier learns which."""
    generator = np.random.default_rng([SEED, rows])
    every = identifiers(generator, rows + rows // 2)
    mine, theirs = every[:rows], every[rows // 2 :]
    generator.shuffle(mine)
    generator.shuffle(theirs)
    ours = _write(directory / "bank.csv", ["company", "note"], ([i, "-"] for i in mine))
    other = _write(directory / "core.csv", ["company"], ([i.lower()] for i in theirs))
    common = set(mine) & set(theirs)
    expected = [i for i in mine if i in common]

    def check(output: Path) -> None:
        found = [row["company"] for row in _read(output)]
        _equal("matched identifiers", found, expected)

    parties = (Party("bank", ours, "company"), Party("core", other, "company"))
    return Workload(parties, Query("psi", {"reveal": "rows", "to": "me"}), 2 * rows, check)


def sums(directory: Path, rows: int) -> Workload:
    """Five contributors with ``rows`` amounts each, one in ten of them for a key of their own."""
    generator = np.random.default_rng([SEED, rows])
    keys = identifiers(generator, rows)
    source = _write(directory / "bank.csv", ["supplier"], ([key] for key in keys))
    parties = [Party("bank", source, "supplier")]
    totals = dict.fromkeys(keys, Decimal(0))
    counts = dict.fromkeys(keys, 0)
    for number in range(1, CONTRIBUTORS + 1):
        held = generator.permutation(keys)[: rows - rows // 10].tolist()
        own = [f"X{number}{index:07d}" for index in range(rows // 10)]
        cents = generator.integers(-(10**11), 10**11, rows).tolist()
        ledger = [(key, Decimal(c).scaleb(-2)) for key, c in zip(held + own, cents, strict=True)]
        for key, amount in ledger[: len(held)]:
            totals[key] += amount
            counts[key] += 1
        name = f"core-{number}"
        source = _write(directory / f"{name}.csv", ["supplier", "amount"], ledger)
        parties.append(Party(name, source, "supplier", ("amount",), decimals=2))

    def check(output: Path) -> None:
        found = {
            row["supplier"]: (int(row["contributors"]), Decimal(row["total"] or "NaN"))
            for row in _read(output)
        }
        _equal("keys", list(found), keys)
        for key, (count, total) in found.items():
            _equal("contributors", count, counts[key])
            if count < FLOOR:
                _equal("withheld total", total.is_nan(), True)
            else:
                _equal("total", total, totals[key])

    options: dict[str, str | int] = {"amount": "amount", "floor": FLOOR, "decimals": 2}
    return Workload(tuple(parties), Query("sum", options), CONTRIBUTORS * rows, check)


def score(directory: Path, rows: int) -> Workload:
    """``rows`` applicants whose 23 features two others hold; each in an order of its own."""
    generator = np.random.default_rng([SEED, rows])
    applicants = identifiers(generator, rows)
    source = _write(directory / "bank.csv", ["applicant"], ([key] for key in applicants))
    parties = [Party("bank", source, "applicant")]
    model = []
    logits = np.full(rows, -0.5)
    for name, width in FEATURES.items():
        columns = tuple(f"{name}_{index}" for index in range(width))
        values = np.round(generator.normal(50.0, 20.0, (rows, width)), 4)
        weights = generator.normal(0.0, 0.3, width)
        logits += (np.clip(values, -20.0, 120.0) - 50.0) / 20.0 @ weights
        model += [
            {"party": name, "column": column, "weight": weight, "mean": 50.0, "scale": 20.0,
             "clip": [-20.0, 120.0]}
            for column, weight in zip(columns, weights.tolist(), strict=True)
        ]  # fmt: skip
        table = ([applicants[row], *values[row].tolist()] for row in generator.permutation(rows))
        source = _write(directory / f"{name}.csv", ["applicant", *columns], table)
        parties.append(Party(name, source, "applicant", columns))
    expected = dict(zip(applicants, (1 / (1 + np.exp(-logits))).tolist(), strict=True))

    def check(output: Path) -> None:
        found = {row["applicant"]: float(row["score"]) for row in _read(output)}
        _equal("applicants", list(found), applicants)
        worst = max(abs(found[key] - expected[key]) for key in applicants)
        if not (worst <= LARGEST_ERROR and math.isfinite(worst)):
            raise WrongAnswer(f"a score is off by {worst:.1e}")

    document = json.dumps({"bias": -0.5, "features": model}).encode()
    return Workload(tuple(parties), Query("score", {}, document), rows, check)


WORKLOADS: dict[str, Callable[[Path, int], Workload]] = {"psi": psi, "sum": sums, "score": score}


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
    return path


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def _equal(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise WrongAnswer(f"{what} differ from the plaintext computation")
