"""SEAL's operations as the method uses them, every random one drawn from a seed.

A SEAL context whose parameters carry a seeded generator factory draws everything from that seed,
and each operation starts the stream anew. So a context serves *one* operation, and its 64-byte
seed comes from :mod:`mpc.prg`. One seed for two operations would be fatal: what is published as
the seed of a ciphertext's second component is the head of that very stream, and a secret key
drawn from the same stream would begin with it.

Residues leave through element access: saving knows named files only.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tenseal import sealapi

from mpc.ckks.noise import slots_of
from mpc.ckks.parameters import Parameters
from mpc.ckks.wire import EXPANDER_SEED_BYTES, Residues, Seeded

Slots = NDArray[np.complex128]


# SEAL keeps the last prime of a chain for key switching and computes below it. There is none
# here, and nothing is ever encrypted under this prime: it only makes room for q0·q1.
RESERVED_PRIME = 1152921504606830593


def _context(degree: int, primes: tuple[int, ...], generator: Any | None) -> Any:
    """With a ``generator``: one level, for one random operation; without: the levels below."""
    chosen = sealapi.EncryptionParameters(sealapi.SCHEME_TYPE.CKKS)
    chosen.set_poly_modulus_degree(degree)
    chosen.set_coeff_modulus([sealapi.Modulus(prime) for prime in primes])
    if generator is not None:
        chosen.set_random_generator(generator)
    context = sealapi.SEALContext(chosen, generator is None, sealapi.SEC_LEVEL_TYPE.TC128)
    if not context.parameters_set():
        raise ValueError(f"SEAL refuses the parameters: {context.parameters_error_name()}")
    return context


class Tools(NamedTuple):
    """What draws no randomness; the context's first level is q0·q1, its last q0."""

    context: Any
    encoder: Any
    evaluator: Any


@lru_cache(maxsize=4)
def tools(parameters: Parameters) -> Tools:
    """Made once and kept for the life of the process: their tables cost milliseconds."""
    context = _context(parameters.degree, (*parameters.primes, RESERVED_PRIME), None)
    return Tools(context, sealapi.CKKSEncoder(context), sealapi.Evaluator(context))


def _words(seed: bytes) -> tuple[int, ...]:
    if len(seed) != EXPANDER_SEED_BYTES:
        raise ValueError(f"an expander's seed has {EXPANDER_SEED_BYTES} bytes, not {len(seed)}")
    return struct.unpack("<8Q", seed)


def _seeded_context(parameters: Parameters, seed: bytes, *above: int) -> Any:
    generator = sealapi.Blake2xbPRNGFactory(_words(seed))
    return _context(parameters.degree, (*parameters.primes, *above), generator)


