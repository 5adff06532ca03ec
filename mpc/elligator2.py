"""Hashing items onto Curve25519: RFC 9380's Elligator 2, u-coordinates only.

The suite is ``curve25519_XMD:SHA-512_ELL2_NU_`` (RFC 9380, section 8.5) without its last
step, the clearing of the cofactor: every point made here goes into X25519, whose clamped
scalar is a multiple of the cofactor 8 and clears it there.

**Why not hash straight to a u-coordinate.** Half of all u belong to the curve and half to
its twist, and a scalar multiple stays on its side. A blinded item would then carry one bit
of its own item; every u made here is on the curve.

**Why one map and not two.** RFC 9380's random-oracle suites add two mapped points, for an
output indifferentiable from a random point. The output here is not: a u-coordinate comes
either from four field elements (two u²) or from none, so it is uniform over about half of
the curve's u-coordinates, 2^253 of them. That is enough for a Diffie-Hellman OPRF or
intersection, where only scalar multiples of item points are ever seen. The proof in the
random-oracle model needs a hash that can be programmed to a point chosen by the reduction:
a random multiple of a DDH challenge lies in the image every second time, its preimages
under the map are computed directly, and that hits the distribution of the real hash within
2^-128. Take RFC 9380's two maps where a hashed point itself is shown or added to others.

**Timing.** GMP is not constant-time. What is timed here is a party's own block of items,
never a key; a peer sees at most the sum over a block.
"""

from __future__ import annotations

from hashlib import sha512

import numpy as np
from gmpy2 import invert, legendre, mpz, pack  # type: ignore[import-untyped, unused-ignore]
from numpy.typing import NDArray

from mpc.curve25519 import POINT_BYTES

UNIFORM_BYTES = 48  # L of RFC 9380, section 5.2: 255 bits and 128 more, so that mod p is even

_P = mpz(2**255 - 19)
_A = mpz(486662)  # v² = u³ + A u² + u
_Z = mpz(2)  # the map's fixed non-square (RFC 9380, section 8.5)
_BATCH = 4096  # items that share one inversion and stay in cache


def hash_to_curve(items: NDArray[np.uint8], domain: bytes) -> NDArray[np.uint8]:
    """The u-coordinates of ``items``' points on Curve25519, canonical, little-endian.

    ``items`` is uint8[n, w], one fixed-width digest (or message) a row; the result is
    uint8[n, 32]. ``domain`` is RFC 9380's domain separation tag, at least one byte.
    Points may have a component of low order; see the module's text. Raises ``ValueError``
    for an empty ``domain`` or an ``items`` of another shape or type.
    """
    return map_to_curve(expand_message_xmd(items, domain))


def expand_message_xmd(items: NDArray[np.uint8], domain: bytes) -> NDArray[np.uint8]:
    """RFC 9380, section 5.3.1, with SHA-512: 48 uniform bytes for each row of ``items``.

    uint8[n, w] to uint8[n, 48]. A ``domain`` over 255 bytes is hashed first (section 5.3.3).
    """
    if items.ndim != 2 or items.dtype != np.uint8:
        raise ValueError(f"items are uint8[n, w], not {items.dtype}{list(items.shape)}")
    if not domain:
        raise ValueError("a domain separation tag has at least one byte")
    if len(domain) > 255:
        domain = sha512(b"H2C-OVERSIZE-DST-" + domain).digest()
    dst_prime = domain + bytes([len(domain)])
    after_message = UNIFORM_BYTES.to_bytes(2, "big") + b"\x00" + dst_prime
    after_b0 = b"\x01" + dst_prime
    padding = sha512(bytes(128))  # Z_pad fills a block of SHA-512: hashed once for all rows
    count, width = items.shape
    raw = items.tobytes()
    blocks = []
    for row in range(count):
        b0 = padding.copy()
        b0.update(raw[row * width : (row + 1) * width] + after_message)
        blocks.append(sha512(b0.digest() + after_b0).digest()[:UNIFORM_BYTES])
    return np.frombuffer(b"".join(blocks), np.uint8).reshape(count, UNIFORM_BYTES)


def map_to_curve(uniform: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Elligator 2 (RFC 9380, sections 5.2 and 6.7.1) of uniform bytes, x-coordinate only.

    uint8[n, 48], big-endian integers that are reduced mod p, to uint8[n, 32], canonical
    little-endian u. The field element 0, met with probability 2^-255, gives u = 0, of low
    order, as in the RFC; X25519 refuses it.
    """
    points = np.empty((len(uniform), POINT_BYTES), np.uint8)
    for first in range(0, len(uniform), _BATCH):
        rows = slice(first, first + _BATCH)
        points[rows] = _map_batch(uniform[rows])
    return points


def _map_batch(uniform: NDArray[np.uint8]) -> NDArray[np.uint8]:
    raw, load = uniform.tobytes(), mpz.from_bytes
    elements = [
        load(raw[at : at + UNIFORM_BYTES], "big") for at in range(0, len(raw), UNIFORM_BYTES)
    ]
    # Never zero, so the RFC's exceptional case does not arise: -1/2 is not a square mod p.
    inverses = _invert_all([(_Z * u * u + 1) % _P for u in elements])
    points = []
    for inverse in inverses:
        x1 = -_A * inverse % _P
        # g(x1) is never zero: x1 is not, and x² + A x + 1 has no root mod p. Where it is
        # not a square, g(x2) = Z u² g(x1) is.
        on_curve = legendre(x1 * (x1 * (x1 + _A) + 1), _P) == 1
        points.append(x1 if on_curve else (-x1 - _A) % _P)
    packed = pack(points, 8 * POINT_BYTES).to_bytes(POINT_BYTES * len(points), "little")
    return np.frombuffer(packed, np.uint8).reshape(-1, POINT_BYTES)


def _invert_all(values: list[mpz]) -> list[mpz]:
    """The inverses mod p of non-zero ``values``, by one inversion (Montgomery's trick)."""
    product, before = mpz(1), []
    for value in values:
        before.append(product)
        product = product * value % _P
    inverse, inverses = invert(product, _P), []
    for value, prefix in zip(reversed(values), reversed(before), strict=True):
        inverses.append(inverse * prefix % _P)
        inverse = inverse * value % _P
    inverses.reverse()
    return inverses
