"""Flooding noise: integers drawn exactly, so that no bit of a ciphertext stays bare.

The sum of three uniform integers of F + 1 bits has standard deviation 2^F, hard bounds at three
of them, as little Fisher information as flooding needs (see :mod:`mpc.ckks.parameters`), and is
drawn with additions alone: there is no floating point in the distribution, hence
none of its traces. (Encoding a Gaussian of 2^86 directly, as libraries invite to do, leaves the
low bits of every coefficient zero, since a double has 53 of them: a perfect distinguisher.)

CKKS encoders take slots, not coefficients, and double precision carries about 2^46 exactly
through their FFT: so the noise comes in two halves, high·2^K + low, each encoded exactly.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mpc.prg import expand

_SUMMANDS = 3


def flooding(
    seed: bytes, *context: bytes, degree: int, bits: int, low_bits: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(high, low), int64[degree] each: high·2^low_bits + low has σ = 2^bits, mean 0.

    Each of three summands has ``bits + 1`` uniform bits, cut into an upper part and the lower
    ``low_bits``; each half is a sum of three parts with its mean taken off (to -½).
    """
    stream = expand(seed, "ckks/flooding", *context, count=_SUMMANDS * 2 * 8 * degree)
    words = np.frombuffer(stream, dtype="<u8").reshape(2, _SUMMANDS, degree)
    halves = []
    for word, width in zip(words, (bits + 1 - low_bits, low_bits), strict=True):
        total = (word >> np.uint64(64 - width)).sum(axis=0, dtype=np.int64)
        halves.append(total - _SUMMANDS * ((1 << width) - 1) // 2)
    return halves[0], halves[1]


@lru_cache(maxsize=2)
def _roots(degree: int) -> tuple[NDArray[np.complex128], NDArray[np.int64]]:
    """exp(iπj/N) for every j, and the order of SEAL's slots: powers of 3, as odd exponents."""
    twist = np.exp(1j * np.pi * np.arange(degree) / degree)
    order, power = [], 1
    for _ in range(degree // 2):
        order.append((power - 1) // 2)
        power = power * 3 % (2 * degree)
    return twist, np.array(order)


def slots_of(coefficients: NDArray[np.int64]) -> NDArray[np.complex128]:
    """The slots, complex128[N/2], that an encoder at scale 1 turns into these coefficients.

    The canonical embedding: the polynomial at the 2N-th roots of unity with exponents 3^i.
    Exact after the encoder's rounding while the coefficients' standard deviation is ≤ 2^46.
    """
    degree = len(coefficients)
    twist, order = _roots(degree)
    values: NDArray[np.complex128] = np.fft.ifft(coefficients * twist) * degree
    return values[order]
