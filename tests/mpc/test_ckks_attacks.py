"""Attacks on CKKS scoring, each carried out where it works and then against what we send.

The attacker's tools are written here: the negacyclic ring modulo q0·q1, and candidates for what
a holder's features might be. Keys are the test's own.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import tenseal
from numpy.typing import NDArray
from tenseal import sealapi

from mpc.ckks import forms, holder, noise, owner, seal, wire
from mpc.ckks.parameters import Parameters, plan_parameters
from mpc.prg import expand

Integers = NDArray[Any]  # Python integers, since 120 bits fit no dtype

N = 8192
SECRET, WEIGHTS_SEED, HOLDER_SEED = (bytes([i]) * 32 for i in (1, 2, 3))
BIT_REVERSED = np.array([int(f"{i:013b}"[::-1], 2) for i in range(N)])


# The ring: SEAL's transform has its value at ψ^(2·reverse(i)+1) in position i, for the least ψ.


@lru_cache
def least_root(q: int) -> int:
    base = next(g for g in range(2, 100) if pow(g, (q - 1) // 2, q) == q - 1)
    root = pow(base, (q - 1) // (2 * N), q)
    square, best, power = root * root % q, root, root
    for _ in range(N - 1):
        power = power * square % q
        best = min(best, power)
    return best


def inverse_transform(values: NDArray[np.uint64], q: int) -> Integers:
    """The coefficients in [0, q) of the polynomial with these transformed residues."""
    psi = least_root(q)
    inverse = pow(psi, -1, q)
    powers = np.array([pow(inverse, k, q) for k in range(2 * N)], dtype=object)
    # Decimation in time on bit-reversed input: exactly the order that SEAL leaves.
    a = values.astype(object)
    half = 1
    while half < N:
        twiddles = powers[:: N // half][:half]
        pairs = a.reshape(-1, 2, half)
        odd = pairs[:, 1] * twiddles % q
        a = np.stack([(pairs[:, 0] + odd) % q, (pairs[:, 0] - odd) % q], axis=1).ravel()
        half *= 2
    return a * powers[:N] * pow(N, -1, q) % q


def lifted(residues: NDArray[np.uint64], primes: tuple[int, ...]) -> Integers:
    """Centred coefficients modulo the product of ``primes``, from residues [primes, N]."""
    total, modulus = inverse_transform(residues[0], primes[0]), primes[0]
    for row, q in zip(residues[1:], primes[1:], strict=True):
        step = (inverse_transform(row, q) - total) * pow(modulus, -1, q) % q
        total, modulus = total + modulus * step, modulus * q
    return np.where(total > modulus // 2, total - modulus, total)


def divided(a: NDArray[np.uint64], b: NDArray[np.uint64], q: int) -> NDArray[np.uint64]:
    inverse = np.array([pow(int(each), -1, q) for each in b], dtype=object)
    return (a.astype(object) * inverse % q).astype(np.uint64)


def difference(a: NDArray[np.uint64], b: NDArray[np.uint64], q: int) -> NDArray[np.uint64]:
    return (a + (np.uint64(q) - b)) % np.uint64(q)


class Bank:
    """A key's owner that looks at everything it may, with one pair of opposite weights."""

    def __init__(self, weights: list[float]) -> None:
        self.weights = np.array(weights)
        self.parameters = plan_parameters(len(weights), 8 * N, 16.0, 1)
        self.public_key = owner.public_key(self.parameters, SECRET)
        self.encrypted = owner.encrypt_weights(self.parameters, SECRET, WEIGHTS_SEED, self.weights)
        self.key = owner.decryption_key(self.parameters, SECRET)
        self.secret = seal.residues_of(self.key.data(), 2, N)

    def received(self) -> holder.Received:
        return holder.received(self.parameters, self.public_key, self.encrypted, len(self.weights))

    def sum_of(self, features: NDArray[np.float64]) -> Any:
        """What a holder computes before it hides anything."""
        (columns,) = holder.chunked(self.parameters, features)
        return seal.weighted_sum(self.parameters, self.received().weights, columns)

    def residues(self, ciphertext: Any) -> NDArray[np.uint64]:
        return seal.residues_of(ciphertext, 2, 2, N)

    def opened(self, ciphertext: Any) -> Integers:
        """Message plus noise at full modulus, exactly: c0 + c1·s."""
        c0, c1 = self.residues(ciphertext)
        product = [
            (a.astype(object) * s.astype(object) + b.astype(object)) % q
            for a, b, s, q in zip(c1, c0, self.secret, self.parameters.primes, strict=True)
        ]
        return lifted(np.array(product).astype(np.uint64), self.parameters.primes)

    def zero(self, number: int) -> Any:
        return seal.encrypt_zero(self.parameters, self.received().key, bytes([number]) * 64)

    def hidden(self, features: NDArray[np.float64], number: int) -> Any:
        """A holder's ciphertext with every countermeasure, before the rescale."""
        total, context = self.sum_of(features), bytes([number])
        return holder.hidden(self.parameters, self.received(), total, HOLDER_SEED, context)


