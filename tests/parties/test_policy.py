"""The policy: nothing but what a line allows, and each condition of a line counts."""

from __future__ import annotations

import datetime
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parties.config import DatasetEntry
from parties.errors import ConfigError
from parties.policy import (
    POLICY_TOML,
    Policy,
    Proposal,
    Rule,
    add_rule,
    check_policy,
    decide,
    parse_policy,
    read_policy,
)
from parties.status import TABLE

NOW = datetime.datetime(2026, 11, 23, 12, tzinfo=datetime.UTC)
SUM = Proposal(
    me="acme",
    parties=("bank-a", "acme", "beta", "zeta"),
    protocol="sum.paillier",
    dataset="ledger",
    keys=("supplier",),
    own_keys=("supplier",),
    columns=("amount",),
    max_rows=(100, 200, 300, 400),
    learners=frozenset({"bank-a"}),
    purpose="credit check",
    cohort=3,
)
PSI = replace(
    SUM, parties=("bank-a", "acme"), max_rows=(100, 200), protocol="psi.ecdh", columns=(),
    cohort=100, reveal="count",
)
ALLOW_SUM = Rule("ledger", "sum", "bank-a", ("amount", "due"))
ALLOW_PSI = Rule("ledger", "psi", "bank-a")


def refusal(rule: Rule, asked: Proposal, used_today: int = 0) -> str:
    decision = decide(Policy((rule,)), asked, NOW, used_today)
    assert decision.verdict == "refuse"
    assert decision.code in TABLE and TABLE[decision.code].exit == 3
    return decision.reason


def allowed(rule: Rule, asked: Proposal, used_today: int = 0) -> bool:
    return decide(Policy((rule,)), asked, NOW, used_today).verdict == "allow"


def test_nothing_is_allowed_by_default() -> None:
    decision = decide(parse_policy(POLICY_TOML), SUM, NOW, 0)
    assert (decision.verdict, decision.rule, decision.code) == ("refuse", None, "policy-none")


def test_what_a_line_says_is_allowed() -> None:
    decision = decide(Policy((ALLOW_PSI, ALLOW_SUM)), SUM, NOW, 0)
    assert (decision.verdict, decision.rule, decision.reason) == ("allow", 2, "policy 2: allows")
    assert allowed(ALLOW_PSI, PSI)
    assert allowed(replace(ALLOW_SUM, party="any"), SUM)
    assert allowed(replace(ALLOW_SUM, protocol="sum.paillier"), SUM)


@pytest.mark.parametrize(
    ("change", "asked", "condition"),
    [
        ({"dataset": "ledger2"}, SUM, "dataset"),
        ({"protocol": "psi"}, SUM, "protocol"),
        ({"protocol": "sum.rlwe"}, SUM, "protocol"),
        ({"party": "beta"}, SUM, "party"),
        ({}, replace(SUM, keys=("amount",)), "keys"),
        ({}, replace(SUM, keys=("supplier", "amount")), "keys"),
        ({"columns": ()}, SUM, "columns"),
        ({}, replace(SUM, columns=("amount", "price")), "columns"),
        ({}, replace(SUM, learners=frozenset({"bank-a", "zeta"})), "learners"),
        ({"reveal": ("count",)}, SUM, "reveal"),
        ({"beside": ("beta",)}, SUM, "beside"),
        ({"beside": ()}, SUM, "beside"),
        ({"purpose": "audit"}, SUM, "purpose"),
        ({}, replace(SUM, cohort=2), "min_cohort"),
        ({}, replace(SUM, parties=SUM.parties[:3], max_rows=SUM.max_rows[:3]), "min_cohort"),
        ({"min_cohort": 4}, replace(SUM, cohort=4), "min_cohort"),
        ({"max_rows": 399}, SUM, "max_rows"),
        ({"expires": datetime.date(2026, 11, 22)}, SUM, "expires"),
    ],
)
def test_each_condition_refuses(change: dict[str, Any], asked: Proposal, condition: str) -> None:
    assert refusal(replace(ALLOW_SUM, **change), asked) == f"policy 1: {condition}"


@pytest.mark.parametrize(
    "change",
    [
        {"beside": ("beta", "zeta", "more")},
        {"purpose": "credit check"},
        {"min_cohort": 3},
        {"max_rows": 400},
        {"expires": datetime.date(2026, 11, 23)},
        {"per_day": 1},
    ],
)
def test_each_condition_can_be_met(change: dict[str, Any]) -> None:
    assert allowed(replace(ALLOW_SUM, **change), SUM)


