"""A feature holder's side: weighted sums over its own rows, and everything that hides them.

The key's owner knows its own errors and components. So before a sum leaves, its second component
gets a fresh public-key encryption of zero, without which linear algebra gives the features, and
its noise is flooded by integers 2^λ times as wide, all at full modulus; the rescale comes after
and adds nothing that depends on the features alone. What remains is the linear score of columns
as the encoder rounded them. The owner is semi-honest: a public key that is not one voids this.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mpc.ckks import seal
from mpc.ckks.forms import load_public_key, load_weights
from mpc.ckks.noise import flooding
from mpc.ckks.parameters import Parameters
from mpc.ckks.wire import EXPANDER_SEED_BYTES, Residues, decode_public_key, decode_weights
from mpc.hashing import labelled_hash
from mpc.prg import expand

_CARRIER_SEED = bytes(EXPANDER_SEED_BYTES)


class Received(NamedTuple):
    """What the key's owner sent, checked and in the library's form."""

    key: Any
    weights: list[Any]
    carrier: Any  # an encryption of zero that anybody could compute: see seal.flooded_zero
    digest: bytes


@lru_cache(maxsize=2)
def received(parameters: Parameters, public_key: bytes, weights: bytes, features: int) -> Received:
    """The owner's bytes as :class:`Received`, kept from one block of rows to the next.

    Raises :class:`mpc.errors.Malformed` as :mod:`mpc.ckks.wire` does.
    """
    checked = decode_public_key(parameters, public_key)
    ciphertexts = load_weights(parameters, decode_weights(parameters, weights, features))
    key = load_public_key(parameters, checked)
    carrier = seal.encrypt_zero(parameters, key, _CARRIER_SEED)
    digest = labelled_hash("ckks/received", repr(parameters).encode(), public_key, weights)
    return Received(key, ciphertexts, carrier, digest)


def chunked(
    parameters: Parameters, features: NDArray[np.float64]
) -> Iterator[NDArray[np.complex128]]:
    """float64[d, rows] as complex128[d, N/2] a chunk: two rows a slot, zeros behind the last."""
    size, half = parameters.rows_per_chunk, parameters.degree // 2
    for start in range(0, features.shape[1], size):
        block = np.zeros((len(features), size))
        part = features[:, start : start + size]
        block[:, : part.shape[1]] = part
        yield block[:, :half] + 1j * block[:, half:]


def hidden(
    parameters: Parameters, owner: Received, total: Any | None, seed: bytes, *context: bytes
) -> Any:
    """A weighted sum, re-randomised and flooded, at full modulus; drawn from (seed, context)."""
    drawn = expand(seed, "ckks/zero", *context, count=EXPANDER_SEED_BYTES)
    zero = seal.encrypt_zero(parameters, owner.key, drawn)
    high, low = flooding(
        seed,
        *context,
        degree=parameters.degree,
        bits=parameters.flooding_bits,
        low_bits=parameters.low_bits,
    )
    flooded = seal.flooded_zero(parameters, zero, owner.carrier, high, low)
    return seal.hidden_sum(parameters, total, flooded)


def partial_scores(
    parameters: Parameters,
    public_key: bytes,
    weights: bytes,
    features: NDArray[np.float64],
    seed: bytes,
    first_chunk: int = 0,
) -> Residues:
    """One holder's hidden partial logits, uint64[chunks, 2, N] modulo q0, not yet masked.

    ``public_key`` and ``weights`` are the owner's bytes, as received; ``features`` is
    float64[d, rows] within [-1, 1], a block of rows that begins at chunk ``first_chunk`` of the
    job. All randomness comes from ``seed`` (32 bytes, this holder's own) bound to the other
    arguments: the same call gives the same bytes, another call shares no randomness with it.

    Raises :class:`mpc.errors.Malformed` for the owner's bytes, ``ValueError`` for ours.
    """
    parameters.prove()
    if features.ndim != 2 or not 1 <= len(features) <= parameters.features:
        raise ValueError("features are a matrix, one row a feature, no more than the plan proves")
    chunks = -(-features.shape[1] // parameters.rows_per_chunk)
    if first_chunk < 0 or not 1 <= chunks <= parameters.chunks - first_chunk:
        raise ValueError("more rows than the plan proves for one key, or none")
    if not (np.abs(features) <= 1).all():
        raise ValueError("features are normalised to [-1, 1]")

    owner = received(parameters, public_key, weights, len(features))
    inputs = labelled_hash("ckks/partial-scores", owner.digest, features.tobytes())
    result = np.empty((chunks, 2, parameters.degree), dtype=np.uint64)
    for index, columns in enumerate(chunked(parameters, features)):
        total = seal.weighted_sum(parameters, owner.weights, columns)
        chunk = (first_chunk + index).to_bytes(8, "big")
        full = hidden(parameters, owner, total, seed, inputs, chunk)
        result[index] = seal.rescaled(parameters, full)
    return result
