"""The bank's decisions: every row with its reason. Suppliers and cardholders are never joined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from parties.demo.quality import APPROVED

APPROVE, REFER, USUAL = "approve", "refer", "usual check"
"""``refer``: a person decides. ``usual check``: this one says nothing for or against."""
ENOUGH: Final = Decimal(100_000)
"""Pounds in the year from all enterprises together that make a supplier's income certain enough."""
JOINT, BANK_ONLY = "joint", "bank only"


@dataclass(frozen=True)
class Table:
    """``columns`` are equally long; ``kinds`` says for each row what sort of case it is."""

    columns: Mapping[str, Sequence[Any]]
    kinds: Sequence[str]

    def __len__(self) -> int:
        return len(self.kinds)

    @property
    def counts(self) -> dict[str, int]:
        """How many rows had which decision."""
        made = list(self.columns["decision"])
        return {decision: made.count(decision) for decision in sorted(set(made))}

    def head(self, count: int) -> list[int]:
        """The first ``count`` rows, and the first of each kind that is not among them."""
        firsts = (list(self.kinds).index(kind) for kind in dict.fromkeys(self.kinds))
        return sorted({*range(min(count, len(self))), *firsts})


def suppliers(
    applicants: Sequence[str],
    found: Mapping[str, Sequence[str]],
    totals: Mapping[str, Decimal],
) -> Table:
    """A row for each applicant, the largest totals first.

    ``found`` are the applicants whom each enterprise pays, ``totals`` what those get whom enough
    enterprises pay, in pounds.
    """
    rows = []
    for company in applicants:
        paid_by = [enterprise for enterprise, names in found.items() if company in names]
        total = totals.get(company)
        decision, reason = _supplier(paid_by, total)
        rows.append((company, len(paid_by), " ".join(paid_by), total, decision, reason))
    rows.sort(key=lambda row: (-(row[3] or 0), -row[1], row[0]))
    names = ("company", "enterprises", "paid_by", "total_gbp", "decision", "reason")
    kinds = [f"{decision}{total is None}" for *_, total, decision, _ in rows]
    return Table(dict(zip(names, zip(*rows, strict=True), strict=True)), kinds)


def _supplier(paid_by: Sequence[str], total: Decimal | None) -> tuple[str, str]:
    if total is not None and total >= ENOUGH:
        return APPROVE, f"{len(paid_by)} pay it {ENOUGH:,} or more"
    if total is not None:
        return REFER, f"{len(paid_by)} pay it less than {ENOUGH:,}"
    if paid_by:
        return REFER, f"{' and '.join(paid_by)} only: no total"
    return USUAL, "nobody here pays it"


def cardholders(
    ids: Sequence[str],
    joint: Mapping[str, float],
    bank_only: NDArray[np.float64],
) -> Table:
    """A row for each cardholder, in the order of ``ids``.

    ``joint`` are the scores of those whom the data partner knows; the bank's own model, with its
    scores ``bank_only`` float64[len(ids)], decides on the others. The best ``APPROVED`` of all are
    approved: both models' scores are probabilities of the same event.
    """
    scores = np.array([joint.get(i, own) for i, own in zip(ids, bank_only.tolist(), strict=True)])
    limit = float(np.sort(scores)[round(APPROVED * len(scores)) - 1])
    models = [JOINT if i in joint else BANK_ONLY for i in ids]
    decisions = [APPROVE if score <= limit else REFER for score in scores]
    reasons = [
        f"{'up to' if score <= limit else 'above'} {limit:.4f}"
        + ("; unknown to the partner" if model == BANK_ONLY else "")
        for score, model in zip(scores, models, strict=True)
    ]
    kinds = [f"{decision} {model}" for decision, model in zip(decisions, models, strict=True)]
    columns = {
        "id": list(ids),
        "score": scores.tolist(),
        "model": models,
        "decision": decisions,
        "reason": reasons,
    }
    return Table(columns, kinds)
