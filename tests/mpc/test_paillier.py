"""The cryptosystem against textbook Paillier, and the attacks that libraries let through."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from functools import cache
from itertools import pairwise

import gmpy2
import numpy as np
import pytest
from gmpy2 import mpz
from hypothesis import given, settings
from hypothesis import strategies as st

from mpc import paillier
from mpc.errors import Malformed
from mpc.fixed_base import FixedBase, choose_window
from mpc.hashing import labelled_hash
from mpc.masking import StreamName, mask_plaintexts
from mpc.packing import Packing
from mpc.paillier import Encryptor
from mpc.paillier_keys import PrivateKey, check_factors, check_modulus, generate
from mpc.prg import expand

BITS = 2048
SEED = bytes(range(32))


@cache
def key() -> PrivateKey:
    return generate(BITS, SEED)


@cache
def encryptor() -> Encryptor:
    return Encryptor(key().public, SEED, 100, blum=True)


def decrypt_as_in_the_paper(private: PrivateKey, ciphertext: int) -> int:
    """Paillier 1999, section 4, in Python's own integers."""
    p, q = (int(factor) for factor in private.factors.expose())
    n = p * q
    phi = (p - 1) * (q - 1)
    return (pow(int(ciphertext), phi, n * n) - 1) // n * pow(phi, -1, n) % n


def prime_at_least(start: int) -> int:
    return int(gmpy2.next_prime(start))


# Keys


