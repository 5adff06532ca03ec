"""Paillier keys: generation, and the checks of what comes from outside."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Final

import gmpy2
from gmpy2 import mpz

from mpc.errors import Malformed
from mpc.prg import expand
from mpc.secret import Secret

DEFAULT_BITS: Final = 3072  # 128-bit security; 2048 is 112 (NIST SP 800-57 part 1, table 2)
MIN_BITS: Final = 2048
_SMALL: Final = 1 << 20  # a foreign modulus has no factor below this
_SIEVE: Final = 1 << 12  # candidates with a factor below this are not worth a primality test
# GMP runs Baillie-PSW and then this number less 24 Miller-Rabin rounds, that is 40; for the
# random candidates of key generation FIPS 186-5 (table B.1) asks for 4 or 5.
_PRIMALITY_TESTS: Final = 64


@dataclass(frozen=True)
class PublicKey:
    """A modulus n. Foreign ones come from :func:`check_modulus` only."""

    n: mpz
    n_squared: mpz = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "n_squared", self.n * self.n)

    @property
    def bits(self) -> int:
        """Bits of n."""
        return int(self.n.bit_length())

    @property
    def width(self) -> int:
        """Bytes of a ciphertext."""
        return 2 * self.bits // 8


@dataclass(frozen=True, eq=False)
class PrivateKey:
    """The factors (p, q) of n. It does not print, compare or pickle them."""

    factors: Secret[tuple[mpz, mpz]]
    public: PublicKey

    @classmethod
    def from_factors(cls, p: int, q: int) -> PrivateKey:
        """The key of two factors that are known to be good (see :func:`check_factors`)."""
        return cls(Secret((mpz(p), mpz(q))), PublicKey(mpz(p) * mpz(q)))

    @classmethod
    def from_bytes(cls, data: bytes) -> PrivateKey:
        """What :meth:`to_bytes` gave."""
        half = len(data) // 2
        return cls.from_factors(int.from_bytes(data[:half]), int.from_bytes(data[half:]))

    def to_bytes(self) -> bytes:
        """p and q, each big-endian in half of n's width: secret, for the owner's own workers."""
        p, q = self.factors.expose()
        half = self.public.bits // 16
        return bytes(p.to_bytes(half, "big") + q.to_bytes(half, "big"))

    def is_blum(self) -> bool:
        """Whether p ≡ q ≡ 3 (mod 4) and gcd(p-1, q-1) = 2, as short exponents need."""
        return _is_blum(*self.factors.expose())


def generate(bits: int, seed: bytes) -> PrivateKey:
    """A fresh Blum key with n of exactly ``bits`` bits, determined by the 32-byte ``seed``.

    Each prime is the first in a stream of independent uniform candidates, top two bits and low
    two bits set, without rejection bias (FIPS 186-5, appendix A.1.3, with its bound on |p - q|).
    """
    if bits < MIN_BITS or bits % 16:
        raise ValueError(f"a modulus has at least {MIN_BITS} bits, a multiple of 16")
    p = _prime(bits // 2, seed, b"p", None)
    return PrivateKey.from_factors(p, _prime(bits // 2, seed, b"q", p))


def _prime(bits: int, seed: bytes, which: bytes, other: mpz | None) -> mpz:
    width = bits // 8
    ends = mpz(3) << (bits - 2) | 3
    sieve = gmpy2.primorial(_SIEVE)
    batch = 0
    while True:
        # One stream for 64 candidates: deriving it costs more than the bytes.
        drawn = expand(seed, "paillier/prime", which, batch.to_bytes(8, "big"), count=64 * width)
        for start in range(0, len(drawn), width):
            candidate = mpz(int.from_bytes(drawn[start : start + width])) | ends
            if (
                gmpy2.gcd(candidate, sieve) == 1
                and gmpy2.is_prime(candidate, _PRIMALITY_TESTS)
                and (other is None or (_far(candidate, other) and _is_blum(candidate, other)))
            ):
                return candidate
        batch += 1


def _far(p: int, q: int) -> bool:
    """Whether p and q differ by more than Fermat's factoring method can bridge."""
    return abs(p - q).bit_length() > p.bit_length() - 100


def _is_blum(p: mpz, q: mpz) -> bool:
    return bool(p % 4 == 3 and q % 4 == 3 and gmpy2.gcd(p - 1, q - 1) == 2)


def check_factors(p: int, q: int) -> PrivateKey:
    """The key of two factors from outside (an imported key, Blum or not).

    Raises ``Malformed``: ``factors`` unless they are primes of one length, far apart, and their
    product is of a permitted size.
    """
    sound = (
        p.bit_length() == q.bit_length()
        and (p * q).bit_length() >= MIN_BITS
        and (p * q).bit_length() % 16 == 0
        and _far(p, q)
        and all(f > 0 and gmpy2.is_prime(mpz(f), _PRIMALITY_TESTS) for f in (p, q))
    )
    if not sound:
        raise Malformed("factors")
    return PrivateKey.from_factors(p, q)


@cache
def _small_primes() -> mpz:
    return gmpy2.primorial(_SMALL)


def check_modulus(n: int, bits: int) -> PublicKey:
    """A peer's modulus, refused unless it looks like one of exactly ``bits`` bits.

    Raises ``Malformed``: ``modulus-size``, ``modulus-even``, ``modulus-small-factor`` (below
    2^20), ``modulus-power`` or ``modulus-prime``. This keeps blunders and crude attacks out. It
    cannot show that n has exactly two factors, that they are large, or that they are Blum: for
    that the owner's zero-knowledge proofs are needed, and short exponents wait for them.
    """
    if bits < MIN_BITS or bits % 16:
        raise ValueError(f"a modulus has at least {MIN_BITS} bits, a multiple of 16")
    n = mpz(n)
    if n <= 0 or n.bit_length() != bits:
        raise Malformed("modulus-size")
    if n % 2 == 0:
        raise Malformed("modulus-even")
    if gmpy2.gcd(n, _small_primes()) != 1:
        raise Malformed("modulus-small-factor")
    if gmpy2.is_power(n):
        raise Malformed("modulus-power")
    if gmpy2.is_prime(n):
        raise Malformed("modulus-prime")
    return PublicKey(n)
