"""Every result against the same computed in the clear, by the example's own ``oracle.py``.

Only a demonstration can do this: it has every party's files. The oracle shares no code with us.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from parties.demo.quality import Quality
from parties.demo.questions import Answer
from parties.demo.scene import BANK, CARDHOLDERS, FLOOR
from parties.errors import ConfigError
from parties.status import Exit
from parties.store import REFUSED

CLOSE_FIGURES: Final = 1e-3
"""Scores that differ by their proven error may swap places, and move AUC and KS a little."""
ROUNDING: Final = 1e-9
"""For logits that both sides compute in float64, in another order of addition."""


@dataclass(frozen=True)
class Expected:
    """What the oracle says. Logits float64 by the order of their ids."""

    suppliers: Mapping[str, frozenset[str]]
    totals: Mapping[str, tuple[int, int]]
    ids: Sequence[str]
    logits: NDArray[np.float64]
    alone: Sequence[str]
    alone_logits: NDArray[np.float64]
    joint: Quality
    bank_only: Quality


@dataclass(frozen=True)
class Check:
    """``compared`` rows; each of ``faults`` names a row and both answers."""

    name: str
    compared: int
    faults: tuple[str, ...]
    detail: str = ""

    @property
    def passed(self) -> bool:
        return not self.faults


def expected(example: Path) -> Expected:
    """The oracle's answers; it takes a second or two."""
    oracle = _load(example / "oracle.py")
    scores = oracle.scores(here=example)
    rows = {BANK: oracle.by_id(oracle.read(f"{BANK}/{CARDHOLDERS}", example))}
    model = oracle.read_model("model_bank_only", example)
    return Expected(
        suppliers=oracle.suppliers(here=example),
        totals={name: tuple(t) for name, t in oracle.totals(FLOOR, here=example).items()},
        ids=scores.ids,
        logits=scores.joint_logit,
        alone=scores.unknown,
        alone_logits=oracle.logits(model, rows, scores.unknown),
        joint=Quality(*scores.joint),
        bank_only=Quality(*scores.bank_only),
    )


def _load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location("jointcredit_oracle", path)
    if spec is None or spec.loader is None:
        raise ConfigError("no oracle to check against", where=path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def check_suppliers(found: Mapping[str, Sequence[str]], right: Expected) -> Check:
    """(a) For each enterprise the very same rows, each once."""
    faults: list[str] = []
    for enterprise, names in right.suppliers.items():
        got = found.get(enterprise, ())
        faults += _differences(f"{enterprise}: ", got, names)
    return Check("suppliers", sum(map(len, right.suppliers.values())), tuple(faults))


def check_totals(
    totals: Mapping[str, Decimal], contributors: Mapping[str, int], right: Expected
) -> Check:
    """(b) The same keys, every total to the penny, every number of contributors."""
    faults = _differences("", list(totals), right.totals)
    for name, (pence, enterprises) in right.totals.items():
        if name in totals and totals[name] * 100 != pence:
            faults.append(f"{name}: {totals[name]}, in the clear {Decimal(pence) / 100:.2f}")
        if name in totals and contributors.get(name) != enterprises:
            faults.append(
                f"{name}: {contributors.get(name)} contributors, in the clear {enterprises}"
            )
    return Check("totals", len(right.totals), tuple(faults), "exact, in pence")


def check_scores(
    logits: Mapping[str, float],
    scores: Mapping[str, float],
    logit_error: float,
    score_error: float,
    right: Expected,
) -> Check:
    """(c) The same rows, each logit and score within the error that the protocol proves."""
    faults = _differences("", list(logits), right.ids)
    worst = 0.0
    for i, logit in zip(right.ids, right.logits.tolist(), strict=True):
        if i not in logits:
            continue
        off = abs(logits[i] - logit)
        worst = max(worst, off)
        if not off <= logit_error:
            faults.append(f"id {i}: logit {logits[i]:.6f}, in the clear {logit:.6f}")
        score = 1 / (1 + np.exp(-logit))
        if not abs(scores[i] - score) <= score_error:
            faults.append(f"id {i}: score {scores[i]:.6f}, in the clear {score:.6f}")
    detail = f"logits off by at most {worst:.1e}; proven {logit_error:.1e}"
    return Check("scores", len(right.ids), tuple(faults), detail)


def check_fallback(logits: Mapping[str, float], right: Expected) -> Check:
    """The rows that the partner does not know, under the bank's own model."""
    faults = _differences("", list(logits), right.alone)
    faults += [
        f"id {i}: logit {logits[i]:.6f}, in the clear {logit:.6f}"
        for i, logit in zip(right.alone, right.alone_logits.tolist(), strict=True)
        if i in logits and not abs(logits[i] - logit) <= ROUNDING
    ]
    return Check("bank-only scores", len(right.alone), tuple(faults))


def check_figures(joint: Quality, bank_only: Quality, right: Expected) -> Check:
    """AUC, KS and default rate of both models."""
    faults = [
        f"{model} {name}: {got:.4f}, in the clear {want:.4f}"
        for model, ours, theirs in (
            ("joint", joint, right.joint),
            ("bank only", bank_only, right.bank_only),
        )
        for (name, got), want in zip(vars(ours).items(), vars(theirs).values(), strict=True)
        if not abs(got - want) <= CLOSE_FIGURES
    ]
    return Check("figures", 6, tuple(faults), f"within {CLOSE_FIGURES}")


def check_refused(refused: Answer) -> Check:
    """A total with a floor of one must not be had: the owner's policy says so."""
    right = refused.state == REFUSED and refused.exit_code == Exit.REFUSED
    fault = f"{refused.question.label}: {refused.state}, exit code {refused.exit_code}"
    return Check("refusal", 1, () if right else (fault,), refused.code)


def _differences(where: str, got: Sequence[str], want: Collection[str]) -> list[str]:
    """Rows that are missing, too many, or there twice."""
    have, right = set(got), set(want)
    faults = [f"{where}{row}: missing" for row in sorted(right - have)]
    faults += [f"{where}{row}: must not be there" for row in sorted(have - right)]
    if len(got) > len(have):
        faults.append(f"{where}{len(got) - len(have)} rows are there twice")
    return faults
