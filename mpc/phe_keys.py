"""Keys and ciphertexts exchanged with phe (python-paillier), by its own classes.

phe is imported inside the functions alone: the node runs without it. Only exponent 0 crosses,
since phe's exponents tell magnitudes and a hostile one costs minutes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gmpy2 import mpz

from mpc.errors import Malformed
from mpc.paillier import check_ciphertexts
from mpc.paillier_keys import PrivateKey, PublicKey, check_factors, check_modulus

if TYPE_CHECKING:
    from phe import (
        EncryptedNumber,
        PaillierPrivateKey,
        PaillierPublicKey,
    )


def export_public(public: PublicKey) -> PaillierPublicKey:
    """``public`` as phe's class."""
    from phe import PaillierPublicKey

    return PaillierPublicKey(int(public.n))


def export_private(private: PrivateKey) -> PaillierPrivateKey:
    """``private`` as phe's class, which protects nothing from printing or pickling."""
    from phe import PaillierPrivateKey

    p, q = private.factors.expose()
    return PaillierPrivateKey(export_public(private.public), int(p), int(q))


def import_public(key: PaillierPublicKey, bits: int) -> PublicKey:
    """phe's key, checked as :func:`check_modulus` does; not taken for Blum without a proof."""
    return check_modulus(key.n, bits)


def import_private(key: PaillierPrivateKey) -> PrivateKey:
    """phe's key, checked as :func:`check_factors` does; ask ``is_blum()``, most are not."""
    return check_factors(key.p, key.q)


def export_ciphertext(public: PublicKey, ciphertext: mpz) -> EncryptedNumber:
    """``ciphertext`` as phe's class at exponent 0: phe reads plaintexts above n/2 as negative."""
    from phe import EncryptedNumber

    return EncryptedNumber(export_public(public), int(ciphertext), exponent=0)


def import_ciphertext(public: PublicKey, number: EncryptedNumber) -> mpz:
    """phe's ciphertext, obfuscated by phe if it was not yet.

    Raises ``Malformed``: ``ciphertext-key`` for another key, ``ciphertext-exponent`` for an
    exponent other than 0, or what :func:`check_ciphertexts` raises.
    """
    if number.public_key.n != public.n:
        raise Malformed("ciphertext-key")
    if number.exponent != 0:
        raise Malformed("ciphertext-exponent")
    ciphertext = mpz(number.ciphertext(be_secure=True))
    check_ciphertexts(public, [ciphertext])
    return ciphertext
