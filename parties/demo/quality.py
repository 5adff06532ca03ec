"""How well scores rank who will default: AUC, KS, and what an approval rate comes to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

APPROVED = 0.8
"""The share of the best scores that the bank approves."""


@dataclass(frozen=True)
class Quality:
    """``auc`` and ``ks`` in [0, 1]; ``default_rate`` is the share of defaults among the approved,
    the ``APPROVED`` best of the scores."""

    auc: float
    ks: float
    default_rate: float


def quality(scores: NDArray[np.float64], defaulted: NDArray[np.bool_]) -> Quality:
    """Of scores float64[n], higher for worse, against outcomes bool[n], both kinds among them.

    AUC is the chance that somebody who defaulted scores above somebody who did not, ties counting
    one half (Mann and Whitney 1947); KS the widest gap between the two distribution functions.
    """
    bad, good = np.sort(scores[defaulted]), np.sort(scores[~defaulted])
    below = np.searchsorted(good, bad, side="left")
    not_above = np.searchsorted(good, bad, side="right")
    auc = float((below + not_above).sum() / (2 * len(bad) * len(good)))
    bad_cdf = np.searchsorted(bad, scores, side="right") / len(bad)
    good_cdf = np.searchsorted(good, scores, side="right") / len(good)
    approved = np.argsort(scores, kind="stable")[: round(APPROVED * len(scores))]
    return Quality(auc, float(np.abs(bad_cdf - good_cdf).max()), float(defaulted[approved].mean()))
