"""Paillier's cryptosystem: checks, encryption, addition, re-randomisation, decryption.

Paillier, EUROCRYPT '99, with g = 1 + n, and the short-exponent randomness of Damgard, Jurik and
Nielsen, "A generalization of Paillier's public-key system with applications to electronic
voting", Int. J. Inf. Sec. 9 (2010). Integers are gmpy2's. Plaintexts lie in [0, n), ciphertexts
in (0, n²) and coprime to n; on the wire a ciphertext is 2 x bits / 8 bytes, big-endian.

The functions ending in ``_block`` take and give plain bytes and integers: they are what a role
hands to a worker process.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import gmpy2
import numpy as np
from gmpy2 import mpz

from mpc.errors import Malformed
from mpc.fixed_base import FixedBase, Pair
from mpc.hashing import labelled_hash
from mpc.paillier_keys import PrivateKey, PublicKey
from mpc.prg import expand


def check_ciphertexts(public: PublicKey, ciphertexts: Sequence[mpz]) -> None:
    """Refuse what is no ciphertext, naming the first position.

    Raises ``Malformed``: ``ciphertext-range`` unless 0 < c < n²; ``ciphertext-not-coprime``
    unless gcd(c, n) = 1; ``ciphertext-bare`` if c ≡ ±1 (mod n). The last kind decrypts, but
    anyone can read it: its randomness is ±1, as in the literal 1 that some libraries make of
    E(x) times 0. An honest encryption is never bare but with probability 2^-1000 or less.
    """
    n = public.n
    product = mpz(1)
    for index, ciphertext in enumerate(ciphertexts):
        if not 0 < ciphertext < public.n_squared:
            raise Malformed("ciphertext-range", index)
        unit = ciphertext % n
        if unit == 1 or unit == n - 1:
            raise Malformed("ciphertext-bare", index)
        product = product * unit % n
    if gmpy2.gcd(product, n) != 1:
        culprits = (i for i, c in enumerate(ciphertexts) if gmpy2.gcd(c, n) != 1)
        raise Malformed("ciphertext-not-coprime", next(culprits))


def ciphertexts_to_bytes(public: PublicKey, ciphertexts: Sequence[mpz]) -> bytes:
    """``ciphertexts`` one after the other, ``public.width`` bytes each, big-endian."""
    return b"".join(mpz(c).to_bytes(public.width, "big") for c in ciphertexts)


def ciphertexts_from_bytes(public: PublicKey, data: bytes, count: int) -> list[mpz]:
    """Exactly ``count`` checked ciphertexts.

    Raises ``Malformed``: ``ciphertexts-length``, or what :func:`check_ciphertexts` raises.
    """
    if len(data) != count * public.width:
        raise Malformed("ciphertexts-length")
    ciphertexts = _integers(data, public.width)
    check_ciphertexts(public, ciphertexts)
    return ciphertexts


class Encryptor:
    """Encrypts and re-randomises under one public key; made once for a key and a job.

    ``seed`` is 32 fresh random bytes, the encryptor's own. ``count`` is the number of
    ciphertexts expected, which decides how large a table pays.

    With ``blum``, which means that n is proved (or known, being one's own) to be a Blum modulus,
    randomness is h_s^s mod n² with h = -y² mod n, h_s = h^n mod n² and s of half n's bits. That
    the short s hides as well as a full one rests on h generating (up to a negligible chance) the
    whole group of Jacobi symbol 1, which is cyclic for a Blum key, and on discrete logarithms
    in it being hard; y is drawn here, since a peer's h could be ±1 and hide nothing. Without
    ``blum`` it is r^n for a uniform r, some 20 times slower.

    Randomness of a ciphertext is derived from the seed, the block number, the position in the
    block and a hash of the block's input: replaying a step repeats its bytes, while the same
    block number with other input, which should not happen, still gets randomness of its own.
    """

    def __init__(self, public: PublicKey, seed: bytes, count: int, *, blum: bool) -> None:
        self.public = public
        self._seed = seed
        self._table: FixedBase | None = None
        if blum:
            n, width = public.n, public.width
            y = mpz(int.from_bytes(expand(seed, "paillier/base", count=width))) % n
            base = gmpy2.powmod(-y * y % n, n, public.n_squared)
            self._table = FixedBase(n, base, exponent_bits=public.bits // 2, count=count)

    def encrypt(self, block: int, plaintexts: Sequence[int]) -> list[mpz]:
        """c = (1 + m n) u mod n² for each plaintext m in [0, n), u random of the n-th powers.

        Raises ``ValueError`` naming the first position out of domain.
        """
        n = self.public.n
        for index, m in enumerate(plaintexts):
            if not 0 <= m < n:
                raise ValueError(f"the plaintext at {index} is not in [0, n)")
        units = self._units(b"encrypt", block, plaintexts)
        # (1 + m n)(a + b n) = a + (b + m a) n modulo n²
        return [a + (b + m * a) % n * n for m, (a, b) in zip(plaintexts, units, strict=True)]

    def rerandomise(self, block: int, ciphertexts: Sequence[mpz]) -> list[mpz]:
        """Fresh ciphertexts of the same plaintexts, unlinkable to ``ciphertexts``."""
        n, n_squared = self.public.n, self.public.n_squared
        units = self._units(b"rerandomise", block, ciphertexts)
        return [c * (a + b * n) % n_squared for c, (a, b) in zip(ciphertexts, units, strict=True)]

    def _units(self, purpose: bytes, block: int, inputs: Sequence[int]) -> list[Pair]:
        """A random n-th power modulo n² for each input, as pairs (a, b) for a + b n."""
        n, width = self.public.n, self.public.width
        count = len(inputs)
        context = (purpose, block.to_bytes(8, "big"), _digest(self.public, inputs))
        if self._table is None:
            drawn = expand(self._seed, "paillier/unit", *context, count=count * width)
            roots = [root % n for root in _integers(drawn, width)]
            powers = gmpy2.powmod_base_list(roots, n, self.public.n_squared)
            return [(low, high) for high, low in (gmpy2.f_divmod(u, n) for u in powers)]
        octets = self.public.bits // 16
        drawn = expand(self._seed, "paillier/exponent", *context, count=count * octets)
        return self._table.powers(np.frombuffer(drawn, np.uint8).reshape(count, octets))


def add(public: PublicKey, contributions: Sequence[Sequence[mpz]]) -> list[mpz]:
    """Position by position, a ciphertext of the sum of the contributors' plaintexts modulo n.

    At least one contribution, all of equal length. The result is not fresh: re-randomise it
    before it leaves.
    """
    totals = list(contributions[0])
    for contribution in contributions[1:]:
        totals = [x * y % public.n_squared for x, y in zip(totals, contribution, strict=True)]
    return totals


def decrypt(private: PrivateKey, seed: bytes, ciphertexts: Sequence[mpz]) -> list[mpz]:
    """The plaintexts in [0, n), by Chinese remaindering (Paillier, section 7).

    The exponents p-1 and q-1 never change, and every base is first multiplied by a fresh random
    encryption of zero from ``seed`` (32 bytes), so what a peer can time does not depend on what
    it sent (Kocher, CRYPTO '96, section 10). GMP's constant-time powmod_sec is markedly slower;
    it would also hide the exponent from someone who
    shares the processor's cache, who is outside the model, and would leave the reduction of a
    chosen base modulo p² unblinded. Raises ``Malformed`` as :func:`check_ciphertexts` does.
    """
    public = private.public
    check_ciphertexts(public, ciphertexts)
    p, q = private.factors.expose()
    width = public.width
    octets = expand(seed, "paillier/blinding", _digest(public, ciphertexts), count=width)
    root = mpz(int.from_bytes(octets)) % public.n
    blind = _remainder(gmpy2.powmod(root, p, p * p), p * p, gmpy2.powmod(root, q, q * q), q * q)
    blinded = []
    for ciphertext in ciphertexts:
        blinded.append(ciphertext * blind % public.n_squared)
        blind = blind * blind % public.n_squared  # squares of an encryption of zero are such
    halves = zip(_logarithms(blinded, p, q), _logarithms(blinded, q, p), strict=True)
    inverse = gmpy2.invert(p, q)
    return [m_p + p * ((m_q - m_p) * inverse % q) for m_p, m_q in halves]


@lru_cache(maxsize=2)
def _encryptor(public: PublicKey, seed: bytes, count: int, blum: bool) -> Encryptor:
    # A worker process makes its table once for a job's many blocks; it comes from the seed, so
    # every worker makes the same one. Two tables at most stay, 128 MiB each.
    return Encryptor(public, seed, count, blum=blum)


def encrypt_block(
    public: PublicKey, seed: bytes, count: int, blum: bool, block: int, plaintexts: Sequence[int]
) -> bytes:
    """:meth:`Encryptor.encrypt` to bytes; ``count`` is the whole job's."""
    encryptor = _encryptor(public, seed, count, blum)
    return ciphertexts_to_bytes(public, encryptor.encrypt(block, plaintexts))


def rerandomise_block(
    public: PublicKey, seed: bytes, count: int, blum: bool, block: int, ciphertexts: bytes
) -> bytes:
    """:meth:`Encryptor.rerandomise` from bytes to bytes; ``count`` is the whole job's."""
    fresh = _encryptor(public, seed, count, blum).rerandomise(
        block, _integers(ciphertexts, public.width)
    )
    return ciphertexts_to_bytes(public, fresh)


def add_block(public: PublicKey, total: bytes | None, contribution: bytes, count: int) -> bytes:
    """``total`` so far plus one contributor's ``count`` ciphertexts.

    Contributors are added one at a time so that a ``Malformed``, raised as
    :func:`ciphertexts_from_bytes` does, is this contributor's; ``total`` is one's own.
    """
    checked = ciphertexts_from_bytes(public, contribution, count)
    if total is None:
        return contribution
    return ciphertexts_to_bytes(public, add(public, [_integers(total, public.width), checked]))


def decrypt_block(factors: bytes, seed: bytes, ciphertexts: bytes, count: int) -> list[int]:
    """:func:`decrypt` of exactly ``count`` ciphertexts; ``factors`` is the key's ``to_bytes``."""
    private = PrivateKey.from_bytes(factors)
    checked = ciphertexts_from_bytes(private.public, ciphertexts, count)
    return [int(m) for m in decrypt(private, seed, checked)]


def _logarithms(ciphertexts: Sequence[mpz], p: mpz, q: mpz) -> list[mpz]:
    """Each plaintext modulo p: L(c^(p-1) mod p²) / L((1+n)^(p-1) mod p²), L(x) = (x-1) / p.

    The divisor is (p-1) q, that is -q, modulo p.
    """
    square = p * p
    scale = gmpy2.invert(-q, p)
    powers = gmpy2.powmod_base_list([c % square for c in ciphertexts], p - 1, square)
    return [(x - 1) // p * scale % p for x in powers]


def _remainder(x: mpz, m: mpz, y: mpz, k: mpz) -> mpz:
    """The number that is x modulo m and y modulo k."""
    return x + m * ((y - x) * gmpy2.invert(m, k) % k)


def _integers(data: bytes, width: int) -> list[mpz]:
    return [mpz.from_bytes(data[i : i + width], "big") for i in range(0, len(data), width)]


def _digest(public: PublicKey, numbers: Sequence[int]) -> bytes:
    return labelled_hash("paillier/inputs", ciphertexts_to_bytes(public, numbers))
