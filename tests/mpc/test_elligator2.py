"""Hashing to Curve25519: RFC 9380's vectors, a plain transcription of it, and the image."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mpc.curve25519 import check_points, clamp, exponentiate
from mpc.elligator2 import expand_message_xmd, hash_to_curve, map_to_curve
from mpc.errors import Malformed
from mpc.prg import expand

VECTORS = Path(__file__).parents[1] / "vectors" / "elligator2_rfc9380.json"
GROUP = json.loads(VECTORS.read_text("utf-8"))["testGroups"][0]
DST = GROUP["dst"].encode()
P = 2**255 - 19
A = 486662


def rows(*items: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(items), np.uint8).reshape(len(items), len(items[0]))


def is_square(value: int) -> bool:
    return pow(value, (P - 1) // 2, P) in (0, 1)


def on_curve(u: int) -> bool:
    return is_square(u * (u * u + A * u + 1))


def integer(u: NDArray[np.uint8]) -> int:
    return int.from_bytes(u.tobytes(), "little")


def multiple(k: int, u: int) -> int:
    """The u-coordinate of k times a point, for any k > 0: RFC 7748's ladder, unclamped."""
    x2, z2, x3, z3 = 1, 0, u, 1
    for bit in map(int, f"{k:b}"):
        if bit:
            x2, z2, x3, z3 = x3, z3, x2, z2
        add, sub = x2 + z2, x2 - z2
        da, cb = (x3 - z3) * add, (x3 + z3) * sub
        x3, z3 = (da + cb) ** 2 % P, u * (da - cb) ** 2 % P
        e = add * add - sub * sub
        x2, z2 = add * add * sub * sub % P, e * (add * add + 121665 * e) % P
        if bit:
            x2, z2, x3, z3 = x3, z3, x2, z2
    return x2 * pow(z2, -1, P) % P


def reference_field_element(message: bytes, dst: bytes) -> int:
    """hash_to_field of RFC 9380, sections 5.2, 5.3.1 and 5.3.3, for count = 1."""
    if len(dst) > 255:
        dst = hashlib.sha512(b"H2C-OVERSIZE-DST-" + dst).digest()
    dst_prime = dst + len(dst).to_bytes(1, "big")
    msg_prime = bytes(128) + message + (48).to_bytes(2, "big") + b"\x00" + dst_prime
    b_0 = hashlib.sha512(msg_prime).digest()
    b_1 = hashlib.sha512(b_0 + b"\x01" + dst_prime).digest()
    return int.from_bytes(b_1[:48], "big") % P


def reference_map(r: int) -> int:
    """map_to_curve_elligator2 of RFC 9380, section 6.7.1, x alone (J = A, K = 1, Z = 2)."""
    x1 = -A * pow(1 + 2 * r * r, -1, P) % P
    return x1 if on_curve(x1) else (-x1 - A) % P