def test_every_set_is_bounded_ours_included() -> None:
    for position in range(2):
        rows = [50, 50]
        rows[position] = 51
        asked = replace(PSI, max_rows=tuple(rows))
        assert refusal(replace(ALLOW_PSI, max_rows=50), asked) == "policy 1: max_rows"


def test_a_cohort_of_a_psi_is_the_fewest_the_querier_may_ask_about() -> None:
    rule = replace(ALLOW_PSI, min_cohort=100)
    assert allowed(rule, PSI)
    assert refusal(rule, replace(PSI, cohort=99)) == "policy 1: min_cohort"


def test_reveal_can_keep_the_rows_back() -> None:
    rule = replace(ALLOW_PSI, reveal=("count", "sum"))
    assert allowed(rule, PSI)
    assert refusal(rule, replace(PSI, reveal="rows")) == "policy 1: reveal"
    assert refusal(rule, replace(PSI, reveal="")) == "policy 1: reveal"


def test_any_lets_anybody_learn_but_a_named_party_alone() -> None:
    both = replace(PSI, learners=frozenset({"bank-a", "acme"}))
    assert allowed(ALLOW_PSI, both)
    third = replace(SUM, learners=frozenset({"zeta"}))
    assert refusal(ALLOW_SUM, third) == "policy 1: learners"
    assert allowed(replace(ALLOW_SUM, party="any"), third)


def test_the_budget_and_the_next_line() -> None:
    narrow = replace(ALLOW_SUM, per_day=2)
    assert allowed(narrow, SUM, used_today=1)
    assert refusal(narrow, SUM, used_today=2) == "policy 1: per_day"
    decision = decide(Policy((narrow, replace(ALLOW_SUM, approval=True))), SUM, NOW, 2)
    assert (decision.verdict, decision.rule, decision.code) == ("approve", 2, "policy-approval")


def test_the_first_line_that_permits_wins() -> None:
    ask = replace(ALLOW_SUM, approval=True)
    assert decide(Policy((ask, ALLOW_SUM)), SUM, NOW, 0).verdict == "approve"
    assert decide(Policy((ALLOW_SUM, ask)), SUM, NOW, 0).verdict == "allow"


def test_the_reason_names_the_nearest_line() -> None:
    far, near = replace(ALLOW_SUM, columns=()), replace(ALLOW_SUM, max_rows=1)
    for rules, number in (((far, near, ALLOW_PSI), 2), ((near, far), 1)):
        decision = decide(Policy(rules), SUM, NOW, 0)
        assert (decision.rule, decision.reason) == (number, f"policy {number}: max_rows")
        assert decision.public == decision.reason


def test_strangers_learn_nothing_of_the_policy() -> None:
    rules = (replace(ALLOW_SUM, party="other-bank"), replace(ALLOW_SUM, dataset="secret"))
    decision = decide(Policy(rules), SUM, NOW, 0)
    nothing = decide(Policy(), SUM, NOW, 0)
    assert decision.reason == "policy 1: party"
    assert (decision.public, decision.code) == (nothing.public, nothing.code)


def test_our_own_name_is_no_way_in() -> None:
    asked = replace(SUM, me="bank-a")
    decision = decide(Policy((replace(ALLOW_SUM, party="any"),)), asked, NOW, 0)
    assert (decision.verdict, decision.code) == ("refuse", "own-query")


def test_expiry_is_a_day_in_utc() -> None:
    rule = replace(ALLOW_SUM, expires=datetime.date(2026, 11, 23))
    east = datetime.timezone(datetime.timedelta(hours=8))
    still = datetime.datetime(2026, 11, 24, 7, 59, tzinfo=east)
    assert decide(Policy((rule,)), SUM, still, 0).verdict == "allow"
    over = still + datetime.timedelta(minutes=1)
    assert decide(Policy((rule,)), SUM, over, 0).verdict == "refuse"


def test_a_proposal_is_about_its_parties() -> None:
    with pytest.raises(ValueError):
        replace(SUM, max_rows=(1, 2))
    with pytest.raises(ValueError):
        replace(SUM, me="nobody")


