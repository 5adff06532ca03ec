"""PLAN.toml: read strictly, written so that it reads back, and made into a plan or not at all."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parties.errors import ConfigError
from parties.requests import Query, make_plan, parse_query
from protocols.spec import Offer

GOOD = """\
protocol = "psi"
mine = "loans"
purpose = "credit check"

[theirs]
acme = "ledger"

[options]
reveal = "count"
"""
KEYS = {"bank": bytes(31) + b"\x01", "acme": bytes(31) + b"\x02"}


def offer(party: str, **changes: Any) -> Offer:
    right = {
        "dataset": "ledger", "keys": ("id",), "normalizer": "text/1", "columns": (), "max_rows": 16,
    }  # fmt: skip
    return Offer(party, **{**right, **changes})


def test_what_is_read_is_what_was_written() -> None:
    query = parse_query(GOOD)
    assert query == Query(
        "psi", "loans", {"acme": "ledger"}, purpose="credit check", options={"reveal": "count"}
    )
    assert parse_query(query.to_toml()) == query


@given(
    st.text(st.characters(min_codepoint=32, exclude_categories=("C", "Z")), max_size=50),
    st.integers(1, 30 * 24 * 60),
    st.lists(st.from_regex(r"[a-z0-9][a-z0-9-]{0,20}", fullmatch=True), min_size=1, unique=True),
)
def test_every_query_reads_back(purpose: str, minutes: int, parties: list[str]) -> None:
    query = Query(
        "psi", "loans", dict.fromkeys(parties, "l.1"), purpose=purpose, valid_minutes=minutes
    )
    assert parse_query(query.to_toml()) == query
    assert list(parse_query(query.to_toml()).theirs) == parties  # their order is the plan's


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (("psi", "fhe"), 1),
        (('protocol = "psi"\n', ""), 0),
        (("mine =", "ours ="), 0),
        (('"loans"', "7"), 2),
        (("acme =", '"ACME" ='), 6),
        (("acme =", '"a b" ='), 6),
        (('acme = "ledger"', ""), 5),
        (("reveal", "reveals"), 8),
        (('"psi"', '"psi"\nmethod = "rr22"'), 0),
        (('"psi"', '"psi"\nvalid_minutes = 0'), 2),
        (('"psi"', '"psi"\nvalid_minutes = 43201'), 2),
        (('"psi"', '"psi'), 1),
    ],
)
def test_what_is_wrong_is_named_with_its_line(change: tuple[str, str], line: int) -> None:
    with pytest.raises(ConfigError) as error:
        parse_query(GOOD.replace(*change), "query.toml")
    assert "\n" not in str(error.value)
    if line:
        assert str(error.value).startswith("query.toml") and error.value.line == line


def test_a_plan_says_what_was_asked_and_offered() -> None:
    theirs = offer("acme", max_rows=64)
    plan = make_plan(parse_query(GOOD), offer("bank"), [theirs], KEYS, None, 1000, bytes(16))
    assert plan.names == ("bank", "acme")
    assert plan.signing_key("acme") == KEYS["acme"]
    assert plan.message.purpose == "credit check"
    assert (plan.message.created, plan.message.expires) == (1000, 1000 + 24 * 3600)
    assert (plan.max_rows("bank"), plan.max_rows("acme")) == (16, 64)
    again = make_plan(parse_query(GOOD), offer("bank"), [theirs], KEYS, None, 1000, b"\x01" * 16)
    assert again.hash != plan.hash


@pytest.mark.parametrize(
    ("mine", "theirs", "words"),
    [
        ({}, {"normalizer": "name/1"}, "agree on one normaliser"),
        ({}, {"keys": ("id", "city")}, "text/1 of 2 columns"),
        ({"max_rows": 0}, {}, "plan-rows"),
        ({}, {"max_rows": 2**33}, "plan-rows"),
        ({}, {"keys": ("i\nd",)}, "plan-input"),
    ],
)
def test_an_offer_that_makes_no_plan(
    mine: dict[str, Any], theirs: dict[str, Any], words: str
) -> None:
    """The second party's offer is its own words: whatever stands there, it is an error of ours."""
    with pytest.raises(ConfigError, match=words):
        make_plan(
            parse_query(GOOD), offer("bank", **mine), [offer("acme", **theirs)], KEYS, None, 1000,
            bytes(16),
        )  # fmt: skip