def preimages(u: int) -> set[int]:
    """Every field element that maps to ``u``, by solving the map's two equations."""
    if not on_curve(u) or u in (0, -A % P) or not is_square(-2 * u * (u + A)):
        return set()
    found = set()
    for numerator, denominator in ((-(u + A), 2 * u), (-u, 2 * (u + A))):
        square = numerator * pow(denominator, -1, P) % P
        root = pow(square, (P + 3) // 8, P)
        if root * root % P != square:
            root = root * pow(2, (P - 1) // 4, P) % P
        found |= {root, P - root}
    return found


@pytest.mark.parametrize("case", GROUP["tests"], ids=lambda case: case["tcId"])
def test_rfc9380(case: dict[str, Any]) -> None:
    items = rows(case["msg"].encode())
    uniform = expand_message_xmd(items, DST)
    assert uniform.shape == (1, 48)
    assert int.from_bytes(uniform.tobytes(), "big") % P == int(case["u"], 16)
    q = int(case["Q_x"], 16)
    assert integer(map_to_curve(uniform)) == integer(hash_to_curve(items, DST)) == q


@pytest.mark.parametrize("case", GROUP["tests"], ids=lambda case: case["tcId"])
def test_a_clamped_scalar_clears_the_cofactor(case: dict[str, Any]) -> None:
    """k Q = (k / 8) P, where P = 8 Q is the RFC's point after clearing."""
    scalar = expand(bytes(32), "scalar", count=32)
    k = int.from_bytes(clamp(scalar), "little")
    q, p = int(case["Q_x"], 16), int(case["P_x"], 16)
    assert multiple(8, q) == p
    product = exponentiate(scalar, hash_to_curve(rows(case["msg"].encode()), DST))
    assert integer(product) == multiple(k // 8, p)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 80).flatmap(
        lambda width: st.lists(st.binary(min_size=width, max_size=width), min_size=1, max_size=5)
    ),
    st.binary(min_size=1, max_size=300),
)
def test_equals_a_plain_transcription_of_the_rfc(items: list[bytes], dst: bytes) -> None:
    points = hash_to_curve(rows(*items), dst)
    expected = [reference_map(reference_field_element(item, dst)) for item in items]
    assert [integer(u) for u in points] == expected


@pytest.mark.parametrize("length", [255, 256, 1000])
def test_a_long_domain_is_hashed_first(length: int) -> None:
    items, dst = rows(b"item"), b"d" * length
    short = hashlib.sha512(b"H2C-OVERSIZE-DST-" + dst).digest()
    same = (hash_to_curve(items, dst) == hash_to_curve(items, short)).all()
    assert same == (length > 255)


@pytest.mark.parametrize("value", [1, 2, P - 1, P + 1, 2 * P - 1, 2**384 - 1, (P + 1) // 2])
def test_edges_of_the_field(value: int) -> None:
    uniform = rows(value.to_bytes(48, "big"))
    assert integer(map_to_curve(uniform)) == reference_map(value % P)


@pytest.mark.parametrize("value", [0, P, 2 * P])
def test_the_field_element_zero_gives_the_point_that_is_refused(value: int) -> None:
    point = map_to_curve(rows(value.to_bytes(48, "big")))
    assert integer(point) == reference_map(0) == 0
    with pytest.raises(Malformed, match="point-low-order"):
        exponentiate(bytes(32), point)


def test_the_map_has_no_exceptional_case() -> None:
    assert not is_square(2)
    assert not is_square(-pow(2, -1, P))  # 1 + 2 u^2 is never zero
    assert not is_square(A * A - 4)  # x^2 + A x + 1 is never zero


def test_every_item_lands_on_the_curve() -> None:
    """More items than share one inversion, every one by Euler's criterion."""
    items = np.arange(5000, dtype="<u4").view(np.uint8).reshape(5000, 4)
    points = hash_to_curve(items, b"tests/on-curve")
    check_points(points)
    assert all(on_curve(integer(u)) for u in points)
    assert len(np.unique(points, axis=0)) == 5000


def test_the_image_is_half_the_curve_and_each_point_has_four_preimages() -> None:
    """What the one-map choice rests on: programmable, and uniform over its image."""
    raw = expand(bytes(32), "image", count=32 * 400)
    drawn = (int.from_bytes(raw[at : at + 32], "big") % P for at in range(0, len(raw), 32))
    us = [u for u in drawn if on_curve(u)]
    sets = [preimages(u) for u in us]
    assert all(len(found) in (0, 4) for found in sets)
    assert 0.35 < sum(map(bool, sets)) / len(us) < 0.65
    for u, found in zip(us[:40], sets, strict=False):
        assert all(integer(map_to_curve(rows(r.to_bytes(48, "big")))) == u for r in found)
    for item in range(20):  # and every point made is one of these
        r = reference_field_element(bytes([item]), DST)
        assert r in preimages(integer(hash_to_curve(rows(bytes([item])), DST)))


def test_a_row_depends_on_itself_alone() -> None:
    items = np.frombuffer(expand(bytes(32), "rows", count=9000 * 16), np.uint8).reshape(9000, 16)
    points = hash_to_curve(items, b"tests/rows")
    assert (hash_to_curve(items, b"tests/rows") == points).all()
    assert (hash_to_curve(items[::-1], b"tests/rows") == points[::-1]).all()
    for at in (0, 4095, 4096, 8999):
        assert (hash_to_curve(items[at : at + 1], b"tests/rows") == points[at]).all()
    assert not (hash_to_curve(items, b"tests/other") == points).all(axis=1).any()


@pytest.mark.parametrize("width", [0, 16])
def test_no_items_at_all(width: int) -> None:
    assert hash_to_curve(np.zeros((0, width), np.uint8), DST).shape == (0, 32)


@pytest.mark.parametrize(
    ("items", "domain"),
    [
        (np.zeros((2, 4), np.uint8), b""),
        (np.zeros(4, np.uint8), DST),
        (np.zeros((2, 4), np.uint16), DST),
    ],
)
def test_misuse(items: NDArray[Any], domain: bytes) -> None:
    with pytest.raises(ValueError, match=r"items are|domain separation"):
        hash_to_curve(items, domain)