RULES = st.builds(
    Rule,
    dataset=st.sampled_from(["ledger", "x"]),
    protocol=st.sampled_from(["sum", "psi", "sum.paillier"]),
    party=st.sampled_from(["bank-a", "any", "zeta"]),
    columns=st.sampled_from([(), ("amount",), ("amount", "due")]),
    purpose=st.sampled_from([None, "credit check", "other"]),
    min_cohort=st.sampled_from([None, 1, 3, 4]),
    max_rows=st.sampled_from([None, 399, 400]),
    per_day=st.sampled_from([None, 1, 2]),
    approval=st.booleans(),
)


@settings(deadline=None, max_examples=50)
@given(st.lists(RULES, max_size=5), RULES)
def test_lines_only_ever_permit(rules: list[Rule], another: Rule) -> None:
    before = decide(Policy(tuple(rules)), SUM, NOW, 1)
    after = decide(Policy((*rules, another)), SUM, NOW, 1)
    if before.verdict != "refuse":
        assert after == before
    alone = decide(Policy((another,)), SUM, NOW, 1)
    assert (after.verdict == "refuse") == (before.verdict == alone.verdict == "refuse")


@settings(deadline=None, max_examples=50)
@given(RULES, st.sampled_from([None, (), ("beta",)]), st.sampled_from([(), ("rows",)]))
def test_a_line_is_read_back_as_written(
    tmp_path_factory: pytest.TempPathFactory,
    rule: Rule,
    beside: tuple[str, ...] | None,
    reveal: tuple[str, ...],
) -> None:
    path = tmp_path_factory.mktemp("policy") / "policy.toml"
    path.write_text(POLICY_TOML)
    rule = replace(rule, beside=beside, reveal=reveal, expires=NOW.date())
    add_rule(path, rule)
    add_rule(path, rule)
    assert read_policy(path).rules == (rule, rule)
    assert path.read_text().startswith(POLICY_TOML.rstrip())


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('party = "Any"', "line 5: party is not valid"),
        ('party = "any"\nmin_cohort = 0', "line 6: min_cohort must be from 1"),
        ('party = "any"\nmincohort = 2', "line 6: unknown key 'mincohort'; did you mean min_coh"),
        ('party = "any"\nexpires = "soon"', "line 6: expires must be a date"),
        ('party = "any"\nexpires = 2027-01-01T00:00:00', "line 6: expires must be a date"),
        ('party = "any"\napproval = "no"', "line 6: approval must be true or false"),
        ('party = "any"\nper_day = 1.5', "line 6: per_day must be a whole number"),
        ('', r"line 1: \[\[allow\]\] lacks party"),
    ],
)
def test_mistakes_do_not_open_anything(lines: str, message: str) -> None:
    text = f'[[allow]]\ndataset = "x"\ncolumns = []\nprotocol = "psi"\n{lines}\n'
    with pytest.raises(ConfigError, match=message):
        parse_policy(text)


def test_a_refused_line_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(POLICY_TOML)
    for rule in (replace(ALLOW_SUM, party="Bank"), replace(ALLOW_SUM, purpose="a\nb")):
        with pytest.raises(ConfigError):
            add_rule(path, rule)
    assert path.read_text() == POLICY_TOML


def test_check_finds_lines_that_can_never_match(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text("")
    dead = Rule(
        "nowhere", "sun", "stranger", beside=("acme", "ghost"), expires=datetime.date(2026, 1, 1)
    )
    for rule in (ALLOW_SUM, replace(ALLOW_SUM, columns=("amount", "amuont")), dead):
        add_rule(path, rule)
    datasets = {"ledger": DatasetEntry("ledger", "x.csv", ("k",), columns=("amount", "due"))}
    findings = check_policy(
        read_policy(path), datasets, {"bank-a", "acme"}, {"psi", "sum", "score"}, NOW
    )
    assert findings == (
        "policy 2 (line 7): column amuont is not one of dataset ledger's",
        "policy 3 (line 13): dataset nowhere is not in datasets.toml",
        "policy 3 (line 13): no protocol sun; there are psi, score, sum",
        "policy 3 (line 13): party ghost is not trusted",
        "policy 3 (line 13): party stranger is not trusted",
        "policy 3 (line 13): expired on 2026-01-01",
    )
    every = {"ledger": DatasetEntry("ledger", "x.csv", ("k",))}
    assert len(check_policy(read_policy(path), every, {"bank-a", "acme"}, {"sum"}, NOW)) == 5
