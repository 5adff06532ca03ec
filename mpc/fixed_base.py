"""Many powers of one base modulo n², from a table made once.

Method: fixed-base windowing (Brickell, Gordon, McCurley and Wilson, EUROCRYPT '92; Handbook of
Applied Cryptography, 14.6.3). The exponent is cut into digits of ``window`` bits, the table
holds the base to every digit at every position, and a power is one product per position.

An element of Z/n² is held as the pair (a, b) that stands for a + b n, a and b below n. The
product of (a, b) and (c, d) is then (r, (a d + b c + k) mod n) with a c = k n + r: three
multiplications and two divisions of n's size, 15 % (2048 bits) to 35 % (3072 bits) cheaper in
GMP than one multiplication and one division of twice that size.

The table is indexed by digits of the exponent, which is secret: whoever shares the processor's
cache with this process may learn about it, a peer on the network may not.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from gmpy2 import f_divmod, mpz
from numpy.typing import NDArray

Pair = tuple[mpz, mpz]

_MOST_BYTES: Final = 128 << 20  # of table; holds window 10 at 2048 bits and window 9 at 3072
_OVERHEAD: Final = 168  # bytes that CPython and gmpy2 add to an entry: a tuple and two integers
_WIDEST: Final = 16


def choose_window(exponent_bits: int, modulus_bits: int, count: int) -> int:
    """The digit width, in bits, of least total work for ``count`` powers, table included.

    A position costs 2^w products once and one product for each power. Widths whose table would
    pass 128 MiB are left out.
    """

    def positions(window: int) -> int:
        return -(-exponent_bits // window)

    entry = 2 * modulus_bits // 8 + _OVERHEAD
    affordable = [
        window
        for window in range(1, _WIDEST + 1)
        if positions(window) * entry << window <= _MOST_BYTES
    ]
    return min(affordable, key=lambda window: positions(window) * (count + (1 << window)))


class FixedBase:
    """The powers of ``base`` (0 < base < n²) modulo n², for exponents of ``exponent_bits`` bits.

    ``count`` is the number of powers expected: it only decides how large a table pays.
    """

    def __init__(self, n: mpz, base: mpz, *, exponent_bits: int, count: int) -> None:
        self._n = n
        self._window = choose_window(exponent_bits, n.bit_length(), count)
        self._table: list[list[Pair]] = []
        high, low = f_divmod(base, n)
        step: Pair = (low, high)
        for _ in range(-(-exponent_bits // self._window)):
            row: list[Pair] = [(mpz(1), mpz(0))]
            for _ in range(1 << self._window):
                row.append(_product(row[-1], step, n))
            step = row.pop()  # the base to 2^window: the next position's base
            self._table.append(row)

    def powers(self, exponents: NDArray[np.uint8]) -> list[Pair]:
        """The base to each exponent, as pairs.

        ``exponents`` is uint8[count, exponent_bits / 8], an exponent a row, least significant
        byte and bit first.
        """
        return [self._power(digits) for digits in self._digits(exponents)]

    def _power(self, digits: list[int]) -> Pair:
        n = self._n
        a, b = mpz(1), mpz(0)
        for row, digit in zip(self._table, digits, strict=True):
            c, d = row[digit]
            carry, low = f_divmod(a * c, n)  # _product by hand: this loop is where time goes
            b = (a * d + b * c + carry) % n
            a = low
        return a, b

    def _digits(self, exponents: NDArray[np.uint8]) -> list[list[int]]:
        bits = np.unpackbits(exponents, axis=1, bitorder="little")
        padded = np.zeros((len(bits), len(self._table) * self._window), np.uint8)
        padded[:, : bits.shape[1]] = bits
        weights = 1 << np.arange(self._window)
        digits: list[list[int]] = (
            padded.reshape(len(bits), len(self._table), self._window) @ weights
        ).tolist()
        return digits


def _product(x: Pair, y: Pair, n: mpz) -> Pair:
    carry, low = f_divmod(x[0] * y[0], n)
    return low, (x[0] * y[1] + x[1] * y[0] + carry) % n
