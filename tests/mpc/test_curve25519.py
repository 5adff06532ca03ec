"""X25519 in batches: published vectors, refusals, commutativity, tags."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mpc.curve25519 import (
    check_points,
    clamp,
    exponentiate,
    public_key,
    shared_secret,
    tag_bytes,
    tags,
)
from mpc.elligator2 import hash_to_curve
from mpc.errors import Malformed
from mpc.hashing import labelled_hash
from mpc.prg import expand

VECTORS = Path(__file__).parents[1] / "vectors"
P = 2**255 - 19
A = 486662
BATCH = 100_000
LOW_ORDER = [
    0,
    1,
    P - 1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
]


def groups(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((VECTORS / name).read_text("utf-8"))["testGroups"]
    return found


RFC7748 = {group["type"]: group["tests"] for group in groups("x25519_rfc7748.json")}
WYCHEPROOF = groups("x25519_wycheproof.json")[0]["tests"]


def point(value: int | str) -> NDArray[np.uint8]:
    raw = bytes.fromhex(value) if isinstance(value, str) else value.to_bytes(32, "little")
    return np.frombuffer(raw, np.uint8).reshape(1, 32)


def drawn(label: str, count: int) -> NDArray[np.uint8]:
    """Pseudorandom canonical u-coordinates, on either side."""
    raw = np.frombuffer(expand(bytes(32), label, count=32 * count), np.uint8)
    points = raw.reshape(count, 32).copy()
    points[:, 31] &= 0x3F
    return points


def refusal(points: NDArray[np.uint8]) -> tuple[str, int | None]:
    """What both the check and the exponentiation say of ``points``."""
    with pytest.raises(Malformed) as checked:
        check_points(points)
    with pytest.raises(Malformed) as used:
        exponentiate(bytes(32), points)
    assert (used.value.code, used.value.index) == (checked.value.code, checked.value.index)
    return checked.value.code, checked.value.index


# Published vectors


@pytest.mark.parametrize("case", RFC7748["ladder"], ids=lambda case: case["tcId"])
def test_rfc7748_ladder(case: dict[str, Any]) -> None:
    u = point(case["u"])
    if "TopBit" in case["flags"]:
        assert refusal(u) == ("point-not-canonical", 0)
        u = u & np.array([0xFF] * 31 + [0x7F], np.uint8)
    result = exponentiate(bytes.fromhex(case["scalar"]), u)
    assert result.tobytes().hex() == case["result"]


@pytest.mark.parametrize("case", RFC7748["iterated"], ids=lambda case: case["iterations"])
def test_rfc7748_iterated(case: dict[str, Any]) -> None:
    scalar = u = bytes.fromhex(case["start"])
    for _ in range(case["iterations"]):
        scalar, u = exponentiate(scalar, np.frombuffer(u, np.uint8)[np.newaxis]).tobytes(), scalar
    assert scalar.hex() == case["result"]


@pytest.mark.parametrize("case", RFC7748["diffie-hellman"], ids=lambda case: case["tcId"])
def test_rfc7748_diffie_hellman(case: dict[str, Any]) -> None:
    names = ("private_a", "public_a", "private_b", "public_b", "shared")
    a, public_a, b, public_b, shared = (bytes.fromhex(case[name]) for name in names)
    assert (public_key(a), public_key(b)) == (public_a, public_b)
    assert shared_secret(a, public_b) == shared_secret(b, public_a) == shared


@pytest.mark.parametrize("case", WYCHEPROOF, ids=lambda case: case["tcId"])
def test_wycheproof(case: dict[str, Any]) -> None:
    """Aliases and points of low order are refused, and everything else computed, twist too."""
    flags = set(case["flags"])
    private, public = bytes.fromhex(case["private"]), bytes.fromhex(case["public"])
    # By value: ten aliases of points of low order carry only the latter's flag.
    if int.from_bytes(public, "little") >= P:
        expected = "point-not-canonical"
    elif flags & {"LowOrderPublic", "ZeroSharedSecret"}:
        expected = "point-low-order"
    else:
        assert "NonCanonicalPublic" not in flags
        assert shared_secret(private, public).hex() == case["shared"]
        return
    with pytest.raises(Malformed) as caught:
        shared_secret(private, public)
    assert caught.value.code == expected


def test_wycheproof_subset_covers_every_kind() -> None:
    flags = {flag for case in WYCHEPROOF for flag in case["flags"]}
    assert flags >= {
        "EdgeCaseMultiplication",
        "EdgeCasePrivateKey",
        "EdgeCaseShared",
        "LowOrderPublic",
        "NonCanonicalPublic",
        "SmallPublicKey",
        "SpecialPublicKey",
        "Twist",
        "ZeroSharedSecret",
    }


# What is refused, and where


@pytest.fixture(scope="module")
def honest() -> NDArray[np.uint8]:
    return drawn("honest", BATCH)


HOSTILE = [  # the first of low order, 0, is also how the identity is written
    *[pytest.param(u, "point-low-order", id=f"low-order-{i}") for i, u in enumerate(LOW_ORDER)],
    pytest.param(P, "point-not-canonical", id="p"),
    pytest.param(P + 1, "point-not-canonical", id="p+1"),
    pytest.param(P + 9, "point-not-canonical", id="base-point-alias"),
    pytest.param(2**255 - 1, "point-not-canonical", id="2^255-1"),
    pytest.param(2**255 + 9, "point-not-canonical", id="top-bit"),
    pytest.param(2**255, "point-not-canonical", id="top-bit-of-zero"),
    pytest.param(2**256 - 1, "point-not-canonical", id="all-ones"),
]


@pytest.mark.parametrize("place", [0, BATCH // 2, BATCH - 1], ids=["first", "middle", "last"])
@pytest.mark.parametrize(("value", "code"), HOSTILE)
def test_one_hostile_point_among_many_is_named(
    honest: NDArray[np.uint8], value: int, code: str, place: int
) -> None:
    points = honest.copy()
    points[place] = point(value)
    assert refusal(points) == (code, place)


def test_the_first_of_several_hostile_points_is_named(honest: NDArray[np.uint8]) -> None:
    points = honest[:100].copy()
    points[40], points[60] = point(P + 2), point(0)
    assert refusal(points) == ("point-not-canonical", 40)
    points[40], points[60] = point(1), point(P + 2)
    assert refusal(points) == ("point-low-order", 40)


@pytest.mark.parametrize("value", [2, P - 2, P // 2, 2**64 - 19, 2**255 - 2**64, P - 2**64])
def test_the_neighbours_of_what_is_refused_are_accepted(value: int) -> None:
    check_points(point(value))
    assert exponentiate(bytes(32), point(value)).any()


def test_exactly_these_points_have_low_order() -> None:
    """The list is complete: halving the point at infinity three times gives it.

    Doubling takes u to (u^2 - 1)^2 / 4 u (u^2 + A u + 1). Halving infinity gives u = 0 alone
    (A^2 - 4 is not a square), halving 0 gives 1 and -1. Halving 1 gives u + 1/u = s with
    s = 2 + 2 sqrt(A + 2), for either root, and only one of the two s has its u in the field.
    -1 lies on the twist, whose order is 4 * prime: nothing doubles to it.
    """

    def squares(value: int) -> bool:
        return pow(value, (P - 1) // 2, P) == 1

    assert not squares(A * A - 4)
    assert squares(A + 2)  # u = 1 is on the curve
    assert not squares(A - 2)  # u = -1 is on the twist
    root = pow(A + 2, (P + 3) // 8, P)
    if root * root % P != A + 2:
        root = root * pow(2, (P - 1) // 4, P) % P
    assert root * root % P == A + 2
    one, other = LOW_ORDER[3:]
    assert one * other % P == 1
    sums = {(2 + 2 * root) % P, (2 - 2 * root) % P}
    assert {s for s in sums if squares(s * s - 4)} == {(one + other) % P}


@pytest.mark.parametrize(
    "points",
    [
        np.zeros((3, 31), np.uint8),
        np.zeros((3, 33), np.uint8),
        np.zeros((3, 0), np.uint8),
        np.zeros(32, np.uint8),
        np.zeros((1, 3, 32), np.uint8),
        np.zeros((3, 32), np.int8),
        np.zeros((3, 32), np.uint64),
    ],
    ids=lambda array: f"{array.dtype}{list(array.shape)}",
)
def test_another_shape_or_type_is_refused(points: NDArray[Any]) -> None:
    assert refusal(points) == ("point-wrong-shape", None)


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(Malformed, match="point-wrong-shape"):
        shared_secret(bytes(32), b"\x09" * length)
    with pytest.raises(ValueError, match="32 bytes"):
        public_key(bytes(length))


# The group


def test_clamp() -> None:
    assert clamp(b"\xff" * 32) == b"\xf8" + b"\xff" * 30 + b"\x7f"
    assert clamp(bytes(32)) == bytes(31) + b"\x40"


def test_the_scalar_is_clamped() -> None:
    scalar = expand(bytes(32), "scalar", count=32)
    points = drawn("clamped", 4)
    assert (exponentiate(scalar, points) == exponentiate(clamp(scalar), points)).all()


@settings(max_examples=25, deadline=None)
@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32), st.integers(0, 9))
def test_exponentiation_commutes(a: bytes, b: bytes, count: int) -> None:
    items = np.frombuffer(expand(a, "items", b, count=16 * count), np.uint8).reshape(count, 16)
    points = hash_to_curve(items, b"commutes")
    one_way = exponentiate(a, exponentiate(b, points))
    assert one_way.shape == (count, 32)
    assert (one_way == exponentiate(b, exponentiate(a, points))).all()
    assert shared_secret(a, public_key(b)) == shared_secret(b, public_key(a))


def test_each_point_is_exponentiated_by_itself_and_in_order() -> None:
    points = drawn("order", 50)
    scalar = expand(bytes(32), "scalar", count=32)
    together = exponentiate(scalar, points)
    alone = np.concatenate([exponentiate(scalar, points[i : i + 1]) for i in range(50)])
    assert (together == alone).all()
    assert (exponentiate(scalar, points[::-1]) == together[::-1]).all()  # not contiguous
    check_points(together)


def test_a_multiple_stays_on_its_side() -> None:
    """Why items must be hashed to the curve: blinding keeps this one bit of a bare u."""
    points = drawn("sides", 60)
    blinded = exponentiate(expand(bytes(32), "scalar", count=32), points)

    def sides(us: NDArray[np.uint8]) -> list[bool]:
        values = [int.from_bytes(u.tobytes(), "little") for u in us]
        return [pow(u * (u * u + A * u + 1), (P - 1) // 2, P) == 1 for u in values]

    assert sides(blinded) == sides(points)
    assert 10 < sum(sides(points)) < 50


def test_no_points_at_all() -> None:
    nothing = np.zeros((0, 32), np.uint8)
    check_points(nothing)
    assert exponentiate(bytes(32), nothing).shape == (0, 32)
    assert tags(nothing, 10, b"session").shape == (0, 10)


# Tags


@pytest.mark.parametrize(
    ("rows_a", "rows_b", "bits", "width"),
    [
        (2**20, 2**20, 40, 10),
        (2**20 + 1, 2**20, 40, 11),
        (10**7, 10**7, 40, 11),
        (2**10, 2**20, 40, 9),
        (1, 1, 40, 5),
        (0, 10**9, 40, 5),
        (1, 1, 0, 1),
        (3, 1, 38, 5),
        (10**8, 10**8, 64, 15),
    ],
)
def test_tag_bytes(rows_a: int, rows_b: int, bits: int, width: int) -> None:
    assert tag_bytes(rows_a, rows_b, bits) == width


@given(st.integers(1, 2**40), st.integers(1, 2**40), st.integers(1, 80))
def test_tag_bytes_is_the_least_width_within_the_bound(a: int, b: int, bits: int) -> None:
    width = tag_bytes(a, b, bits)
    bound = Fraction(1, 2**bits)
    assert Fraction(a * b, 256**width) <= bound
    assert width == 1 or Fraction(a * b, 256 ** (width - 1)) > bound


@pytest.mark.parametrize("arguments", [(-1, 1), (1, -1), (1, 1, -1), (2**128, 2**128, 1)])
def test_tag_bytes_refuses_what_no_tag_can_hold(arguments: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"tag|negative"):
        tag_bytes(*arguments)


@pytest.mark.parametrize("width", [1, 10, 32])
def test_a_tag_is_a_labelled_hash_of_its_point(width: int) -> None:
    points = drawn("tags", 20)
    expected = [labelled_hash("curve25519/tag", b"s", u.tobytes())[:width] for u in points]
    assert [tag.tobytes() for tag in tags(points, width, b"s")] == expected


def test_tags_of_two_sessions_do_not_compare() -> None:
    points = drawn("tags", 500)
    here, there = (set(map(bytes, tags(points, 10, name))) for name in (b"here", b"there"))
    assert len(here) == len(there) == 500
    assert not here & there


@pytest.mark.parametrize(
    ("shape", "width"), [((2, 31), 10), ((32,), 10), ((2, 32), 0), ((2, 32), 33)]
)
def test_tags_refuses_misuse(shape: tuple[int, ...], width: int) -> None:
    with pytest.raises(ValueError, match=r"points|tag"):
        tags(np.zeros(shape, np.uint8), width, b"s")
