"""The demonstration's parts without nodes: decisions, figures, statements, and checks that bite."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from parties.demo import decisions, plaintext, statement
from parties.demo.plaintext import Expected
from parties.demo.quality import Quality, quality
from parties.demo.questions import what_is_refused, what_they_are_paid, which_applicants
from parties.demo.scene import ENTERPRISES, PARTNER_COLUMNS, WITHHELD_COLUMNS, actors, find_example
from parties.demo.statement import Learnt
from parties.errors import ConfigError
from parties.requests import parse_query

RIGHT = Expected(
    suppliers={"leeds": frozenset({"A LTD", "B LTD"}), "bradford": frozenset()},
    totals={"A LTD": (123_456, 3), "B LTD": (7, 4)},
    ids=("1", "2"),
    logits=np.array([-1.0, 2.0]),
    alone=("3",),
    alone_logits=np.array([0.5]),
    joint=Quality(0.76, 0.40, 0.14),
    bank_only=Quality(0.70, 0.29, 0.17),
)
SCORES = {"1": 1 / (1 + np.exp(1.0)), "2": 1 / (1 + np.exp(-2.0))}


def test_right_answers_pass() -> None:
    found = {"leeds": ["B LTD", "A LTD"], "bradford": []}
    totals = {"A LTD": Decimal("1234.56"), "B LTD": Decimal("0.07")}
    checks = [
        plaintext.check_suppliers(found, RIGHT),
        plaintext.check_totals(totals, {"A LTD": 3, "B LTD": 4}, RIGHT),
        plaintext.check_scores({"1": -1.0, "2": 2.000001}, SCORES, 1e-5, 1e-5, RIGHT),
        plaintext.check_fallback({"3": 0.5}, RIGHT),
        plaintext.check_figures(Quality(0.7601, 0.40, 0.14), RIGHT.bank_only, RIGHT),
    ]
    assert [check.faults for check in checks] == [()] * 5
    assert [check.compared for check in checks] == [2, 2, 2, 1, 6]


@pytest.mark.parametrize(
    ("found", "fault"),
    [
        ({"leeds": ["A LTD"], "bradford": []}, "leeds: B LTD: missing"),
        ({"leeds": ["A LTD", "B LTD"]}, None),
        ({"leeds": ["A LTD", "B LTD"], "bradford": ["A LTD"]}, "bradford: A LTD: must not be"),
        ({"leeds": ["A LTD", "B LTD", "B LTD"], "bradford": []}, "leeds: 1 rows are there twice"),
    ],
)
def test_one_row_more_or_less_is_found(found: dict[str, list[str]], fault: str | None) -> None:
    faults = plaintext.check_suppliers(found, RIGHT).faults
    assert [f.startswith(fault) for f in faults] == ([True] if fault else []), faults


def test_one_penny_is_found_and_so_is_one_contributor() -> None:
    totals = {"A LTD": Decimal("1234.57"), "B LTD": Decimal("0.07")}
    check = plaintext.check_totals(totals, {"A LTD": 3, "B LTD": 5}, RIGHT)
    assert check.faults == (
        "A LTD: 1234.57, in the clear 1234.56",
        "B LTD: 5 contributors, in the clear 4",
    )
    assert not check.passed


@pytest.mark.parametrize("value", [-1.00002, float("nan")])
def test_a_logit_beyond_the_proven_error_is_found(value: float) -> None:
    check = plaintext.check_scores({"1": value, "2": 2.0}, SCORES, 1e-5, 1.0, RIGHT)
    assert len(check.faults) == 1 and check.faults[0].startswith("id 1: logit")


def test_a_score_that_is_not_its_logits_is_found() -> None:
    check = plaintext.check_scores({"1": -1.0, "2": 2.0}, {**SCORES, "2": 0.5}, 1e-5, 1e-5, RIGHT)
    assert len(check.faults) == 1 and check.faults[0].startswith("id 2: score 0.5")


def test_a_figure_that_is_off_is_found() -> None:
    check = plaintext.check_figures(replace(RIGHT.joint, ks=0.39), RIGHT.bank_only, RIGHT)
    assert check.faults == ("joint ks: 0.3900, in the clear 0.4000",)


def test_quality_by_hand() -> None:
    scores = np.array([0.1, 0.2, 0.2, 0.9, 0.5])
    defaulted = np.array([False, False, True, True, False])
    # Pairs (bad, good): 0.2 beats 0.1, ties 0.2, loses to 0.5; 0.9 beats all three.
    made = quality(scores, defaulted)
    assert made.auc == pytest.approx(4.5 / 6)
    assert made.ks == pytest.approx(0.5)  # at 0.5: all the good, half of the bad
    assert made.default_rate == pytest.approx(1 / 4)


def test_decisions_on_suppliers() -> None:
    found = {"leeds": ["A", "B", "C"], "bradford": ["B", "C"], "sheffield": ["B", "C"]}
    totals = {"B": Decimal("100000.00"), "C": Decimal("99999.99")}
    table = decisions.suppliers(["A", "B", "C", "D"], found, totals)
    by_company = dict(zip(table.columns["company"], table.columns["decision"], strict=True))
    assert by_company == {"B": "approve", "C": "refer", "A": "refer", "D": "usual check"}
    assert table.columns["company"] == ("B", "C", "A", "D")  # the largest totals first
    assert table.columns["enterprises"] == (3, 3, 1, 0)
    assert table.counts == {"approve": 1, "refer": 2, "usual check": 1}
    assert table.head(1) == [0, 1, 2, 3]  # each is of another kind


def test_unknown_cardholders_fall_back_on_the_banks_own_model_and_are_marked() -> None:
    ids = ["1", "2", "3", "4", "5"]
    own = np.array([0.9, 0.9, 0.3, 0.9, 0.9])
    table = decisions.cardholders(ids, {"1": 0.1, "2": 0.2, "4": 0.5, "5": 0.4}, own)
    assert table.columns["score"] == [0.1, 0.2, 0.3, 0.5, 0.4]
    assert table.columns["model"] == ["joint", "joint", "bank only", "joint", "joint"]
    # Four of five, and the worst score is not among them.
    assert table.columns["decision"] == ["approve", "approve", "approve", "refer", "approve"]
    assert "unknown to the partner" in table.columns["reason"][2]


def test_lines_of_a_statement_name_who_where_it_matters() -> None:
    def one(of: str, size: int) -> Learnt:
        text = f"how many each row {of} brought (at most 4,096)"
        return Learnt("bank", "1", "psi.ecdh", "set-size", (of,), text, f"{of} knows", size)

    (line,) = statement.lines([one("leeds", 3), one("data-partner", 5)], "bank")
    assert line.text == "how many each row each brought"
    assert line.caution == "each knows"
    assert line.sizes == (("leeds", 3), ("data-partner", 5))
    (line,) = statement.lines([one("leeds", 3)], "bank")
    assert line.text == "how many each row leeds brought"


def test_policies_allow_what_is_asked_and_no_more() -> None:
    cast = {actor.name: actor for actor in actors()}
    (rule,) = cast["data-partner"].rules
    assert rule.columns == PARTNER_COLUMNS and not set(WITHHELD_COLUMNS) & set(rule.columns)
    assert all(rule.per_day == 1 for actor in cast.values() for rule in actor.rules)
    for name in ENTERPRISES:
        assert "data-partner" not in cast[name].trusts
    assert cast["bank"].rules == ()


def test_questions_are_plan_files_and_commands() -> None:
    for question in (which_applicants("leeds"), what_they_are_paid(), what_is_refused()):
        assert parse_query(question.query.to_toml()) == question.query
    assert "--floor 1" in what_is_refused().command()
    assert "--with leeds --mine applicants" in which_applicants("leeds").command()


def test_every_file_of_the_scene_is_there() -> None:
    example = find_example()
    for actor in actors():
        for name in actor.files:
            assert (example / "data" / actor.name / name).is_file()


def test_data_that_are_not_there_are_said_to_be_in_the_repository(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="make demo"):
        find_example(tmp_path)
