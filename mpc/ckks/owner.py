"""The key owner's side: keys, encrypted weights, decryption, and what may be shown to others.

The owner alone ever sees a decryption. Whoever holds a ciphertext and its raw decryption solves
one linear equation for the secret key (Li, Micciancio, eprint 2020/1533): so whatever leaves the
owner passes :func:`release` first.
"""

from __future__ import annotations

from math import ceil, log10
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpc.ckks import seal
from mpc.ckks.forms import load_scores
from mpc.ckks.parameters import Parameters
from mpc.ckks.wire import EXPANDER_SEED_BYTES, Residues, encode_seeded
from mpc.errors import Malformed
from mpc.hashing import labelled_hash
from mpc.prg import expand


def _expander_seed(seed: bytes, purpose: str, *context: bytes) -> bytes:
    return expand(seed, f"ckks/{purpose}", *context, count=EXPANDER_SEED_BYTES)


def public_key(parameters: Parameters, secret: bytes) -> bytes:
    """The public key of ``secret``, in its wire form.

    ``secret`` is 32 uniformly random bytes, new for each job; the ternary key is derived from
    it wherever it is needed and never serialised. The same secret gives the same public key.
    """
    key = seal.secret_key(parameters, _expander_seed(secret, "secret-key"))
    seed = _expander_seed(secret, "public-key")
    return encode_seeded([seal.public_key(parameters, key, seed)])


def check_weights(parameters: Parameters, *holders: NDArray[np.float64]) -> None:
    """``ValueError`` unless *all* holders' weights together keep to the proven logit bound.

    Each array is float64[d], one weight a feature of that holder, features being in [-1, 1].
    """
    shapes = {weights.shape for weights in holders}
    if len(holders) > parameters.holders or not shapes <= {
        (features,) for features in range(1, parameters.features + 1)
    }:
        raise ValueError("more holders or features than the plan proves")
    total = sum(float(np.abs(weights).sum()) for weights in holders)
    if not total <= parameters.logit_bound:  # NaN fails too
        raise ValueError("the weights could exceed the logit bound that the plan proves")


def encrypt_weights(
    parameters: Parameters, secret: bytes, seed: bytes, weights: NDArray[np.float64]
) -> bytes:
    """One holder's weights, float64[d], each in all slots of a ciphertext, in wire form.

    Errors come from ``seed`` (32 bytes, another than ``secret``) bound to the weights: a seed
    used again with other weights repeats no randomness, which would bare their difference.
    """
    check_weights(parameters, weights)
    key = seal.secret_key(parameters, _expander_seed(secret, "secret-key"))
    job = labelled_hash("ckks/weights", repr(parameters).encode(), weights.tobytes())
    ciphertexts = []
    for index, weight in enumerate(weights):
        drawn = _expander_seed(seed, "weight", job, index.to_bytes(4, "big"))
        ciphertexts.append(seal.encrypt_constant(parameters, key, float(weight), drawn))
    return encode_seeded(ciphertexts)


def decryption_key(parameters: Parameters, secret: bytes) -> Any:
    """The library's key of ``secret``: it stays in the process that asked for it."""
    return seal.decryption_key(parameters, _expander_seed(secret, "secret-key"))


def decrypt_scores(
    parameters: Parameters, secret: bytes, residues: Residues, rows: int
) -> NDArray[np.float64]:
    """The summed partial logits, float64[rows]: raw, for the owner's eyes only.

    ``residues``, uint64[chunks, 2, N] modulo q0, is the sum over *all* holders; each value is
    within ``prove().logit_error`` of the exact one, bias not included. Raises
    :class:`Malformed` with the row where a value exceeds what the weights allow: a masked part
    alone, or a sum with a part missing, is uniformly random and does not decrypt.
    """
    if residues.shape != (ceil(rows / parameters.rows_per_chunk), 2, parameters.degree):
        raise ValueError("these residues do not hold that many rows")
    key = decryption_key(parameters, secret)
    slots = seal.decrypt(parameters, key, load_scores(parameters, residues))
    logits = np.concatenate([slots.real, slots.imag], axis=1).ravel()[:rows]
    allowed = np.abs(logits) <= parameters.logit_bound + parameters.prove().logit_error
    if not allowed.all():
        raise Malformed("logit-out-of-range", int(np.argmin(allowed)))
    return logits


def release(values: NDArray[np.float64], error: float) -> NDArray[np.float64]:
    """``values`` rounded for others' eyes, float64 of the same shape.

    The step is the smallest power of ten that is at least twenty times ``error``, the proven
    bound on them: two computations of one exact value differ after rounding for at most one
    value in ten, by one step, and the noise that carries the key is gone. Fewer and coarser
    outputs (a band, a decision) leave less still.
    """
    if not error > 0:
        raise ValueError("an error bound is positive")
    decimals = -ceil(log10(20 * error))
    return np.round(values, decimals) + 0.0  # no negative zero
