"""What the joint credit check must answer, computed in the clear from all parties' files.

Only an example can do this: it holds every party's data. It shares no code with the product
(csv, Decimal and NumPy alone), so that agreement means something. ``python oracle.py`` prints
the figures.
"""

from __future__ import annotations

import csv
import gzip
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

HERE: Final = Path(__file__).resolve().parent
BANK: Final = "bank"
ENTERPRISES: Final = ("leeds", "bradford", "calderdale", "wakefield", "sheffield")
PARTNER: Final = "data-partner"

Row = dict[str, str]
Model = dict[str, Any]


class Total(NamedTuple):
    """What one applicant was paid by all enterprises together, and by how many of them."""

    pence: int
    enterprises: int


class Quality(NamedTuple):
    """How well scores rank defaults. ``default_rate``: among the 80 % with the best scores."""

    auc: float
    ks: float
    default_rate: float


class Scores(NamedTuple):
    """Scores of the applicants that bank and data partner have in common, by rising id."""

    ids: tuple[str, ...]
    joint_logit: NDArray[np.float64]
    bank_logit: NDArray[np.float64]
    defaulted: NDArray[np.bool_]
    joint: Quality
    bank_only: Quality
    unknown: tuple[str, ...]
    """Applicants that the partner does not know: the bank has its own model for them."""


def read(name: str, here: Path = HERE) -> list[Row]:
    """Rows of ``data/NAME.csv``, or of ``data/NAME.csv.gz`` where that is what there is."""
    plain = here / "data" / f"{name}.csv"
    path, opener = (plain, open) if plain.exists() else (plain.with_suffix(".csv.gz"), gzip.open)
    with opener(path, "rt", encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text))


def read_model(name: str, here: Path = HERE) -> Model:
    """``model`` (joint) or ``model_bank_only``."""
    model: Model = json.loads((here / f"{name}.json").read_text("utf-8"))
    return model


# Suppliers -----------------------------------------------------------------------------------

_FORMS: Final = (
    ("PUBLIC LIMITED COMPANY", "PLC"),
    ("P L C", "PLC"),
    ("COMMUNITY INTEREST COMPANY", "CIC"),
    ("C I C", "CIC"),
    ("LIMITED LIABILITY PARTNERSHIP", "LLP"),
    ("LIMITED LIABILITY COMPANY", "LLC"),
    ("LIMITED", "LTD"),
    ("COMPANY", "CO"),
)


def spelling(name: str) -> str:
    """``name`` in capitals without accents and punctuation, its legal forms abbreviated."""
    decomposed = unicodedata.normalize("NFKD", name)
    text = "".join(c for c in decomposed if not unicodedata.combining(c)).upper()
    text = re.sub("['`.\u2018\u2019]", "", text.replace("&", " AND "))
    text = f" {' '.join(re.findall('[A-Z0-9]+', text))} "
    for long, short in _FORMS:
        text = text.replace(f" {long} ", f" {short} ")
    return text.strip().removeprefix("THE ")


@cache
def supplier_key(name: str) -> str:
    """``name`` as the join key: its :func:`spelling` up to the first LTD, PLC, LLP or CIC."""
    text = spelling(name)
    form = re.search(r" (LTD|PLC|LLP|CIC)(?= |$)", text)
    return text[: form.end()] if form else text


def payables(enterprise: str, here: Path = HERE) -> dict[str, int]:
    """Pence paid to each supplier key over the year."""
    sums: dict[str, int] = {}
    for row in read(f"{enterprise}/payables", here):
        pence = Decimal(row["amount"]) * 100
        if pence != int(pence):
            raise ValueError("an amount has more than two decimals")
        key = supplier_key(row["supplier_name"])
        sums[key] = sums.get(key, 0) + int(pence)
    return sums


def suppliers(here: Path = HERE) -> dict[str, frozenset[str]]:
    """For each enterprise, which applicants (as the bank spells them) are its suppliers."""
    applicants = [row["company"] for row in read(f"{BANK}/applicants", here)]
    return {
        enterprise: frozenset(a for a in applicants if supplier_key(a) in ledger)
        for enterprise, ledger in ((e, payables(e, here)) for e in ENTERPRISES)
    }