@pytest.fixture(scope="module")
def single() -> Bank:
    return Bank([0.75])


@pytest.fixture(scope="module")
def opposite() -> Bank:
    return Bank([1.0, -1.0])


def uniform(d: int, rows: int, seed: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).uniform(-1, 1, (d, rows))


# Li, Micciancio: a raw decryption and its ciphertext are a linear equation in the secret key.


def key_from(parameters: Parameters, residues: wire.Residues, logits: NDArray[np.float64]) -> Any:
    """(m - c0) / c1 for one chunk, with m as the library encodes the values that were shown."""
    context, encoder, _ = seal.tools(parameters)
    plain = sealapi.Plaintext()
    slots = (logits[: N // 2] + 1j * logits[N // 2 :]).tolist()
    encoder.encode(slots, context.last_parms_id(), parameters.scale, plain)
    message = seal.residues_of(plain, N)
    q0 = parameters.primes[0]
    return divided(difference(message, residues[0, 0], q0), residues[0, 1], q0)


def test_raw_decryptions_give_the_key_and_released_ones_do_not(single: Bank) -> None:
    parameters = single.parameters
    features = uniform(1, N, 1)
    sent = holder.partial_scores(
        parameters, single.public_key, single.encrypted, features, HOLDER_SEED
    )
    raw = owner.decrypt_scores(parameters, SECRET, sent, N)

    found = key_from(parameters, sent, raw)
    assert np.array_equal(found, single.secret[0])
    assert set(lifted(found[None], parameters.primes[:1])) == {-1, 0, 1}

    proof = parameters.prove()
    scores = owner.release(1 / (1 + np.exp(-raw)), proof.score_error)
    with np.errstate(divide="ignore"):
        unrolled = np.clip(np.log(scores) - np.log1p(-scores), -16, 16)
    for released in (owner.release(raw, proof.logit_error), unrolled):
        assert np.abs(released - raw).max() < 0.1  # still the scores
        wrong = key_from(parameters, sent, released)
        assert (wrong == single.secret[0]).mean() < 1e-3
        assert np.abs(lifted(wrong[None], parameters.primes[:1]).astype(float)).mean() > 2**50


def test_the_public_key_does_not_publish_the_secrets_stream(single: Bank) -> None:
    """A ternary secret is sampled from the head of its stream; a public seed is such a head."""
    published = wire.decode_public_key(single.parameters, single.public_key).seed
    for label in ("ckks/secret-key", "ckks/public-key"):
        assert published != expand(SECRET, label, count=64)
    assert published != seal._published(expand(SECRET, "ckks/secret-key", count=64))
    assert published == seal._published(expand(SECRET, "ckks/public-key", count=64))


# Hidden slots.


def test_tenseal_dot_leaks_every_weight_of_the_model() -> None:
    """x·w by rotations leaves the suffix sums of x_i·w_i in the slots that nobody reads."""
    context = tenseal.context(tenseal.SCHEME_TYPE.CKKS, N, -1, [60, 40, 60])
    context.generate_galois_keys()
    x, w = np.linspace(0.5, 1.5, 16), np.random.default_rng(2).normal(size=16)
    returned = tenseal.ckks_vector(context, x.tolist(), scale=2.0**40).dot(w.tolist())
    assert len(returned.decrypt()) == 1  # all that was promised

    low_level, plain = returned.ciphertext()[0], sealapi.Plaintext()
    sealed = context.seal_context().data
    sealapi.Decryptor(sealed, context.secret_key().data).decrypt(low_level, plain)
    slots = np.array(sealapi.CKKSEncoder(sealed).decode_double(plain))
    assert np.abs(-np.diff(slots[:17]) / x - w).max() < 1e-4


def test_only_promised_slots_of_ours_carry_signal(opposite: Bank) -> None:
    parameters = opposite.parameters
    rows = 100
    features = np.ones((2, rows)) * [[1.0], [0.5]]
    sent = holder.partial_scores(
        parameters, opposite.public_key, opposite.encrypted, features, HOLDER_SEED
    )
    slots = seal.decrypt(parameters, opposite.key, forms.load_scores(parameters, sent))[0]
    error = parameters.prove().logit_error
    assert np.abs(slots.real[:rows] - 0.5).max() <= error
    rest = np.concatenate([slots.real[rows:], slots.imag])
    assert np.abs(rest).max() <= error
    # and what is there is the flooding noise alone, as wide as planned, in every slot
    scale_bits = parameters.weight_scale_bits + parameters.feature_scale_bits
    planned = 2.0 ** (parameters.flooding_bits - scale_bits) * np.sqrt(N / 2)
    assert rest.std() == pytest.approx(planned, rel=0.05)


# Circuit privacy: the second component.


def test_without_rerandomisation_the_second_component_is_the_features(single: Bank) -> None:
    """One column: c1 = p·a, and the owner knows a; more columns are the same with a lattice."""
    features = uniform(1, N, 3)
    q0, bits = single.parameters.primes[0], single.parameters.feature_scale_bits
    ones = np.zeros((1, N))
    ones[0, : N // 2] = 1  # the real parts of all slots: the constant 2^f
    unit = single.residues(single.sum_of(ones))[1, 0]

    def solved(c1: NDArray[np.uint64]) -> Integers:
        column = divided(c1, unit, q0).astype(object)
        return lifted(((column << bits) % q0).astype(np.uint64)[None], (q0,))

    bare = solved(single.residues(single.sum_of(features))[1, 0]).astype(np.int64)
    slots = noise.slots_of(bare) / 2.0**bits
    recovered = np.concatenate([slots.real, slots.imag])
    assert np.abs(recovered - features[0]).max() < 1e-6

    # Uniform modulo q0, no small polynomial fits: neither one chunk, nor two in which the
    # carrier that they share cancels.
    one, other = (single.residues(single.hidden(features, i))[1, 0] for i in (1, 2))
    for c1 in (one, difference(one, other, q0)):
        assert np.abs(solved(c1).astype(float)).mean() > 2**57


def test_without_rerandomisation_the_answer_is_recomputed(opposite: Bank) -> None:
    """The owner tries a candidate and compares: exact, even after the rescale."""
    parameters = opposite.parameters
    features, other = uniform(2, 500, 4), uniform(2, 500, 5)
    tried = seal.rescaled(parameters, opposite.sum_of(features))
    assert np.array_equal(seal.rescaled(parameters, opposite.sum_of(features)), tried)
    assert not np.array_equal(seal.rescaled(parameters, opposite.sum_of(other)), tried)
    hidden = seal.rescaled(parameters, opposite.hidden(features, 1))
    assert (hidden == tried).mean() < 1e-3


# Circuit privacy: the noise. Two inputs with the same exact logits (weights +1 and -1 on equal
# columns: zero), told apart by Σ p_j·e_j, which the owner can compute for both.


def candidates(bank: Bank) -> tuple[list[NDArray[np.float64]], list[Integers]]:
    inputs = [np.tile(uniform(1, N, seed), (2, 1)) for seed in (6, 7)]
    return inputs, [bank.opened(bank.sum_of(features)) for features in inputs]


def advantage(opened: Integers, shifts: list[Integers], truth: int) -> float:
    """Share of coefficients that lie nearer to the true candidate's noise."""
    right = np.abs(opened - shifts[truth]) < np.abs(opened - shifts[1 - truth])
    return float(right.mean())


def test_product_noise_stays_below_its_bound(opposite: Bank) -> None:
    proof = opposite.parameters.prove()
    for shift in candidates(opposite)[1]:
        assert 2**30 < np.abs(shift).max() < 2**proof.product_noise_bits


def test_unflooded_noise_tells_the_inputs_apart(opposite: Bank) -> None:
    inputs, shifts = candidates(opposite)
    zero = opposite.zero(1)
    bare = seal.hidden_sum(opposite.parameters, opposite.sum_of(inputs[1]), zero)
    assert advantage(opposite.opened(bare), shifts, 1) > 0.999


def test_flooded_noise_does_not(opposite: Bank) -> None:
    inputs, shifts = candidates(opposite)
    rates, low_bits = [], []
    for number in range(6):
        truth = number % 2
        opened = opposite.opened(opposite.hidden(inputs[truth], number))
        rates.append(advantage(opened, shifts, truth))
        for guess in (truth, 1 - truth):
            low_bits.append(((opened - shifts[guess]) % 2**20).astype(np.int64))
    assert abs(np.mean(rates) - 0.5) < 0.02  # 49,152 trials: nine standard errors

    # Low bits, exactly: with either candidate taken off they are uniform.
    for values in low_bits:
        counts = np.bincount(values >> 12, minlength=256)
        assert ((counts - 32) ** 2 / 32).sum() < 255 + 6 * np.sqrt(2 * 255)
        assert (values < 2**13).mean() < 0.02


def test_a_double_encoded_gaussian_leaves_the_low_bits_bare(opposite: Bank) -> None:
    """Why the noise is made of integers: 2^86 from a double is a multiple of 2^30 or so."""
    parameters = opposite.parameters
    inputs, shifts = candidates(opposite)
    rng = np.random.default_rng(8)
    gaussian = (rng.normal(size=N // 2) + 1j * rng.normal(size=N // 2)) * np.sqrt(N / 2)
    flood = seal.encode(parameters, gaussian, 2.0**parameters.flooding_bits)
    flood.scale = 1.0
    zero = opposite.zero(2)
    seal.tools(parameters).evaluator.add_plain_inplace(zero, flood)
    bare = seal.hidden_sum(parameters, opposite.sum_of(inputs[1]), zero)
    opened = opposite.opened(bare)
    assert abs(advantage(opened, shifts, 1) - 0.5) < 0.03  # as wide as it should be, and yet:
    residue = [((opened - shift + 2**12) % 2**20).astype(np.int64) for shift in shifts]
    assert (residue[1] < 2**13).mean() > 0.99
    assert (residue[0] < 2**13).mean() < 0.02


def test_both_halves_of_the_noise_arrive_exactly(single: Bank) -> None:
    """The carrier and the two encodings lose no bit: what is opened is high·2^K + low."""
    p = single.parameters
    high, low = noise.flooding(HOLDER_SEED, degree=N, bits=91, low_bits=46)
    for half in (high, low):
        plain = seal.encode(p, noise.slots_of(half), 1.0)
        assert np.array_equal(lifted(seal.residues_of(plain, 2, N), single.parameters.primes), half)
