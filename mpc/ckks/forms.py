"""Ciphertexts and keys into the library, through memory and around its parsers' weaknesses.

SEAL's low-level objects load from named files only; TenSEAL's vectors and contexts load from
memory. So an object enters as a TenSEAL message written here byte by byte, around residues that
:mod:`mpc.ckks.wire` has checked: the library's parsers never see a byte that a peer chose,
except as a residue below its prime or as the seed of an expander. (Given a peer's bytes they
divide by zero: a vector message that announces sizes and holds no ciphertext ends the process.)
Nothing touches a file, and no key is generated on the side, as TenSEAL's own constructor would.

SEAL's forms are written uncompressed: a 16-byte header, then an object's members.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import tenseal
from tenseal import sealapi

from mpc.ckks.parameters import Parameters
from mpc.ckks.seal import RESERVED_PRIME, tools
from mpc.ckks.wire import Residues, Seeded

_BLAKE2XB = b"\x01"  # SEAL's name for the expander of a seeded ciphertext


def _framed(members: bytes) -> bytes:
    header = sealapi.Serialization.SEALHeader()
    fields = (header.magic, header.header_size, header.version_major, header.version_minor)
    return struct.pack("<HBBBBHQ", *fields, 0, 0, 16 + len(members)) + members


def _array(residues: Residues) -> bytes:
    return _framed(struct.pack("<Q", residues.size) + residues.astype("<u8").tobytes())


def _ciphertext(level: Sequence[int], degree: int, primes: int, scale: float, data: bytes) -> bytes:
    """Two components in NTT form; the last member is BGV's correction factor, 1 elsewhere."""
    members = struct.pack("<4QBQQQdQ", *level, 1, 2, degree, primes, scale, 1)
    return _framed(members + data)


def _seeded_ciphertext(level: Sequence[int], scale: float, seeded: Seeded) -> bytes:
    primes, degree = seeded.residues.shape
    data = _array(seeded.residues) + _framed(_BLAKE2XB + seeded.seed)
    return _ciphertext(level, degree, primes, scale, data)


def _field(number: int, payload: bytes) -> bytes:
    """A length-delimited protobuf field, for TenSEAL's envelopes around SEAL's forms."""
    length, rest = bytearray(), len(payload)
    while rest > 0x7F:
        length.append(rest & 0x7F | 0x80)
        rest >>= 7
    length.append(rest)
    return bytes([number << 3 | 2]) + bytes(length) + payload


def _tenseal_context(degree: int, primes: tuple[int, ...], public_key: bytes) -> Any:
    moduli = b"".join(_framed(struct.pack("<Q", modulus)) for modulus in (*primes, 0))
    scheme = int(sealapi.SCHEME_TYPE.CKKS)
    chosen = _framed(struct.pack("<BQQ", scheme, degree, len(primes)) + moduli)
    scale = struct.pack("<Bd", 3 << 3 | 1, 1.0)  # a default that no operation here uses
    keys = _field(1, public_key) if public_key else b""
    return tenseal.context_from(_field(1, chosen) + _field(2, keys + scale), n_threads=1)


@lru_cache(maxsize=4)
def _loader(parameters: Parameters) -> Any:
    return _tenseal_context(parameters.degree, (*parameters.primes, RESERVED_PRIME), b"")


def _load(parameters: Parameters, ciphertexts: list[bytes]) -> list[Any]:
    sizes = _field(1, bytes([1]) * len(ciphertexts))
    message = sizes + b"".join(_field(2, each) for each in ciphertexts)
    loader = _loader(parameters)
    loaded: list[Any] = tenseal.ckks_vector_from(loader, message).ciphertext()
    return loaded


def load_public_key(parameters: Parameters, seeded: Seeded) -> Any:
    """The library's public key for a checked wire form."""
    level = tools(parameters).context.first_parms_id()
    key = _seeded_ciphertext(level, 1.0, seeded)
    context = _tenseal_context(parameters.degree, parameters.primes, key)
    return context.public_key().data


def load_weights(parameters: Parameters, weights: list[Seeded]) -> list[Any]:
    """The library's ciphertexts, at full modulus and the weights' scale."""
    level = tools(parameters).context.first_parms_id()
    scale = 2.0**parameters.weight_scale_bits
    return _load(parameters, [_seeded_ciphertext(level, scale, each) for each in weights])


def load_scores(parameters: Parameters, residues: Residues) -> list[Any]:
    """The library's ciphertexts for checked uint64[chunks, 2, N] modulo q0."""
    level = tools(parameters).context.last_parms_id()
    degree, scale = parameters.degree, parameters.scale
    forms = [_ciphertext(level, degree, 1, scale, _array(each)) for each in residues]
    return _load(parameters, forms)
