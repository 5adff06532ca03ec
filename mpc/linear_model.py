"""A logistic regression over columns of several parties, as MODEL.json gives it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpc.errors import Malformed

MOST_FEATURES = 1024
UNCLIPPED_DEVIATIONS = 32
"""Without a clip, a value may stand this many scales from its mean; a holder refuses one beyond."""


@dataclass(frozen=True)
class Feature:
    """Contributes weight · (clip(x) - mean) / scale to the logit.

    ``dataset`` is the party's dataset that the model was made for, empty for any.
    """

    party: str
    column: str
    weight: float
    mean: float = 0.0
    scale: float = 1.0
    clip: tuple[float, float] | None = None
    dataset: str = ""

    @property
    def unit_bits(self) -> int:
        """The smallest b with |clip(x)| ≤ 2^b for every x that may occur."""
        if self.clip is not None:
            most = max(abs(self.clip[0]), abs(self.clip[1]))
        else:
            most = abs(self.mean) + UNCLIPPED_DEVIATIONS * self.scale
        return math.ceil(math.log2(most)) if most > 0 else 0

    @property
    def slope(self) -> float:
        """What the logit gains when clip(x) / 2^unit_bits gains 1."""
        return self.weight * 2.0**self.unit_bits / self.scale

    @property
    def offset(self) -> float:
        """What the mean takes off the logit, whatever x."""
        return -self.weight * self.mean / self.scale


@dataclass(frozen=True)
class LinearModel:
    """``bias`` and features; the logit is their sum, the score its logistic function."""

    bias: float
    features: tuple[Feature, ...]

    def of(self, party: str) -> tuple[Feature, ...]:
        return tuple(feature for feature in self.features if feature.party == party)

    @property
    def parties(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(feature.party for feature in self.features))


def parse_model(document: Mapping[str, Any]) -> LinearModel:
    """Strictly, from parsed JSON.

    Raises ``Malformed`` with ``model-shape`` (unknown or missing fields), ``model-number`` (not
    finite, a scale that is not positive, a clip upside down), ``model-twice`` (a column named
    twice) or ``model-size``, and the feature's position.
    """
    if set(document) != {"bias", "features"} or not isinstance(document["features"], list):
        raise Malformed("model-shape")
    if not 1 <= len(document["features"]) <= MOST_FEATURES:
        raise Malformed("model-size")
    features = tuple(_feature(each, i) for i, each in enumerate(document["features"]))
    named = [(feature.party, feature.column) for feature in features]
    for index, name in enumerate(named):
        if name in named[:index]:
            raise Malformed("model-twice", index)
    return LinearModel(_number(document["bias"], None), features)


_RULES = {
    "model-shape": "a model has bias and features; a feature has party, column and weight, and may "
    "have dataset, mean, scale and clip = [low, high]",
    "model-number": "numbers are finite, a scale is above 0, and a clip's low end is not above its "
    "high end",
    "model-twice": "a party's column stands in one feature only",
    "model-size": f"a model has 1 to {MOST_FEATURES} features",
}


def why_not(error: Malformed) -> str:
    """What :func:`parse_model` had against a model, for the people who wrote it."""
    where = "" if error.index is None else f" in feature {error.index + 1}"
    return f"the model file is not valid: {error.code}{where}: {_RULES[error.code]}"


def _feature(document: Any, index: int) -> Feature:
    required, optional = {"party", "column", "weight"}, {"dataset", "mean", "scale", "clip"}
    if not isinstance(document, dict) or not required <= set(document) <= required | optional:
        raise Malformed("model-shape", index)
    texts = [document[key] for key in ("party", "column", "dataset") if key in document]
    if not all(isinstance(text, str) and text for text in texts):
        raise Malformed("model-shape", index)
    clip = document.get("clip")
    if clip is not None:
        if not isinstance(clip, list) or len(clip) != 2:
            raise Malformed("model-shape", index)
        clip = (_number(clip[0], index), _number(clip[1], index))
        if clip[0] > clip[1]:
            raise Malformed("model-number", index)
    scale = _number(document.get("scale", 1.0), index)
    if not scale > 0:
        raise Malformed("model-number", index)
    return Feature(
        party=document["party"],
        column=document["column"],
        weight=_number(document["weight"], index),
        mean=_number(document.get("mean", 0.0), index),
        scale=scale,
        clip=clip,
        dataset=document.get("dataset", ""),
    )


def _number(value: Any, index: int | None) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Malformed("model-number", index)
    return float(value)


def partial_logit(features: Sequence[Feature], columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """The features' part of the logit in the clear: float64[d, rows] -> float64[rows]."""
    total = np.zeros(columns.shape[1])
    for feature, column in zip(features, columns, strict=True):
        clipped = column if feature.clip is None else np.clip(column, *feature.clip)
        total += feature.weight * (clipped - feature.mean) / feature.scale
    return total


def logistic(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / (1 + exp(-x)), without overflow."""
    small = np.exp(-np.abs(logits))
    return np.where(logits >= 0, 1 / (1 + small), small / (1 + small))
