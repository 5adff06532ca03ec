"""Queries before they run: their options, their files, and who learns what from them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from parties.requests import parse_query
from tests.parties.nodes import cli

MODEL = {
    "bias": -1.0,
    "features": [
        {"party": "bank", "column": "x0", "weight": 1.0},
        {"party": "insights", "column": "x1", "weight": 2.0, "clip": [0, 1]},
    ],
}
PSI = ("psi", "--with", "acme", "--mine", "loans", "--theirs", "ledger")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.json"
    path.write_text(json.dumps(MODEL))
    return path


def test_psi_is_explained_from_the_protocols_own_statement() -> None:
    told = cli("explain", "psi", "--with", "acme", "--to", "both", "--rows", 1000, "--json").json
    learnt = {(each["who"], each["what"]) for each in told["reveals"]}
    assert learnt == {
        ("querier", "set-size"), ("querier", "matched-rows"),
        ("acme", "set-size"), ("acme", "matched-rows"),
    }  # fmt: skip
    assert told["assumed"] is True and told["cost"]["bytes"] > 0
    assert {party["max_rows"] for party in told["parties"]} == {1000}
    plain = cli("explain", "psi", "--with", "acme", "--reveal", "count")
    assert "how many of its own identifiers acme also holds, not which" in plain.out
    assert "assumed" in plain.err and "key not looked up" in plain.out
    assert "psi.ecdh (the only one there is for psi)" in plain.err


def test_a_sum_is_explained_with_its_floor() -> None:
    plain = cli("explain", "sum", "--with", "acme,zeta,nova", "--floor", 2).out
    assert "at least 2 contributors" in plain and "columns amount" in plain
    assert "partner-3" in cli("explain", "sum").out


def test_a_score_is_explained_from_its_model(model: Path) -> None:
    told = cli("explain", "score", "--model", model, "--as", "bank", "--json").json
    assert [party["name"] for party in told["parties"]] == ["bank", "insights"]
    assert told["parties"][1]["columns"] == ["x1"]
    named = cli("explain", "score", "--model", model, "--with", "insights").out
    assert "bank (querier" in named, "the party that --with leaves out is us"
    assert "score needs a model" in cli("explain", "score", code=2).err


def test_a_saved_query_is_the_query(tmp_path: Path, model: Path) -> None:
    plan = tmp_path / "plan.toml"
    cli(
        "sum", "--with", "acme,zeta", "--keys", "loans", "--theirs", "acme:ap,zeta:ledger",
        "--amount", "amount", "--floor", 2, "--key-bits", 2048, "--purpose", "credit check",
        "--min-rows", 10, "--save", plan,
    )  # fmt: skip
    query = parse_query(plan.read_text())
    assert (query.protocol, query.mine, query.purpose) == ("sum", "loans", "credit check")
    assert query.theirs == {"acme": "ap", "zeta": "ledger"}
    assert query.options == {"amount": "amount", "floor": 2, "key_bits": 2048, "min_rows": 10}
    for words in ((plan, "--json"), ("--json", plan)):
        assert cli("explain", *words).json["protocol"] == "sum.paillier"
    scored = tmp_path / "score.toml"
    cli("score", "--with", "insights", "--mine", "a", "--theirs", "b", "--model", model,
        "--save", scored)  # fmt: skip
    assert 'model = "model.json"' in scored.read_text(), "named from where the plan is"
    assert "bank (querier" in cli("explain", scored).out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("psi", "--mine", "a", "--theirs", "b", "--out", "x.csv"), "'--with'"),
        ((*PSI, "--out", "x.csv"), "'--node'"),
        ((*PSI, "--node", "n"), "'--out'"),
        ((*PSI, "--node", "n", "--out", "x.txt"), "name it .csv, .json or .parquet"),
        ((*PSI, "--node", "n", "--out", "no/x.csv"), "no directory no"),
        ((*PSI, "--node", "n", "--out", "-", "--json"), "both take standard output"),
        ((*PSI, "--node", "n", "--out", "x.csv", "--detach"), "does not wait"),
        ((*PSI, "--node", "n", "--out", "x.csv"), "no node here"),
        ((*PSI, "--save", "no/plan.toml"), "no such directory"),
        ((*PSI, "--method", "rr22"), "--method"),
        (("psi", "--with", "a,a", "--mine", "m", "--theirs", "b"), "a party twice"),
        (("psi", "--with", "acme", "--mine", "m", "--theirs", "amce:b"), "did you mean 'acme'?"),
        (("psi", "--with", "a,b", "--mine", "m", "--theirs", "a:x"), "no dataset of b"),
        (("run", "none.toml", "--node", "n", "--out", "x.csv"), "none.toml: cannot be read"),
        (("explain", "none.toml"), "none.toml: cannot be read"),
        (("explain", "psi", "--node", "n"), "name the parties"),
        (("explain", "psi", "--with", "querier"), "--as NAME"),
    ],
)
def test_what_does_not_fit_is_told_before_anything_runs(
    tmp_path: Path, arguments: tuple[str, ...], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = cli(*arguments, code=2)
    assert told in done.err.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ('protocol = "psi"\nmine = "a"\nfoo = 3\n[theirs]\nacme = "b"\n', 3, "unknown key 'foo'"),
        ('protocol = "psy"\n', 1, "psi, sum, score"),
        ('protocol = "psi"\nmine = "a"\n\n[theirs]\nacme = 4\n', 5, "acme must be a string"),
        ('protocol = "psi"\nmine = "a"\n[theirs]\nacme = "b"\n[options]\nx = 1\n', 5, "'x'"),
    ],
)
def test_a_bad_plan_names_the_line(tmp_path: Path, text: str, line: int, told: str) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(text)
    done = cli("explain", plan, code=2)
    assert f"plan.toml, line {line}: " in done.err and told in done.err


def test_a_bad_model_names_the_feature(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_text(json.dumps({"bias": 0, "features": [{"party": "p", "column": "c"}]}))
    done = cli("explain", "score", "--model", path, code=2)
    assert "model-shape in feature 1" in done.err
    path.write_text("{")
    assert "not JSON" in cli("explain", "score", "--model", path, code=2).err