def _published(seed: bytes) -> bytes:
    """The seed of c1 in what a context seeded with ``seed`` encrypts under a secret key."""
    generator = sealapi.Blake2xbPRNG(_words(seed))
    return struct.pack("<16I", *(generator.generate() for _ in range(EXPANDER_SEED_BYTES // 4)))


def residues_of(ciphertext: Any, *shape: int) -> Residues:
    """The first residues of a ciphertext's or key's data, uint64 of ``shape``."""
    elements = ciphertext.dyn_array()
    count = int(np.prod(shape))
    values = map(elements.__getitem__, range(count))
    return np.fromiter(values, dtype=np.uint64, count=count).reshape(shape)


def encode(parameters: Parameters, slots: Slots | float, scale: float) -> Any:
    """A plaintext at full modulus: complex128[N/2] slots, or one number in all of them."""
    plain = sealapi.Plaintext()
    # The binding wants a list; it would convert an array too, element by element and slower.
    values = slots if isinstance(slots, float) else slots.tolist()
    tools(parameters).encoder.encode(values, scale, plain)
    return plain


# The key owner's operations.


def secret_key(parameters: Parameters, seed: bytes) -> Any:
    """The ternary secret drawn from ``seed`` (64 bytes), for encryption at q0·q1."""
    return sealapi.KeyGenerator(_seeded_context(parameters, seed)).secret_key()


def decryption_key(parameters: Parameters, seed: bytes) -> Any:
    """The same secret in the form that :func:`decrypt` takes, with the reserved prime."""
    return sealapi.KeyGenerator(_seeded_context(parameters, seed, RESERVED_PRIME)).secret_key()


def public_key(parameters: Parameters, secret: Any, seed: bytes) -> Seeded:
    """A public key of ``secret`` with its errors drawn from ``seed``, another than the secret's."""
    key = sealapi.PublicKey()
    sealapi.KeyGenerator(_seeded_context(parameters, seed), secret).create_public_key(key)
    return Seeded(_published(seed), residues_of(key.data(), 2, parameters.degree))


def encrypt_constant(parameters: Parameters, secret: Any, value: float, seed: bytes) -> Seeded:
    """``value`` in all slots at the weights' scale and full modulus."""
    context, encrypted = _seeded_context(parameters, seed), sealapi.Ciphertext()
    encryptor = sealapi.Encryptor(context, secret)
    encryptor.encrypt_zero_symmetric(context.key_parms_id(), encrypted)
    encrypted.scale = 2.0**parameters.weight_scale_bits
    plain = encode(parameters, value, encrypted.scale)
    tools(parameters).evaluator.add_plain_inplace(encrypted, plain)
    return Seeded(_published(seed), residues_of(encrypted, 2, parameters.degree))


def decrypt(parameters: Parameters, key: Any, ciphertexts: Sequence[Any]) -> Slots:
    """All slots, complex128[len(ciphertexts), N/2]: raw, for the key's owner alone."""
    context, encoder, _ = tools(parameters)
    decryptor, plain, rows = sealapi.Decryptor(context, key), sealapi.Plaintext(), []
    for ciphertext in ciphertexts:
        decryptor.decrypt(ciphertext, plain)
        rows.append(encoder.decode_complex(plain))
    return np.array(rows, dtype=np.complex128).reshape(len(rows), parameters.degree // 2)


# A holder's operations, in the order in which it uses them.


def weighted_sum(parameters: Parameters, weights: Sequence[Any], columns: Slots) -> Any | None:
    """Σ_j columns[j]·weights[j] for complex128[d, N/2]: not yet hidden, never to be sent.

    ``None`` where every column encodes to zero: SEAL throws rather than make a ciphertext
    ("transparent") that its own plaintext would give away, and the sum needs no such term.
    """
    evaluator = tools(parameters).evaluator
    total = None
    for weight, column in zip(weights, columns, strict=True):
        plain = encode(parameters, column, 2.0**parameters.feature_scale_bits)
        if plain.is_zero():
            continue
        product = sealapi.Ciphertext()
        evaluator.multiply_plain(weight, plain, product)
        if total is None:
            total = product
        else:
            evaluator.add_inplace(total, product)
    return total


def encrypt_zero(parameters: Parameters, key: Any, seed: bytes) -> Any:
    """A public-key encryption of zero at full modulus and scale 1, drawn from ``seed``."""
    context, zero = _seeded_context(parameters, seed), sealapi.Ciphertext()
    sealapi.Encryptor(context, key).encrypt_zero(context.key_parms_id(), zero)
    return zero


def flooded_zero(
    parameters: Parameters,
    zero: Any,
    carrier: Any,
    high: NDArray[np.int64],
    low: NDArray[np.int64],
) -> Any:
    """zero + 2^K·(carrier + high) + low, exactly; K is ``parameters.low_bits``.

    Integers of 90 bits do not pass an encoder, and plaintexts are not multiplied with each
    other: so the upper half rides on ``carrier``, a second encryption of zero, which hides
    nothing and may serve many chunks. ``zero`` is what re-randomises, and serves one.
    """
    evaluator = tools(parameters).evaluator
    lifted, flooded = sealapi.Ciphertext(), sealapi.Ciphertext()
    evaluator.add_plain(carrier, encode(parameters, slots_of(high), 1.0), lifted)
    evaluator.multiply_plain_inplace(lifted, encode(parameters, 2.0**parameters.low_bits, 1.0))
    evaluator.add_plain(zero, encode(parameters, slots_of(low), 1.0), flooded)
    evaluator.add_inplace(flooded, lifted)
    return flooded


def hidden_sum(parameters: Parameters, total: Any | None, flooded: Any) -> Any:
    """The weighted sum under the flooded encryption of zero, still at full modulus."""
    flooded.scale = 2.0 ** (parameters.weight_scale_bits + parameters.feature_scale_bits)
    if total is not None:
        tools(parameters).evaluator.add_inplace(flooded, total)
    return flooded


def rescaled(parameters: Parameters, hidden: Any) -> Residues:
    """The ciphertext divided by q1 and rounded, uint64[2, N] modulo q0."""
    result = sealapi.Ciphertext()
    tools(parameters).evaluator.rescale_to_next(hidden, result)
    return residues_of(result, 2, parameters.degree)
