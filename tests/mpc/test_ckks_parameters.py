"""The proofs: range, hiding and precision, and what they say when they fail."""

from __future__ import annotations

from dataclasses import replace
from math import log2, sqrt

import numpy as np
import pytest

from mpc.ckks.parameters import SCORE_ERROR_LIMIT, Parameters, plan_parameters

GERMAN = (23, 30_000, 16.0, 2)


@pytest.mark.parametrize("features", [1, 10, 23, 100])
@pytest.mark.parametrize("rows", [1, 8193, 30_000, 1_000_000])
def test_a_plan_proves_what_it_is_asked_for(features: int, rows: int) -> None:
    parameters = plan_parameters(features, rows, 16.0, 2)
    proof = parameters.prove()
    assert proof.score_error <= SCORE_ERROR_LIMIT
    assert proof.logit_error == 4 * proof.score_error
    assert 0 <= proof.spare_flooding_bits < 1
    assert parameters.chunks == -(-rows // 8192)
    # λ + ½ log2(N·C) bits above the worst product noise, the protocol's own words.
    margin = parameters.flooding_bits - proof.product_noise_bits
    assert margin >= 40 + log2(8192 * parameters.chunks) / 2


def test_the_plan_is_the_best_split_of_the_scale() -> None:
    best = plan_parameters(*GERMAN)
    for shift in (-1, 1):
        other = replace(
            best,
            weight_scale_bits=best.weight_scale_bits - shift,
            feature_scale_bits=best.feature_scale_bits + shift,
            flooding_bits=best.flooding_bits + shift,
        )
        assert other.prove().logit_error >= best.prove().logit_error


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"flooding_bits": 80}, r"flooding lacks [78]\.\d bits"),
        ({"flooding_bits": 92}, "drawn exactly"),
        ({"weight_scale_bits": 88}, r"the modulus lacks \d\.\d bits"),
        ({"logit_bound": 512.0}, r"the modulus lacks 4\.\d bits"),
        ({"statistical_bits": 30}, "10 statistical bits missing"),
        ({"weight_scale_bits": 70}, r"precision lacks \d\.\d bits"),
        ({"degree": 4096}, r"modulus 11\.0 bits too large"),
        ({"features": 0}, "positive"),
        ({"logit_bound": float("nan")}, "positive"),
    ],
)
def test_what_cannot_be_proven_is_named_in_bits(change: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(plan_parameters(*GERMAN), **change).prove()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((23, 10_000_000, 64.0, 2), "precision lacks"),
        ((23, 30_000, 1e9, 2), "precision lacks"),
        ((0, 1, 1.0, 1), "positive"),
        ((1, 1, float("inf"), 1), "positive"),
    ],
)
def test_impossible_jobs_are_refused_at_planning(
    arguments: tuple[int, int, float, int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        plan_parameters(*arguments)


def test_a_message_that_fills_the_bound_stays_below_half_the_modulus() -> None:
    parameters = plan_parameters(*GERMAN)
    bound = parameters.logit_bound + parameters.prove().logit_error
    assert sqrt(2) * bound * parameters.scale < parameters.primes[0] / 2
    with pytest.raises(ValueError, match="the modulus lacks"):
        replace(parameters, weight_scale_bits=parameters.weight_scale_bits + 1).prove()


def test_the_noise_moved_by_a_known_shift_is_as_close_as_the_proof_says() -> None:
    """√I < 1.07/σ for three uniforms, checked on the exact law at a smaller width."""
    width = 64
    law = np.ones(1)
    for _ in range(3):
        law = np.convolve(law, np.full(width, 1 / width))
    sigma = sqrt(3 * (width**2 - 1) / 12)
    for shift in (1, 3, 10):
        moved = np.concatenate([np.zeros(shift), law])
        distance = np.abs(np.concatenate([law, np.zeros(shift)]) - moved).sum() / 2
        assert distance <= 1.07 * shift / (2 * sigma)


def test_parameters_are_values() -> None:
    assert plan_parameters(*GERMAN) == plan_parameters(*GERMAN)
    assert hash(plan_parameters(*GERMAN)) == hash(plan_parameters(*GERMAN))
    assert isinstance(plan_parameters(*GERMAN), Parameters)
