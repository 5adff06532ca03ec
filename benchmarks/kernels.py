"""The kernels by themselves: processor time an item, and the ratio to a baseline in the same run.

A baseline is what one would write without this project: OpenSSL or phe item by item, TenSEAL row by
row. Both sides' results are checked before either is timed.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from mpc import paillier
from mpc.ckks.holder import partial_scores
from mpc.ckks.owner import decrypt_scores, encrypt_weights, public_key
from mpc.ckks.parameters import plan_parameters
from mpc.ckks.wire import add_residues
from mpc.curve25519 import exponentiate, tags
from mpc.elligator2 import hash_to_curve
from mpc.items import item_digests
from mpc.masking import StreamName, mask_plaintexts, residue_masks
from mpc.normalise import key_rule
from mpc.packing import Packing
from mpc.paillier_keys import PrivateKey, generate
from mpc.phe_keys import export_private, export_public

SEED = bytes(range(32))
REPEATS = 3
BY_PHE = 4
CONTRIBUTORS = 5
FEATURES = 23


@dataclass(frozen=True)
class Baseline:
    """``run`` works on ``count`` items in the usual way."""

    name: str
    run: Callable[[], Any]
    count: int


@dataclass(frozen=True)
class Kernel:
    """``run`` works on ``count`` items of a kind that ``item`` names."""

    name: str
    item: str
    run: Callable[[], Any]
    count: int
    baseline: Baseline | None = None


def measured(quick: bool) -> Iterator[dict[str, Any]]:
    """One record a kernel; ``ratio`` is how many times as long the baseline takes."""
    for kernel in _kernels(1 if quick else 8):
        own = _microseconds(kernel.run, kernel.count)
        record = {
            "benchmark": "kernels",
            "kernel": kernel.name,
            "item": kernel.item,
            "count": kernel.count,
            "microseconds": round(own, 3),
            "baseline": None,
            "ratio": None,
        }
        if kernel.baseline is not None:
            other = _microseconds(kernel.baseline.run, kernel.baseline.count)
            record["baseline"] = kernel.baseline.name
            record["baseline_microseconds"] = round(other, 3)
            record["ratio"] = round(other / own, 2)
        yield record


def _microseconds(run: Callable[[], Any], count: int) -> float:
    """Of processor time for one item, all threads together; the least of a few runs."""
    took = []
    for _ in range(REPEATS):
        began = time.process_time()
        run()
        took.append(time.process_time() - began)
    return min(took) / count * 1e6


def _kernels(factor: int) -> Iterator[Kernel]:
    yield from _matching(1024 * factor)
    for bits in (2048, 3072):
        yield from _paillier(bits, 32 * factor, BY_PHE)
    yield from _ckks(2 * factor)


# Matching


def _matching(count: int) -> Iterator[Kernel]:
    identifiers = [f"91{index:016d} " for index in range(count)]
    rule = key_rule("text", 1)
    items = item_digests(rule, [identifiers]).digests
    points = hash_to_curve(items, b"benchmark")
    raised = exponentiate(SEED, points)
    _same(raised.tobytes(), b"".join(_openssl(points)))
    yield Kernel(
        "normalise and digest", "identifier",
        lambda: item_digests(rule, [identifiers]), count,
        Baseline("SHA-256 alone, one by one", lambda: _plain_hashes(identifiers), count),
    )  # fmt: skip
    yield Kernel(
        "hash to curve", "identifier", lambda: hash_to_curve(items, b"benchmark"), count
    )  # fmt: skip
    yield Kernel(
        "exponentiate", "point", lambda: exponentiate(SEED, points), count,
        Baseline("OpenSSL's X25519, one by one", lambda: _openssl(points), count),
    )  # fmt: skip
    yield Kernel("tag", "point", lambda: tags(raised, 11, b"benchmark"), count)


def _plain_hashes(texts: list[str]) -> list[bytes]:
    return [hashlib.sha256(text.encode()).digest() for text in texts]


def _openssl(points: np.ndarray[Any, np.dtype[np.uint8]]) -> list[bytes]:
    key = X25519PrivateKey.from_private_bytes(SEED)
    return [key.exchange(X25519PublicKey.from_public_bytes(point.tobytes())) for point in points]


# Sums


def _paillier(bits: int, count: int, few: int) -> Iterator[Kernel]:
    """``count`` ciphertexts of ours, ``few`` of phe."""
    private = generate(bits, SEED)
    public = private.public
    phe_public, phe_private = export_public(public), export_private(private)
    packing = Packing.for_sum(bits, CONTRIBUTORS)
    amounts = np.random.default_rng(7).integers(-(2**62), 2**62, packing.slots * count)
    plaintexts = packing.pack(amounts)
    encryptor = paillier.Encryptor(public, SEED, 2000, blum=True)
    ciphertexts = encryptor.encrypt(0, plaintexts)
    theirs = [phe_public.encrypt(number) for number in range(few)]
    _same(paillier.decrypt(private, SEED, ciphertexts), plaintexts)
    _same([phe_private.decrypt(each) for each in theirs], list(range(few)))
    name = f"Paillier {bits}"
    phe = "phe, one number a ciphertext"
    yield Kernel(
        f"{name}: table of powers", "key and job",
        lambda: paillier.Encryptor(public, SEED, 2000, blum=True), 1,
    )  # fmt: skip
    yield Kernel(
        f"{name}: encrypt", "ciphertext", lambda: encryptor.encrypt(0, plaintexts), count,
        Baseline(phe, lambda: [phe_public.encrypt(number) for number in range(few)], few),
    )  # fmt: skip
    yield Kernel(
        f"{name}: add", "ciphertext", lambda: paillier.add(public, [ciphertexts] * 2), count,
        Baseline(phe, lambda: [each + each for each in theirs], few),
    )  # fmt: skip
    yield Kernel(
        f"{name}: rerandomise", "ciphertext", lambda: encryptor.rerandomise(1, ciphertexts), count,
        Baseline(phe, lambda: [each.obfuscate() for each in theirs], few),
    )  # fmt: skip
    yield Kernel(
        f"{name}: decrypt", "ciphertext", lambda: paillier.decrypt(private, SEED, ciphertexts),
        count, Baseline(phe, lambda: [phe_private.decrypt(each) for each in theirs], few),
    )  # fmt: skip
    yield Kernel(f"{name}: pack", "amount", lambda: packing.pack(amounts), len(amounts))
    yield Kernel(
        f"{name}: unpack", "amount", lambda: packing.unpack(plaintexts, len(amounts), CONTRIBUTORS),
        len(amounts),
    )  # fmt: skip
    yield Kernel(
        f"{name}: mask", "amount", lambda: _masked(plaintexts, packing, 0), len(amounts)
    )  # fmt: skip
    few_amounts = amounts[:few]
    _same(_sums(private, packing, amounts), [CONTRIBUTORS * int(a) for a in amounts])
    _same(_phe_sums(phe_public, phe_private, few_amounts), [5 * int(a) for a in few_amounts])
    yield Kernel(
        f"{name}: five contributors' sum, all parties", "amount",
        lambda: _sums(private, packing, amounts), CONTRIBUTORS * len(amounts),
        Baseline(phe, lambda: _phe_sums(phe_public, phe_private, few_amounts), CONTRIBUTORS * few),
    )  # fmt: skip


def _masked(plaintexts: list[int], packing: Packing, position: int) -> list[int]:
    keys = {
        other: hashlib.sha256(bytes(sorted((position, other)))).digest()
        for other in range(CONTRIBUTORS)
        if other != position
    }
    return mask_plaintexts(
        plaintexts, position, keys, packing.row_bits, StreamName("amounts", 0, 0)
    )


def _sums(
    private: PrivateKey, packing: Packing, amounts: np.ndarray[Any, np.dtype[np.int64]]
) -> list[int]:
    """What all parties compute for one block, the table of powers included."""
    public, total = private.public, None
    count = packing.plaintexts(len(amounts))
    for position in range(CONTRIBUTORS):
        masked = _masked(packing.pack(amounts), packing, position)
        seed = hashlib.sha256(bytes([position])).digest()
        part = paillier.encrypt_block(public, seed, count, True, 0, masked)
        total = paillier.add_block(public, total, part, count)
    assert total is not None
    fresh = paillier.rerandomise_block(public, SEED, count, True, 0, total)
    plain = paillier.decrypt_block(private.to_bytes(), SEED, fresh, count)
    sums: list[int] = packing.unpack(plain, len(amounts), CONTRIBUTORS).tolist()
    return sums


def _phe_sums(public: Any, private: Any, amounts: np.ndarray[Any, np.dtype[np.int64]]) -> list[int]:
    """As phe's documentation shows it."""
    totals = [public.encrypt(int(amount)) for amount in amounts]
    for _ in range(CONTRIBUTORS - 1):
        part = [public.encrypt(int(amount)) for amount in amounts]
        totals = [total + each for total, each in zip(totals, part, strict=True)]
    return [int(private.decrypt(total)) for total in totals]


