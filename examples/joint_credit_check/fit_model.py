"""Fit both models on the training split, in the clear, and write them as MODEL.json files.

``python fit_model.py [DIRECTORY]``; the default is where this file stands. Logistic regression
with an L2 penalty, by Newton's method (iteratively reweighted least squares): convex, started
at zero and run to convergence, so every machine gets the same weights.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from oracle import BANK, HERE, PARTNER, Model, by_id, read

PENALTY: Final = 10.0  # on the sum of squared standardised weights; the bias is free
MONTHS_LATE: Final = (0, 3)
BILL: Final = (0, 300_000)
PAYMENT: Final = (0, 20_000)
LIMIT: Final = (10_000, 500_000)

# Clip bounds are round numbers, because the party that holds a column is told them; they cut
# at most some 5 % of a column's upper end. PAY_*: -2 (no use), -1 (paid in full) and 0
# (revolving) all mean "not late". SEX, EDUCATION, MARRIAGE and AGE stay out: the model judges
# how people pay, not who they are, and many countries' credit law asks for just that.
CLIPS: Final[dict[str, dict[str, tuple[int, int]]]] = {
    BANK: {
        "PAY_6": MONTHS_LATE,
        **{f"BILL_AMT{month}": BILL for month in range(1, 7)},
        **{f"PAY_AMT{month}": PAYMENT for month in range(1, 7)},
    },
    PARTNER: {
        "LIMIT_BAL": LIMIT,
        **{f"PAY_{month}": MONTHS_LATE for month in (0, 2, 3, 4, 5)},
    },
}
LOGIT_BOUND: Final = 128.0


def newton(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bias and weights, float64[1 + d], that minimise the penalised log loss of x[n, d], y[n]."""
    x = np.column_stack([np.ones(len(x)), x])
    penalty = np.diag([0.0] + [PENALTY] * (x.shape[1] - 1))
    weights = np.zeros(x.shape[1])
    for _ in range(50):
        p = 1.0 / (1.0 + np.exp(-x @ weights))
        gradient = x.T @ (p - y) + penalty @ weights
        hessian = x.T @ (x * (p * (1.0 - p))[:, None]) + penalty
        step = np.linalg.solve(hessian, gradient)
        weights = weights - step
        if np.abs(step).max() < 1e-12:
            return weights
    raise ArithmeticError("Newton's method did not converge")


def fit(parties: tuple[str, ...]) -> Model:
    """The model over these parties' features, fitted on the training rows both parties have."""
    rows = {
        BANK: by_id(read(f"{BANK}/past_cardholders")),
        PARTNER: by_id(read(f"{PARTNER}/cardholders")),
    }
    ids = sorted(rows[BANK].keys() & rows[PARTNER].keys(), key=int)
    features: list[Model] = []
    columns: list[NDArray[np.float64]] = []
    for party in parties:
        for column, clip in CLIPS[party].items():
            value = np.array([float(rows[party][i][column]) for i in ids]).clip(*clip)
            mean, scale = (float(f"{v:.4g}") for v in (value.mean(), value.std()))
            features.append({"party": party, "column": column, "mean": mean, "scale": scale})
            features[-1]["clip"] = list(clip)
            columns.append((value - mean) / scale)
    y = np.array([float(rows[BANK][i]["defaulted"]) for i in ids])
    bias, *weights = (round(float(w), 10) for w in newton(np.column_stack(columns), y))
    for feature, weight in zip(features, weights, strict=True):
        feature["weight"] = weight
    model: Model = {"bias": bias, "features": features}
    if logit_bound(model) >= LOGIT_BOUND:
        raise ArithmeticError("a logit could leave the range that the protocol carries")
    return model


def logit_bound(model: Model) -> float:
    """No row, whatever it holds, has a larger |logit|: every feature is clipped."""
    reach = (
        abs(f["weight"]) * max(abs(end - f["mean"]) for end in f["clip"]) / f["scale"]
        for f in model["features"]
    )
    return abs(float(model["bias"])) + float(sum(reach))


def write(model: Model, path: Path) -> None:
    """One feature a line."""
    keys = ("party", "column", "weight", "mean", "scale", "clip")
    lines = (json.dumps({key: feature[key] for key in keys}) for feature in model["features"])
    features = ",\n".join(f"  {line}" for line in lines)
    text = f'{{"bias": {json.dumps(model["bias"])}, "features": [\n{features}\n]}}\n'
    path.write_text(text, "utf-8")


def main() -> None:
    """Write model.json and model_bank_only.json."""
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    for name, parties in (("model", (BANK, PARTNER)), ("model_bank_only", (BANK,))):
        model = fit(parties)
        write(model, directory / f"{name}.json")
        count = len(model["features"])
        print(f"{name}.json: {count} features, |logit| below {logit_bound(model):.1f}")


if __name__ == "__main__":
    main()
