"""The group of the Diffie-Hellman intersection: X25519 (RFC 7748), and tags of its points.

A point is its u-coordinate: 32 bytes, little-endian, canonical (below p = 2^255 - 19). A
scalar is 32 uniformly random bytes, clamped here. Points of items come from
:func:`mpc.elligator2.hash_to_curve`; a(bP) = b(aP) does the rest.

**Stricter than RFC 7748.** X25519 masks the top bit and reduces mod p, so that several
encodings name one point: a peer could send one item under two encodings and count it twice,
or recognise its own point in disguise. Such aliases are refused, and so are points of low
order, whose multiple is the same for every scalar.

**Points on the twist are not refused.** The ladder computes correctly there too, and tells a
peer nothing about the scalar: as a multiple of 8 it acts in a group of prime order, of 253
bits on either side, where the discrete logarithm is hard ("twist security", Bernstein 2006).
A twist point never meets the point of an honest item, since a multiple stays on its side; a
peer that sends one merely wastes an item. A test for each point would cost a Legendre symbol
and protect nobody.
"""

from __future__ import annotations

from hashlib import sha256

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from numpy.typing import NDArray

from mpc.errors import Malformed
from mpc.hashing import encode_parts

POINT_BYTES = 32
SCALAR_BYTES = 32
TAG_BYTES_MAX = 32

_P = 2**255 - 19


def _words(*values: int) -> NDArray[np.uint64]:
    """Each u-coordinate as four little-endian words, uint64[len(values), 4]."""
    raw = b"".join(value.to_bytes(POINT_BYTES, "little") for value in values)
    return np.frombuffer(raw, "<u8").reshape(-1, 4)


_P_WORDS = _words(_P)[0]
# Every canonical u of low order: 0, which also encodes the point at infinity, of order 2 on
# both sides; 1 of order 4 on the curve, -1 of order 4 on the twist; two of order 8, curve.
_LOW_ORDER = _words(
    0,
    1,
    _P - 1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
)
_BASE_POINT = np.frombuffer((9).to_bytes(POINT_BYTES, "little"), np.uint8).reshape(1, -1)


def clamp(scalar: bytes) -> bytes:
    """RFC 7748, section 5: 32 random bytes made a multiple of 8 in [2^254, 2^255).

    The multiple of 8 clears the cofactor; the fixed top bit fixes the ladder's length.
    Raises ``ValueError`` for another length.
    """
    if len(scalar) != SCALAR_BYTES:
        raise ValueError(f"a scalar has {SCALAR_BYTES} bytes, not {len(scalar)}")
    return bytes([scalar[0] & 0xF8]) + scalar[1:31] + bytes([scalar[31] & 0x7F | 0x40])


def check_points(points: NDArray[np.uint8]) -> None:
    """Accept ``points``, uint8[n, 32], if every row is canonical and not of low order.

    Raises ``Malformed``: ``point-wrong-shape`` for an array of another shape or type,
    otherwise ``point-not-canonical`` or ``point-low-order`` with the first offending row.
    Only a point of low order gives the all-zero result (RFC 7748, section 6.1), because
    the prime factors of both group orders exceed every clamped scalar divided by 8: what
    passes here has a non-zero multiple.
    """
    if points.ndim != 2 or points.shape[1] != POINT_BYTES or points.dtype != np.uint8:
        raise Malformed("point-wrong-shape")
    words = np.ascontiguousarray(points).view("<u8")
    not_canonical = (words[:, 3] > _P_WORDS[3]) | (
        (words[:, 1:] == _P_WORDS[1:]).all(axis=1) & (words[:, 0] >= _P_WORDS[0])
    )
    low_order = np.zeros(len(words), np.bool_)
    for low in _LOW_ORDER:
        low_order |= (words == low).all(axis=1)
    refused = not_canonical | low_order
    if refused.any():
        first = int(refused.argmax())
        code = "point-not-canonical" if not_canonical[first] else "point-low-order"
        raise Malformed(code, first)