# Scoring


def _ckks(few: int) -> Iterator[Kernel]:
    """Two chunks of rows of ours, ``few`` rows of TenSEAL."""
    rows = 2 * 8192
    generator = np.random.default_rng(7)
    weights = generator.normal(0.0, 0.5, FEATURES)
    features = generator.uniform(-1.0, 1.0, (FEATURES, rows))
    bound = float(np.ceil(np.abs(weights).sum()))
    parameters = plan_parameters(FEATURES, rows, bound, 2, 40)
    secret, other = SEED, SEED[::-1]
    public = public_key(parameters, secret)
    encrypted = encrypt_weights(parameters, secret, other, weights)

    def part() -> Any:
        return partial_scores(parameters, public, encrypted, features, other)

    def both() -> Any:
        return decrypt_scores(parameters, secret, part(), rows)

    residues = part()
    _close(both(), weights @ features)
    usual = _tenseal_rows(weights, features[:, :few])
    _close(usual(), weights @ features[:, :few])
    yield Kernel(
        f"CKKS: scores over {FEATURES} columns, both sides", "row", both, rows,
        Baseline("TenSEAL, a dot product a row", usual, few),
    )  # fmt: skip
    yield Kernel("CKKS: partial scores", "row", part, rows)
    yield Kernel("CKKS: add", "row", lambda: add_residues(parameters, residues, residues), rows)
    yield Kernel(
        "CKKS: mask", "row",
        lambda: residue_masks(
            0, {1: SEED}, parameters.primes[0], residues.shape, StreamName("scores", 0, 0)
        ),
        rows,
    )  # fmt: skip
    yield Kernel(
        "CKKS: decrypt", "row", lambda: decrypt_scores(parameters, secret, residues, rows), rows
    )


def _tenseal_rows(
    weights: np.ndarray[Any, np.dtype[np.float64]],
    features: np.ndarray[Any, np.dtype[np.float64]],
) -> Callable[[], list[float]]:
    """As TenSEAL's tutorials do it: each row a vector of its own, encrypted and rotated."""
    import tenseal

    context = tenseal.context(
        tenseal.SCHEME_TYPE.CKKS, poly_modulus_degree=8192, coeff_mod_bit_sizes=[60, 40, 40, 60]
    )
    context.global_scale = 2.0**40
    context.generate_galois_keys()
    plain = weights.tolist()

    def run() -> list[float]:
        encrypted = [tenseal.ckks_vector(context, row) for row in features.T.tolist()]
        return [row.dot(plain).decrypt()[0] for row in encrypted]

    return run


def _same(found: object, expected: object) -> None:
    if found != expected:
        raise AssertionError("a kernel's result differs from its baseline's")


def _close(found: Any, expected: Any) -> None:
    if not np.allclose(found, expected, atol=1e-4):
        raise AssertionError("scores differ from the plaintext computation")
