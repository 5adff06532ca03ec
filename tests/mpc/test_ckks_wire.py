"""Bytes from a peer: exactly the expected shape, every residue reduced, or refused."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from mpc.ckks import holder, wire
from mpc.ckks.parameters import Parameters, plan_parameters
from mpc.errors import Malformed

PARAMETERS = plan_parameters(3, 20_000, 16.0, 2)
SMALL = replace(PARAMETERS, degree=8)  # the codec does not care for security
PRIMES = PARAMETERS.primes

# What TenSEAL's tensors.proto calls CKKSVectorProto{sizes: [16]}: no ciphertext.
BOMB = b"\x0a\x01\x10"


def seeded(parameters: Parameters, count: int) -> list[wire.Seeded]:
    rng = np.random.default_rng(7)
    return [
        wire.Seeded(
            rng.bytes(64),
            np.array([rng.integers(0, q, parameters.degree, np.uint64) for q in PRIMES]),
        )
        for _ in range(count)
    ]


def decoders(data_of: Parameters) -> list[tuple[bytes, int, object]]:
    """(valid bytes, offset of the first residue, decoder) for each of the three forms."""
    key, weights = seeded(data_of, 1), seeded(data_of, 3)
    scores = np.array([each.residues[:1].repeat(2, axis=0) for each in weights])
    return [
        (wire.encode_seeded(key), 64, lambda data: wire.decode_public_key(data_of, data)),
        (wire.encode_seeded(weights), 64, lambda data: wire.decode_weights(data_of, data, 3)),
        (wire.encode_scores(scores), 0, lambda data: wire.decode_scores(data_of, data, 3)),
    ]


def test_round_trip() -> None:
    key, weights = seeded(PARAMETERS, 1), seeded(PARAMETERS, 3)
    decoded = wire.decode_public_key(PARAMETERS, wire.encode_seeded(key))
    assert decoded.seed == key[0].seed
    assert np.array_equal(decoded.residues, key[0].residues)
    for sent, got in zip(
        weights, wire.decode_weights(PARAMETERS, wire.encode_seeded(weights), 3), strict=True
    ):
        assert sent.seed == got.seed
        assert np.array_equal(sent.residues, got.residues)


@pytest.mark.parametrize("form", [0, 1, 2])
def test_every_truncation_and_extension_is_refused(form: int) -> None:
    data, _, decode = decoders(SMALL)[form]
    decode(data)  # type: ignore[operator]
    for wrong in [data[:length] for length in range(len(data))] + [
        data + bytes(extra) for extra in (1, 7, 8, 64, len(data))
    ]:
        with pytest.raises(Malformed, match="ciphertext-size"):
            decode(wrong)  # type: ignore[operator]


@pytest.mark.parametrize("form", [0, 1, 2])
@pytest.mark.parametrize("excess", [0, 1, 2**64 - 1])
def test_residues_that_are_not_reduced_are_refused_and_located(form: int, excess: int) -> None:
    data, start, decode = decoders(PARAMETERS)[form]
    degree, components = PARAMETERS.degree, 2
    primes = (PRIMES, PRIMES, PRIMES[:1] * 2)[form]
    record = start + 8 * degree * components
    records = len(data) // record
    for place in (0, degree - 1, degree, degree * components // 2, degree * components - 1):
        for index in {0, records // 2, records - 1}:
            value = min(primes[place // degree] + excess, 2**64 - 1)
            wrong = bytearray(data)
            at = index * record + start + 8 * place
            wrong[at : at + 8] = value.to_bytes(8, "little")
            with pytest.raises(Malformed, match="residue-not-reduced") as caught:
                decode(bytes(wrong))  # type: ignore[operator]
            assert caught.value.index == index * degree * components + place


def test_the_largest_residues_pass() -> None:
    full = np.array(PRIMES, np.uint64)[:, None].repeat(8, axis=1) - np.uint64(1)
    wire.decode_public_key(SMALL, wire.encode_seeded([wire.Seeded(bytes(64), full)]))


def test_sums_are_modular() -> None:
    q0 = PRIMES[0]
    top = np.full((1, 2, 8), q0 - 1, np.uint64)
    assert (wire.add_residues(SMALL, top, top, top) == q0 - 3).all()
    rng = np.random.default_rng(3)
    mask = rng.integers(0, q0, (1, 2, 8), np.uint64)
    cancelled = wire.add_residues(SMALL, top, mask, np.uint64(q0) - mask)
    assert np.array_equal(cancelled, top)


def test_bytes_that_kill_the_library_are_refused_here() -> None:
    """TenSEAL 0.3.18 divides by zero on a vector that announces a size and has no ciphertext."""
    attack = (
        "import tenseal\n"
        "context = tenseal.context(tenseal.SCHEME_TYPE.CKKS, 8192, -1, [60, 40, 60])\n"
        f"vector = tenseal.ckks_vector_from(context, {BOMB!r})\n"
        "vector.sum()\n"
    )
    died = subprocess.run([sys.executable, "-c", attack], capture_output=True, check=False)
    assert died.returncode == -signal.SIGFPE, died

    for _, _, decode in decoders(PARAMETERS):
        with pytest.raises(Malformed, match="ciphertext-size"):
            decode(BOMB)  # type: ignore[operator]
    with pytest.raises(Malformed, match="ciphertext-size"):
        holder.partial_scores(PARAMETERS, BOMB, BOMB, np.zeros((3, 10)), bytes(32))
