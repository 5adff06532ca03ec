"""phe as the oracle: keys and ciphertexts cross both ways, and its pitfalls are shown."""

from __future__ import annotations

from functools import cache
from math import gcd

import pytest
from gmpy2 import mpz

from mpc import paillier, phe_keys
from mpc.errors import Malformed
from mpc.paillier import Encryptor
from mpc.paillier_keys import PrivateKey, generate

phe = pytest.importorskip("phe")

SEED = b"\x11" * 32


@cache
def key() -> PrivateKey:
    return generate(2048, SEED)


@cache
def encryptor() -> Encryptor:
    return Encryptor(key().public, SEED, 10, blum=True)


def test_phe_decrypts_ours() -> None:
    private = phe_keys.export_private(key())
    values = [0, 1, 12345, 1 << 64]
    for value, c in zip(values, encryptor().encrypt(0, values), strict=True):
        assert private.decrypt(phe_keys.export_ciphertext(key().public, c)) == value
    negative = encryptor().encrypt(1, [int(key().public.n) - 77])[0]
    assert private.decrypt(phe_keys.export_ciphertext(key().public, negative)) == -77


def test_ours_decrypts_and_adds_to_phes() -> None:
    theirs = phe_keys.export_public(key().public)
    c = phe_keys.import_ciphertext(key().public, theirs.encrypt(1000) + theirs.encrypt(-1))
    ours = encryptor().encrypt(2, [5])
    assert paillier.decrypt(key(), SEED, [c]) == [999]
    assert paillier.decrypt(key(), SEED, paillier.add(key().public, [ours, [c]])) == [1004]


def test_keys_cross_both_ways() -> None:
    public, private = phe.generate_paillier_keypair(n_length=2048)
    imported = phe_keys.import_private(private)
    assert imported.public == phe_keys.import_public(public, 2048)
    p, q = int(private.p), int(private.q)
    assert imported.is_blum() == (p % 4 == q % 4 == 3 and gcd(p - 1, q - 1) == 2)
    full = Encryptor(imported.public, SEED, 1, blum=False)  # nothing is proved about phe's keys
    ciphertext = full.encrypt(0, [31337])[0]
    assert private.decrypt(phe_keys.export_ciphertext(imported.public, ciphertext)) == 31337
    assert paillier.decrypt(imported, SEED, [ciphertext]) == [31337]
    assert phe_keys.export_private(key()).public_key.n == key().public.n


def test_what_phe_accepts_is_refused() -> None:
    assert phe.PaillierPublicKey(15).n == 15
    with pytest.raises(Malformed, match="modulus-size"):
        phe_keys.import_public(phe.PaillierPublicKey(15), 2048)

    public, private = phe_keys.export_public(key().public), phe_keys.export_private(key())
    n = int(key().public.n)
    for accepted in (1, -1, n * n + 5):
        private.raw_decrypt(accepted)
        with pytest.raises(Malformed):
            paillier.decrypt(key(), SEED, [mpz(accepted)])

    fixed = phe.EncryptedNumber(public, int(encryptor().encrypt(3, [1])[0]), exponent=-3)
    with pytest.raises(Malformed, match="ciphertext-exponent"):
        phe_keys.import_ciphertext(key().public, fixed)
    other = phe.PaillierPublicKey(n + 2)
    with pytest.raises(Malformed, match="ciphertext-key"):
        phe_keys.import_ciphertext(key().public, other.encrypt(1))


def test_phes_zero_product_is_one_and_its_sum_with_a_constant_deterministic() -> None:
    public = phe_keys.export_public(key().public)
    number = public.encrypt(9)
    zero = (number * 0).ciphertext(be_secure=False)
    assert zero == 1
    shifted = [(number + 3).ciphertext(be_secure=False) for _ in range(2)]
    assert shifted[0] == shifted[1]
    fresh = encryptor().rerandomise(4, [mpz(zero), mpz(shifted[0]), mpz(shifted[1])])
    assert len({1, shifted[0], *fresh}) == 5
    assert paillier.decrypt(key(), SEED, fresh) == [0, 12, 12]
