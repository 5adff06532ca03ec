"""What the bank makes of the answers: decisions, how good the scores are, and whether it is right.

The bank's own model needs no partner: it is computed here, over the bank's own file.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpc.linear_model import logistic, parse_model, partial_logit
from parties.demo import decisions, plaintext
from parties.demo.decisions import Table
from parties.demo.plaintext import Check, Expected
from parties.demo.quality import Quality, quality
from parties.demo.scene import BANK


@dataclass(frozen=True)
class Conclusions:
    """``joint`` and ``bank_only`` judge the two models on the rows that both parties have."""

    suppliers: Table
    cardholders: Table
    joint: Quality
    bank_only: Quality
    checks: tuple[Check, ...]


def conclude(
    example: Path,
    found: Mapping[str, Sequence[str]],
    totals: Mapping[str, Sequence[Any]],
    scores: Mapping[str, Sequence[Any]],
    notes: Mapping[str, Any],
    right: Expected,
) -> Conclusions:
    """``found``, ``totals`` and ``scores`` are the results as the bank fetched them, ``notes``
    what its node noted of the scores."""
    applicants = [row["company"] for row in _rows(example / "data" / BANK / "applicants.csv")]
    cards = _rows(example / "data" / BANK / "cardholders.csv.gz")
    outcomes = {
        row["id"]: row["defaulted"] == "1"
        for row in _rows(example / "data" / BANK / "outcomes.csv.gz")
    }
    ids = [row["id"] for row in cards]
    own = _own_logits(example / "model_bank_only.json", cards)
    logit = dict(zip(scores["id"], scores["logit"], strict=True))
    score = dict(zip(scores["id"], scores["score"], strict=True))

    known = np.array([i in score for i in ids])
    defaulted = np.array([outcomes[i] for i in ids])[known]
    joint = quality(np.array([score[i] for i in ids if i in score]), defaulted)
    bank_only = quality(logistic(own[known]), defaulted)

    paid = {
        name: total
        for name, total in zip(totals["company"], totals["total"], strict=True)
        if total is not None
    }
    contributors = dict(zip(totals["company"], totals["contributors"], strict=True))
    alone = {i: value for i, value in zip(ids, own.tolist(), strict=True) if i not in score}
    checks = (
        plaintext.check_suppliers(found, right),
        plaintext.check_totals(paid, contributors, right),
        plaintext.check_scores(logit, score, notes["logit_error"], notes["score_error"], right),
        plaintext.check_fallback(alone, right),
        plaintext.check_figures(joint, bank_only, right),
    )
    return Conclusions(
        decisions.suppliers(applicants, found, paid),
        decisions.cardholders(ids, score, logistic(own)),
        joint,
        bank_only,
        checks,
    )


def _rows(path: Path) -> list[dict[str, str]]:
    opener: Any = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _own_logits(model: Path, rows: Sequence[Mapping[str, str]]) -> NDArray[np.float64]:
    own = parse_model(json.loads(model.read_text("utf-8")))
    columns = np.array([[float(row[f.column]) for row in rows] for f in own.features])
    return own.bias + partial_logit(own.features, columns)