def exponentiate(scalar: bytes, points: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """X25519 of every point by one scalar: uint8[n, 32] to uint8[n, 32], same order.

    ``scalar`` is 32 uniformly random bytes, clamped here. Constant-time in the scalar
    (OpenSSL). Raises ``Malformed`` as :func:`check_points` does, before any work.
    """
    check_points(points)
    key = X25519PrivateKey.from_private_bytes(clamp(scalar))
    load, multiply = X25519PublicKey.from_public_bytes, key.exchange
    raw = points.tobytes()
    products = [
        multiply(load(raw[at : at + POINT_BYTES])) for at in range(0, len(raw), POINT_BYTES)
    ]
    return np.frombuffer(b"".join(products), np.uint8).reshape(-1, POINT_BYTES)


def public_key(secret: bytes) -> bytes:
    """The X25519 public key of 32 random bytes (RFC 7748, section 6.1)."""
    return exponentiate(secret, _BASE_POINT).tobytes()


def shared_secret(secret: bytes, peer_public: bytes) -> bytes:
    """The X25519 shared secret, 32 bytes; both sides compute the same.

    It is a u-coordinate and not a key yet: derive keys from it, and bind both public keys
    (:func:`mpc.hashing.derive_key`). Raises ``Malformed`` as :func:`check_points` does.
    """
    return exponentiate(secret, np.frombuffer(peer_public, np.uint8)[np.newaxis]).tobytes()


def tag_bytes(rows_a: int, rows_b: int, statistical_bits: int = 40) -> int:
    """Whole bytes of a tag for an intersection of ``rows_a`` with ``rows_b`` rows.

    The smallest t with 8 t >= statistical_bits + log2(rows_a) + log2(rows_b): the chance
    that any of the rows_a * rows_b pairs of different items has equal tags is then at most
    2^-statistical_bits (union bound). 10 bytes for 2^20 by 2^20 rows, 11 for 10^7 by 10^7.
    Raises ``ValueError`` for a negative argument or more bytes than a tag can have.
    """
    if min(rows_a, rows_b, statistical_bits) < 0:
        raise ValueError("row counts and statistical bits are not negative")
    pairs = max(rows_a * rows_b, 1)
    bits = statistical_bits + (pairs - 1).bit_length()  # the ceiling of log2, exact
    width = max(-(-bits // 8), 1)
    if width > TAG_BYTES_MAX:
        raise ValueError(f"a tag has at most {TAG_BYTES_MAX} bytes, not {width}")
    return width


def tags(points: NDArray[np.uint8], width: int, domain: bytes) -> NDArray[np.uint8]:
    """The comparison tags of twice-exponentiated points: uint8[n, 32] to uint8[n, width].

    A tag is the first ``width`` bytes of ``labelled_hash("curve25519/tag", domain, point)``;
    ``domain`` names the session. It is a hash and not a truncated u-coordinate, which would
    be pseudorandom under DDH as well, for three reasons: a tag hides the point under CDH
    alone in the random-oracle model; it is no group element, so it cannot be sent back to be
    exponentiated once more; and tags of two sessions never compare. The price is small
    beside the ladder's. Raises ``ValueError`` for another shape or width.
    """
    if points.ndim != 2 or points.shape[1] != POINT_BYTES or points.dtype != np.uint8:
        raise ValueError(f"points are uint8[n, 32], not {points.dtype}{list(points.shape)}")
    if not 1 <= width <= TAG_BYTES_MAX:
        raise ValueError(f"a tag has 1 to {TAG_BYTES_MAX} bytes, not {width}")
    # The encoding up to the point is the same for all: hashed once, and its state copied.
    start = sha256(encode_parts("curve25519/tag", domain, bytes(POINT_BYTES))[:-POINT_BYTES])
    raw = points.tobytes()
    digests = []
    for at in range(0, len(raw), POINT_BYTES):
        state = start.copy()
        state.update(raw[at : at + POINT_BYTES])
        digests.append(state.digest()[:width])
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, width)