@pytest.mark.parametrize("bits", [2048, 3072])
def test_keys_are_blum_of_the_exact_size_and_come_from_the_seed(bits: int) -> None:
    private = generate(bits, SEED)
    p, q = (int(factor) for factor in private.factors.expose())
    assert private.public.n == p * q and private.public.bits == bits
    assert p % 4 == q % 4 == 3 and gmpy2.gcd(p - 1, q - 1) == 2 and private.is_blum()
    assert gmpy2.is_strong_bpsw_prp(p) and gmpy2.is_strong_bpsw_prp(q)
    assert abs(p - q) > 1 << (bits // 2 - 100)
    assert generate(bits, SEED).public == private.public
    assert generate(bits, bytes(32)).public != private.public
    assert check_modulus(p * q, bits) == private.public
    assert PrivateKey.from_bytes(private.to_bytes()).public == private.public


def test_a_private_key_does_not_show_or_copy_itself() -> None:
    p, q = key().factors.expose()
    for text in (repr(key()), str(key())):
        assert str(p) not in text and str(q) not in text
    with pytest.raises(TypeError):
        pickle.dumps(key())


@pytest.mark.parametrize("bits", [0, 1024, 2047, 2056])
def test_refuses_to_work_below_2048_bits(bits: int) -> None:
    with pytest.raises(ValueError, match="2048"):
        generate(bits, SEED)
    with pytest.raises(ValueError, match="2048"):
        check_modulus(15, bits)


def crafted_moduli() -> dict[str, tuple[int, str]]:
    p, q = (int(factor) for factor in key().factors.expose())
    n = p * q
    just_below = 1048573  # the largest prime below 2^20
    return {
        "fifteen": (15, "modulus-size"),
        "zero": (0, "modulus-size"),
        "negative": (-n, "modulus-size"),
        "one bit short": (n >> 1 | 1, "modulus-size"),
        "one bit long": (n << 1 | 1, "modulus-size"),
        "even": (n - 1, "modulus-even"),
        "prime": (prime_at_least(3 << 2046), "modulus-prime"),
        "three times a prime": (3 * prime_at_least(1 << 2046), "modulus-small-factor"),
        "largest small factor": (
            just_below * prime_at_least((3 << 2046) // just_below),
            "modulus-small-factor",
        ),
        "square": (p * p, "modulus-power"),
        "fourth power": (prime_at_least((15 << 508) + 1) ** 4, "modulus-power"),
    }


def test_refuses_crafted_moduli() -> None:
    for name, (n, code) in crafted_moduli().items():
        with pytest.raises(Malformed) as refusal:
            check_modulus(n, BITS)
        assert refusal.value.code == code, name


def test_refuses_factors_that_make_no_key() -> None:
    p, q = (int(factor) for factor in key().factors.expose())
    assert check_factors(p, q).public == key().public
    near = prime_at_least(p + 2)
    for pair in [(p, p), (p, near), (p, q + 2), (-p, -q), (3, p * q), (1, 1), (p, 0)]:
        with pytest.raises(Malformed, match="factors"):
            check_factors(*pair)


# Encryption and decryption


def test_decrypts_as_the_paper_does() -> None:
    n = int(key().public.n)
    plaintexts = [0, 1, 2, n // 2, n - 2, n - 1, int.from_bytes(expand(SEED, "m", count=250))]
    ciphertexts = encryptor().encrypt(0, plaintexts)
    assert paillier.decrypt(key(), SEED, ciphertexts) == plaintexts
    assert [decrypt_as_in_the_paper(key(), c) for c in ciphertexts] == plaintexts
    assert paillier.decrypt(key(), SEED, []) == []


def test_what_is_raised_to_the_secret_exponent_is_never_what_the_peer_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raised: list[mpz] = []
    real = gmpy2.powmod_base_list

    def record(bases: list[mpz], exponent: mpz, modulus: mpz) -> list[mpz]:
        raised.extend(base % modulus for base in bases)
        return list(real(bases, exponent, modulus))

    chosen = encryptor().encrypt(0, [6]) * 3
    monkeypatch.setattr(gmpy2, "powmod_base_list", record)
    assert paillier.decrypt(key(), SEED, chosen) == [6, 6, 6]
    assert paillier.decrypt(key(), bytes(32), chosen) == [6, 6, 6]
    assert len(set(raised)) == 12
    assert not {chosen[0] % (f * f) for f in key().factors.expose()} & set(raised)


def test_full_length_randomness_where_the_key_is_not_known_to_be_blum() -> None:
    full = Encryptor(key().public, SEED, 3, blum=False)
    ciphertexts = full.encrypt(0, [5, 5, 0])
    assert len(set(ciphertexts)) == 3
    fresh = full.rerandomise(0, ciphertexts)
    assert not set(fresh) & set(ciphertexts)
    assert paillier.decrypt(key(), SEED, fresh) == [5, 5, 0]


@pytest.mark.parametrize("offset", [-1, None])
def test_refuses_plaintexts_outside_the_domain(offset: int | None) -> None:
    bad = key().public.n if offset is None else offset
    with pytest.raises(ValueError, match="at 1 "):
        encryptor().encrypt(0, [0, bad])


def related(x: mpz, y: mpz) -> bool:
    """Whether two ciphertexts share their randomness up to sign: then x / y bares m_x - m_y."""
    public = key().public
    return (x * gmpy2.invert(y, public.n_squared)) % public.n in (1, public.n - 1)


def test_equal_plaintexts_give_unrelated_ciphertexts() -> None:
    same = encryptor().encrypt(0, [42] * 20) + encryptor().encrypt(1, [42] * 20)
    assert len(set(same)) == 40
    assert not any(related(x, y) for x, y in pairwise(same))
    fresh = encryptor().rerandomise(0, same)
    assert not any(related(x, y) for x, y in zip(fresh, same, strict=True))
    assert paillier.decrypt(key(), SEED, fresh) == [42] * 40


def test_randomness_is_never_used_twice_but_replay_repeats_the_bytes() -> None:
    public = key().public
    once = encryptor().encrypt(7, [1, 2, 3])
    again = Encryptor(public, SEED, 100, blum=True).encrypt(7, [1, 2, 3])
    assert once == again
    other_block = encryptor().encrypt(8, [1, 2, 3])
    other_input = encryptor().encrypt(7, [1, 2, 4])
    other_seed = Encryptor(public, bytes(32), 1, blum=True).encrypt(7, [1, 2, 3])
    fresh = encryptor().rerandomise(7, once)
    fresh_again = encryptor().rerandomise(8, once)
    runs = [once, other_block, other_input, other_seed, fresh, fresh_again]
    for at, run in enumerate(runs):
        for other in runs[at + 1 :]:
            assert not any(related(x, y) for x, y in zip(run, other, strict=True))


def test_rerandomising_rescues_the_literal_one_of_a_product_with_zero() -> None:
    """Elsewhere E(x) times 0 is the integer 1: readable by anyone, and refused from a peer."""
    public = key().public
    fresh = encryptor().rerandomise(0, [mpz(1)] * 3)
    assert len({*fresh, mpz(1)}) == 4
    paillier.check_ciphertexts(public, fresh)
    assert paillier.decrypt(key(), SEED, fresh) == [0, 0, 0]


# Ciphertexts from a peer


def crafted_ciphertexts() -> dict[str, tuple[int, str]]:
    public = key().public
    n = int(public.n)
    p = int(key().factors.expose()[0])
    return {
        "zero": (0, "ciphertext-range"),
        "minus one": (-1, "ciphertext-range"),
        "n squared": (n * n, "ciphertext-range"),
        "n squared and five": (n * n + 5, "ciphertext-range"),
        "n": (n, "ciphertext-not-coprime"),
        "a multiple of n": (7 * n, "ciphertext-not-coprime"),
        "a multiple of p": (12345 * p, "ciphertext-not-coprime"),
        "one": (1, "ciphertext-bare"),
        "minus one modulo n squared": (n * n - 1, "ciphertext-bare"),
        "a plaintext without randomness": (1 + 1000 * n, "ciphertext-bare"),
    }


@pytest.mark.parametrize("position", [0, 2, 4])
def test_refuses_crafted_ciphertexts_wherever_they_stand(position: int) -> None:
    for name, (bad, code) in crafted_ciphertexts().items():
        refuse_everywhere(name, bad, code, position)


def refuse_everywhere(name: str, bad: int, code: str, position: int) -> None:
    public = key().public
    batch = encryptor().encrypt(0, [1, 2, 3, 4, 5])
    batch[position] = mpz(bad)
    checks: list[Callable[[], object]] = [
        lambda: paillier.check_ciphertexts(public, batch),
        lambda: paillier.decrypt(key(), SEED, batch),
    ]
    if 0 <= bad < 1 << (8 * public.width):
        wire = b"".join(int(c).to_bytes(public.width, "big") for c in batch)
        checks += [
            lambda: paillier.ciphertexts_from_bytes(public, wire, 5),
            lambda: paillier.add_block(public, None, wire, 5),
            lambda: paillier.decrypt_block(key().to_bytes(), SEED, wire, 5),
        ]
    for check in checks:
        with pytest.raises(Malformed) as refusal:
            check()
        assert (refusal.value.code, refusal.value.index) == (code, position), name


def test_the_wire_form_is_of_fixed_width_and_exact() -> None:
    public = key().public
    ciphertexts = encryptor().encrypt(0, [1, 2, 3])
    data = paillier.ciphertexts_to_bytes(public, ciphertexts)
    assert len(data) == 3 * 512
    assert int.from_bytes(data[:512], "big") == ciphertexts[0]
    assert paillier.ciphertexts_from_bytes(public, data, 3) == ciphertexts
    for wrong, count in [(data[:-1], 3), (data + b"\0", 3), (data, 2), (data, 4), (b"", 1)]:
        with pytest.raises(Malformed, match="ciphertexts-length"):
            paillier.ciphertexts_from_bytes(public, wrong, count)


# The whole sum


def test_the_sum_of_five_ledgers_is_exact() -> None:
    """Pack, mask, encrypt, add, re-randomise, decrypt, unpack, in blocks, as roles do it."""
    contributors, count = 5, 200
    private = key()
    public = pickle.loads(pickle.dumps(private.public))
    layout = Packing.for_sum(BITS, contributors)
    amounts = np.random.default_rng(5).integers(
        -(1 << 63), (1 << 63) - 1, (contributors, count), dtype=np.int64, endpoint=True
    )
    amounts[:, 0] = (1 << 63) - 1
    amounts[:, 1] = -(1 << 63)
    amounts[:, 2] = 0
    rows = layout.plaintexts(count)
    blocks: list[bytes] = []
    for position in range(contributors):
        keys = {
            peer: labelled_hash("test/pair", bytes(sorted((position, peer))))
            for peer in range(contributors)
            if peer != position
        }
        seed = labelled_hash("test/encryptor", bytes([position]))
        masked = mask_plaintexts(
            layout.pack(amounts[position]), position, keys, layout.row_bits, StreamName("sum", 0, 0)
        )
        blocks.append(paillier.encrypt_block(public, seed, rows, True, 0, masked))

    def decrypted(chosen: list[bytes]) -> list[int]:
        total = None
        for block in chosen:
            total = paillier.add_block(public, total, block, rows)
        assert total is not None
        fresh = paillier.rerandomise_block(public, SEED, rows, True, 0, total)
        assert fresh != total
        return paillier.decrypt_block(private.to_bytes(), SEED, fresh, rows)

    sums = layout.unpack(decrypted(blocks), count, contributors)
    assert sums.tolist() == amounts.astype(object).sum(axis=0).tolist()
    with pytest.raises(Malformed):  # one contributor missing: masks that do not cancel
        layout.unpack(decrypted(blocks[1:]), count, contributors - 1)
    with pytest.raises(Malformed):  # a single input
        layout.unpack(decrypted(blocks[:1]), count, 1)


def test_addition_is_of_at_least_one_contribution_and_equal_lengths() -> None:
    public = key().public
    ciphertexts = encryptor().encrypt(0, [1, 2])
    assert paillier.add(public, [ciphertexts]) == ciphertexts
    with pytest.raises(ValueError, match="shorter"):
        paillier.add(public, [ciphertexts, ciphertexts[:1]])


# Fixed-base powers


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_fixed_base_powers_are_powers(data: st.DataObject) -> None:
    n = data.draw(st.integers(3, 1 << 200)) | 1
    base = data.draw(st.integers(1, n * n - 1))
    octets = data.draw(st.integers(1, 8))
    rows = data.draw(st.lists(st.binary(min_size=octets, max_size=octets), max_size=4))
    count = data.draw(st.sampled_from([1, 100, 5000]))
    table = FixedBase(mpz(n), mpz(base), exponent_bits=8 * octets, count=count)
    exponents = np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), octets)
    powers = [int(a + b * n) for a, b in table.powers(exponents)]
    assert powers == [pow(base, int.from_bytes(row, "little"), n * n) for row in rows]


def test_the_window_grows_with_the_work_and_stays_within_memory() -> None:
    windows = [choose_window(1536, 3072, 10**power) for power in range(7)]
    assert windows == sorted(windows) and windows[0] < windows[-1]
    for bits in (2048, 3072, 4096, 8192):
        window = choose_window(bits // 2, bits, 10**9)
        entries = -(-bits // 2 // window) << window
        assert entries * 2 * bits // 8 <= 128 << 20
