"""Digests of identifiers, and finding equal ones."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mpc.hashing import labelled_hash
from mpc.items import ITEM_BYTES, distinct, item_digests
from mpc.normalise import Reason, key_rule


def test_digest_is_the_labelled_hash() -> None:
    one = item_digests(key_rule("text", 1), [["  Acme Ltd"]])
    assert one.digests.shape == (1, ITEM_BYTES) and one.digests.dtype == np.uint8
    assert one.digests.tobytes() == labelled_hash("item", b"text/1", b"acme ltd")[:16]
    two = item_digests(key_rule("lei,text", 2), [["213800J1GZ9DZNQKEE26"], ["中国"]])
    expected = labelled_hash("item", b"lei/1,text/1", b"213800J1GZ9DZNQKEE26", "中国".encode())
    assert two.digests.tobytes() == expected[:16]


def test_rule_and_version_enter_the_digest() -> None:
    raw = item_digests(key_rule("raw", 1), [["acme"]]).digests
    text = item_digests(key_rule("text", 1), [["acme"]]).digests
    assert raw.tobytes() != text.tobytes()


def test_parts_are_joined_injectively() -> None:
    pairs = [("ab", "c"), ("a", "bc"), ("abc", "c"), ("a|b", "c"), ("a", "b|c"), ("c", "ab")]
    columns = [[p[0] for p in pairs], [p[1] for p in pairs]]
    first, _ = distinct(item_digests(key_rule("raw", 2), columns).digests)
    assert len(first) == len(pairs)


def test_what_identifies_nothing_is_left_out_and_counted() -> None:
    got = item_digests(key_rule("text", 1), [["a", "", None, "b\0", "x" * 2000, "A "]])
    assert got.rows.tolist() == [0, 5]
    assert got.digests[0].tobytes() == got.digests[1].tobytes()
    assert got.left_out == {Reason.EMPTY: 2, Reason.CONTROL: 1, Reason.TOO_LONG: 1}


def test_the_gravest_part_names_the_reason() -> None:
    got = item_digests(key_rule("text", 2), [["", "a", ""], ["\0", "", "b"]])
    assert got.left_out == {Reason.CONTROL: 1, Reason.EMPTY: 2}
    assert got.digests.shape == (0, ITEM_BYTES)


@given(st.lists(st.integers(0, 20), max_size=80))
def test_distinct_keeps_first_occurrences_in_order(labels: list[int]) -> None:
    rng = np.random.default_rng(0)
    digests = rng.integers(0, 256, (21, ITEM_BYTES), np.uint8)[np.array(labels, np.int64)]
    first, group = distinct(digests)
    seen = list(dict.fromkeys(labels))
    assert [labels[i] for i in first] == seen
    assert first.tolist() == [labels.index(label) for label in seen]
    assert [seen[g] for g in group] == labels


def test_distinct_looks_at_all_bytes() -> None:
    digests = np.zeros((17, ITEM_BYTES), np.uint8)
    for i in range(ITEM_BYTES):
        digests[i, i] = 1
    first, group = distinct(digests)
    assert first.tolist() == group.tolist() == list(range(17))


def test_distinct_survives_equal_halves() -> None:
    halves = np.array([[7, 1], [7, 2], [7, 1], [5, 2], [7, 2], [5, 9]], np.uint64)
    first, group = distinct(halves.view(np.uint8))
    assert first.tolist() == [0, 1, 3, 5]
    assert group.tolist() == [0, 1, 0, 2, 1, 3]
