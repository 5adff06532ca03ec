"""Encrypted weights end to end: right within the proven bound, seeded, quiet, picklable."""

from __future__ import annotations

import pickle
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from numpy.typing import NDArray

from mpc.ckks import holder, owner, wire
from mpc.ckks.parameters import Parameters, plan_parameters
from mpc.errors import Malformed

SECRET, WEIGHTS_SEED, HOLDER_SEED = (bytes([i]) * 32 for i in (1, 2, 3))


@lru_cache
def planned(features: int) -> Parameters:
    return plan_parameters(features, 40_000, 16.0, 2)


@lru_cache
def keyed(features: int) -> tuple[NDArray[np.float64], bytes, bytes]:
    """(weights, public key, encrypted weights); the weights fill the bound, one is zero."""
    rng = np.random.default_rng(features)
    weights = rng.normal(size=features)
    weights[features // 2] *= features == 1
    weights *= 15.999 / np.abs(weights).sum()
    parameters = planned(features)
    public_key = owner.public_key(parameters, SECRET)
    return weights, public_key, owner.encrypt_weights(parameters, SECRET, WEIGHTS_SEED, weights)


def features_of(d: int, rows: int, seed: int = 5) -> NDArray[np.float64]:
    return np.random.default_rng(seed).uniform(-1, 1, (d, rows))


@pytest.mark.parametrize(
    ("d", "rows"), [(1, 1), (1, 8191), (10, 8192), (1, 8193), (23, 1), (23, 8193), (23, 30_000)]
)
def test_scores_are_right_within_the_proven_bound(d: int, rows: int) -> None:
    parameters, (weights, public_key, encrypted) = planned(d), keyed(d)
    features = features_of(d, rows)
    residues = holder.partial_scores(parameters, public_key, encrypted, features, HOLDER_SEED)
    assert residues.shape == (-(-rows // 8192), 2, 8192)
    received = wire.decode_scores(parameters, wire.encode_scores(residues), len(residues))
    logits = owner.decrypt_scores(parameters, SECRET, received, rows)
    error = np.abs(logits - weights @ features).max()
    assert error <= parameters.prove().logit_error
    assert error <= 4e-5  # and so the score to 1e-5


@pytest.mark.parametrize("value", [0.0, 1e-300, 1.0, -1.0])
def test_extreme_features(value: float) -> None:
    """Zero columns, columns that round to zero, and features that fill the range."""
    parameters, (weights, public_key, encrypted) = planned(10), keyed(10)
    features = np.full((10, 100), value) * np.sign(weights + (weights == 0))[:, None]
    residues = holder.partial_scores(parameters, public_key, encrypted, features, HOLDER_SEED)
    logits = owner.decrypt_scores(parameters, SECRET, residues, 100)
    assert np.abs(logits - weights @ features).max() <= parameters.prove().logit_error


def test_all_weights_zero() -> None:
    parameters, (_, public_key, _) = planned(10), keyed(10)
    zeros = owner.encrypt_weights(parameters, SECRET, WEIGHTS_SEED, np.zeros(10))
    residues = holder.partial_scores(
        parameters, public_key, zeros, features_of(10, 50), HOLDER_SEED
    )
    logits = owner.decrypt_scores(parameters, SECRET, residues, 50)
    assert np.abs(logits).max() <= parameters.prove().logit_error


def test_masked_parts_add_up_and_one_alone_is_noise() -> None:
    parameters, (weights, public_key, encrypted) = planned(10), keyed(10)
    halves = weights / 2
    encrypted = owner.encrypt_weights(parameters, SECRET, WEIGHTS_SEED, halves)
    one, other = features_of(10, 9000, 1), features_of(10, 9000, 2)
    q0 = parameters.primes[0]
    mask = np.random.default_rng(9).integers(0, q0, (2, 2, 8192), np.uint64)
    parts = [
        wire.add_residues(
            parameters,
            holder.partial_scores(parameters, public_key, encrypted, features, seed * 32),
            sign,
        )
        for features, seed, sign in [(one, b"b", mask), (other, b"c", (q0 - mask) % q0)]
    ]
    together = wire.add_residues(parameters, *parts)
    logits = owner.decrypt_scores(parameters, SECRET, together, 9000)
    assert np.abs(logits - halves @ (one + other)).max() <= parameters.prove().logit_error
    for part in parts:
        with pytest.raises(Malformed, match="logit-out-of-range"):
            owner.decrypt_scores(parameters, SECRET, part, 9000)


def test_degenerate_residues_leave_the_process_alive() -> None:
    parameters = planned(10)
    q0 = parameters.primes[0]
    for constant in (0, q0 - 1):  # the polynomials 0 and -1, twice
        residues = np.full((1, 2, 8192), constant, np.uint64)
        assert np.abs(owner.decrypt_scores(parameters, SECRET, residues, 8192)).max() < 1e-9
    garbage = np.random.default_rng(4).integers(0, q0, (1, 2, 8192), np.uint64)
    with pytest.raises(Malformed, match="logit-out-of-range"):
        owner.decrypt_scores(parameters, SECRET, garbage, 8192)


def test_everything_is_seeded_and_bound_to_its_inputs() -> None:
    parameters, (weights, public_key, encrypted) = planned(10), keyed(10)
    features = features_of(10, 20)
    assert owner.public_key(parameters, SECRET) == public_key
    assert owner.public_key(parameters, bytes(32)) != public_key
    assert owner.encrypt_weights(parameters, SECRET, WEIGHTS_SEED, weights) == encrypted

    def scores(features: NDArray[np.float64], seed: bytes, chunk: int = 0) -> wire.Residues:
        return holder.partial_scores(parameters, public_key, encrypted, features, seed, chunk)

    first = scores(features, HOLDER_SEED)
    assert np.array_equal(first, scores(features.copy(), HOLDER_SEED))
    for other in (
        scores(features, bytes(32)),
        scores(features, HOLDER_SEED, 1),
        scores(features * 0.5, HOLDER_SEED),
    ):
        assert (first == other).mean() < 1e-3


def test_one_seed_shares_no_noise_between_features() -> None:
    """Else the difference of two answers would be free of noise."""
    parameters, (weights, public_key, encrypted) = planned(10), keyed(10)
    errors = []
    for features in (features_of(10, 8192, 1), features_of(10, 8192, 2)):
        residues = holder.partial_scores(parameters, public_key, encrypted, features, HOLDER_SEED)
        logits = owner.decrypt_scores(parameters, SECRET, residues, 8192)
        errors.append(logits - weights @ features)
    assert abs(np.corrcoef(errors)[0, 1]) < 0.06


def test_one_seed_shares_no_randomness_between_weights_or_keys() -> None:
    """Else the difference of two ciphertexts would be the difference of what they hide."""
    parameters, (weights, public_key, encrypted) = planned(10), keyed(10)
    again = owner.encrypt_weights(parameters, SECRET, WEIGHTS_SEED, weights * 0.5)
    records = wire.decode_weights(parameters, encrypted, 10)
    seeds = {each.seed for each in records + wire.decode_weights(parameters, again, 10)}
    seeds |= {wire.decode_public_key(parameters, public_key).seed}
    assert len(seeds) == 21


def test_blocks_give_the_same_scores_as_the_whole() -> None:
    parameters, (weights, public_key, encrypted) = planned(1), keyed(1)
    features = features_of(1, 20_000)
    blocks = [
        holder.partial_scores(
            parameters,
            public_key,
            encrypted,
            features[:, 8192 * i : 8192 * (i + 1)],
            HOLDER_SEED,
            i,
        )
        for i in range(3)
    ]
    logits = owner.decrypt_scores(parameters, SECRET, np.concatenate(blocks), 20_000)
    assert np.abs(logits - weights @ features).max() <= parameters.prove().logit_error


@pytest.mark.parametrize("wrong", [1.0000001, -2.0, float("nan"), float("inf")])
def test_features_outside_the_unit_interval_are_refused(wrong: float) -> None:
    parameters, (_, public_key, encrypted) = planned(10), keyed(10)
    features = features_of(10, 20)
    features[3, 7] = wrong
    with pytest.raises(ValueError, match="normalised"):
        holder.partial_scores(parameters, public_key, encrypted, features, HOLDER_SEED)


def test_what_the_proof_does_not_cover_is_refused() -> None:
    parameters, (weights, public_key, encrypted) = planned(10), keyed(10)

    def scores(features: NDArray[np.float64], chunk: int = 0) -> wire.Residues:
        return holder.partial_scores(
            parameters, public_key, encrypted, features, HOLDER_SEED, chunk
        )

    for features, chunk in [
        (np.zeros((11, 5)), 0),
        (np.zeros((0, 5)), 0),
        (np.zeros((10, 0)), 0),
        (np.zeros(10), 0),
        (np.zeros((10, 5)), 5),
        (np.zeros((10, 5)), -1),
        (np.zeros((10, 50_000)), 0),
    ]:
        with pytest.raises(ValueError, match=r"plan proves|matrix"):
            scores(features, chunk)
    with pytest.raises(ValueError, match="flooding lacks"):
        weak = replace(parameters, flooding_bits=60)
        holder.partial_scores(weak, public_key, encrypted, np.zeros((10, 5)), HOLDER_SEED)
    for bad in ([weights, weights], [weights * np.nan], [weights * 1.01]):
        with pytest.raises(ValueError, match="logit bound"):
            owner.check_weights(parameters, *bad)
    for bad in ([np.zeros(11)], [np.zeros((1, 1))], [np.zeros(1)] * 3):
        with pytest.raises(ValueError, match="more holders or features"):
            owner.check_weights(parameters, *bad)
    with pytest.raises(ValueError, match="that many rows"):
        owner.decrypt_scores(parameters, SECRET, np.zeros((1, 2, 8192), np.uint64), 8193)


def test_release_rounds_to_a_power_of_ten_above_the_error() -> None:
    values = np.array([0.123456, -0.00001, 0.9996])
    assert owner.release(values, 2.7e-5).tolist() == [0.123, 0.0, 1.0]
    assert owner.release(values, 1e-6).tolist() == [0.1235, 0.0, 0.9996]
    assert not np.signbit(owner.release(values, 2.7e-5)).any()
    with pytest.raises(ValueError, match="positive"):
        owner.release(values, 0.0)


def test_work_travels_to_a_worker_process() -> None:
    for function in (owner.public_key, owner.encrypt_weights, owner.decrypt_scores,
                     holder.partial_scores):  # fmt: skip
        assert pickle.loads(pickle.dumps(function)) is function
    assert pickle.loads(pickle.dumps(planned(23))) == planned(23)


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    parameters, (_, public_key, encrypted) = planned(1), keyed(1)
    residues = holder.partial_scores(
        parameters, public_key, encrypted, features_of(1, 30_000), HOLDER_SEED
    )
    owner.decrypt_scores(parameters, SECRET, residues, 30_000)
    assert capfd.readouterr() == ("", "")
