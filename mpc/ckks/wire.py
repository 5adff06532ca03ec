"""Ciphertexts and keys on the wire: raw residues, and nothing that a library would parse.

Every integer is a little-endian uint64 below its prime, every shape is fixed by the plan, and
the pseudorandom component of what the key's owner sends is a 64-byte seed:

* public key: seed, residues [2, N] (q0, q1);
* encrypted weights: d records of seed, residues [2, N];
* encrypted scores: residues [chunks, 2, N] modulo q0.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mpc.ckks.parameters import Parameters
from mpc.errors import Malformed

EXPANDER_SEED_BYTES = 64
Residues = NDArray[np.uint64]


class Seeded(NamedTuple):
    """(c0, c1) whose c1 is expanded from ``seed``; ``residues`` uint64[2, N] is c0."""

    seed: bytes
    residues: Residues


def _below(residues: Residues, primes: tuple[int, ...]) -> Residues:
    """``residues`` [..., primes, N] itself, or Malformed at the first one that is too large."""
    wrong = residues >= np.array(primes, dtype=np.uint64)[:, None]
    if wrong.any():
        raise Malformed("residue-not-reduced", int(np.argmax(wrong)))
    return residues


def _seeded(parameters: Parameters, data: bytes, count: int) -> list[Seeded]:
    degree, primes = parameters.degree, parameters.primes
    width = EXPANDER_SEED_BYTES + 8 * degree * len(primes)
    if len(data) != count * width:
        raise Malformed("ciphertext-size")
    records = np.frombuffer(data, dtype=np.uint8).reshape(count, width)
    body = records[:, EXPANDER_SEED_BYTES:].copy().view("<u8")
    residues = _below(body.reshape(count, len(primes), degree), primes)
    return [
        Seeded(record[:EXPANDER_SEED_BYTES].tobytes(), each)
        for record, each in zip(records, residues, strict=True)
    ]


def encode_seeded(ciphertexts: list[Seeded]) -> bytes:
    """The wire form of a public key (one record) or of encrypted weights (one a weight)."""
    return b"".join(each.seed + each.residues.astype("<u8").tobytes() for each in ciphertexts)


def decode_public_key(parameters: Parameters, data: bytes) -> Seeded:
    """Raises :class:`Malformed` unless ``data`` is exactly one reduced public key."""
    return _seeded(parameters, data, 1)[0]


def decode_weights(parameters: Parameters, data: bytes, count: int) -> list[Seeded]:
    """Raises :class:`Malformed` unless ``data`` is exactly ``count`` reduced ciphertexts."""
    return _seeded(parameters, data, count)


def encode_scores(residues: Residues) -> bytes:
    """The wire form of uint64[chunks, 2, N]."""
    return residues.astype("<u8").tobytes()


def decode_scores(parameters: Parameters, data: bytes, chunks: int) -> Residues:
    """uint64[chunks, 2, N] modulo q0, or :class:`Malformed`; at most the job's chunks."""
    if len(data) != chunks * 2 * parameters.degree * 8:
        raise Malformed("ciphertext-size")
    residues = np.frombuffer(data, dtype="<u8").reshape(chunks, 2, parameters.degree)
    return _below(residues, (parameters.primes[0],) * 2)


def add_residues(parameters: Parameters, *terms: Residues) -> Residues:
    """Sum modulo q0 of one or more uint64[chunks, 2, N]: holders' ciphertexts, or a mask."""
    prime = np.uint64(parameters.primes[0])
    total = terms[0]
    for term in terms[1:]:
        total = (total + term) % prime  # both below 2^60: no wrap
    return total