def totals(floor: int = 3, here: Path = HERE) -> dict[str, Total]:
    """Totals of the applicants that at least ``floor`` enterprises pay."""
    ledgers = [payables(enterprise, here) for enterprise in ENTERPRISES]
    found: dict[str, Total] = {}
    for row in read(f"{BANK}/applicants", here):
        key = supplier_key(row["company"])
        parts = [ledger[key] for ledger in ledgers if key in ledger]
        if len(parts) >= floor:
            found[row["company"]] = Total(sum(parts), len(parts))
    return found


# Cardholders ---------------------------------------------------------------------------------


def logits(
    model: Model, parties: Mapping[str, Mapping[str, Row]], ids: Iterable[str]
) -> NDArray[np.float64]:
    """bias + sum of weight * (clip(value) - mean) / scale, float64[len(ids)].

    ``parties`` holds each party's rows by id.
    """
    order = list(ids)
    logit = np.full(len(order), model["bias"], np.float64)
    for feature in model["features"]:
        rows = parties[feature["party"]]
        value = np.array([float(rows[i][feature["column"]]) for i in order])
        if "clip" in feature:
            value = value.clip(*feature["clip"])
        value = (value - feature.get("mean", 0.0)) / feature.get("scale", 1.0)
        logit += feature["weight"] * value
    return logit


def probability(logit: NDArray[np.float64]) -> NDArray[np.float64]:
    """The score: 1 / (1 + e^-logit)."""
    return np.asarray(1.0 / (1.0 + np.exp(-logit)), np.float64)


def auc(score: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """Area under the ROC curve by the rank-sum statistic; ties count one half."""
    _, where, count = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[where]
    ones = int(positive.sum())
    zeros = len(positive) - ones
    return float((rank[positive].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def ks(score: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """Kolmogorov-Smirnov: the widest gap between the two classes' score distributions."""
    values, where = np.unique(score, return_inverse=True)
    bad = np.bincount(where[positive], minlength=len(values)).cumsum() / positive.sum()
    good = np.bincount(where[~positive], minlength=len(values)).cumsum() / (~positive).sum()
    return float(np.abs(bad - good).max())


def default_rate(
    score: NDArray[np.float64], positive: NDArray[np.bool_], share: float = 0.8
) -> float:
    """Share of defaults among the ``share`` of rows with the lowest scores."""
    approved = np.argsort(score, kind="stable")[: round(share * len(score))]
    return float(positive[approved].mean())


def quality(score: NDArray[np.float64], positive: NDArray[np.bool_]) -> Quality:
    """All three figures; any increasing function of the score gives the same ones."""
    return Quality(auc(score, positive), ks(score, positive), default_rate(score, positive))


def by_id(rows: Iterable[Row]) -> dict[str, Row]:
    """Rows by their column ``id``."""
    return {row["id"]: row for row in rows}


def scores(here: Path = HERE) -> Scores:
    """Both models on the test split: none of these rows was used to fit them."""
    parties = {
        BANK: by_id(read(f"{BANK}/cardholders", here)),
        PARTNER: by_id(read(f"{PARTNER}/cardholders", here)),
    }
    outcome = by_id(read(f"{BANK}/outcomes", here))
    common = tuple(sorted(parties[BANK].keys() & parties[PARTNER].keys(), key=int))
    alone = tuple(sorted(parties[BANK].keys() - parties[PARTNER].keys(), key=int))
    joint = logits(read_model("model", here), parties, common)
    bank_only = logits(read_model("model_bank_only", here), parties, common)
    defaulted = np.array([outcome[i]["defaulted"] == "1" for i in common])
    return Scores(
        common,
        joint,
        bank_only,
        defaulted,
        quality(joint, defaulted),
        quality(bank_only, defaulted),
        alone,
    )


def main() -> None:
    """Print the figures as JSON."""
    matched = suppliers()
    cards = scores()
    figures = {
        "applicants": len(read(f"{BANK}/applicants")),
        "suppliers": {enterprise: len(names) for enterprise, names in matched.items()},
        "suppliers of any": len(frozenset[str]().union(*matched.values())),
        "totals": {name: total._asdict() for name, total in sorted(totals().items())},
        "cardholders scored": len(cards.ids),
        "cardholders unknown to the partner": len(cards.unknown),
        "joint": cards.joint._asdict(),
        "bank only": cards.bank_only._asdict(),
    }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
