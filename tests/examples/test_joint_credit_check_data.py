"""The committed data, models and oracle of examples/joint_credit_check."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import json
import math
import re
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "joint_credit_check"
DATA = EXAMPLE / "data"


@pytest.fixture(scope="module")
def oracle() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "joint_credit_check_oracle", EXAMPLE / "oracle.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def ledgers(oracle: ModuleType) -> dict[str, dict[str, int]]:
    return {enterprise: oracle.payables(enterprise) for enterprise in oracle.ENTERPRISES}


def test_sources_lists_every_file_with_its_rows_size_and_hashes() -> None:
    table = re.findall(
        r"^\| (\S+) \| ([\d,]+) \| ([\d,]+) \| (\w{64}) \| (\w{64}) \|$",
        (DATA / "SOURCES.md").read_text("utf-8"),
        re.MULTILINE,
    )
    files = {p.relative_to(DATA).as_posix() for p in DATA.rglob("*") if p.is_file()}
    assert {name for name, *_ in table} == files - {"SOURCES.md"}
    for name, rows, size, stored, content in table:
        data = (DATA / name).read_bytes()
        inside = gzip.decompress(data) if name.endswith(".gz") else data
        assert len(data) == int(size.replace(",", "")), name
        assert hashlib.sha256(data).hexdigest() == stored, name
        assert hashlib.sha256(inside).hexdigest() == content, name
        assert inside.count(b"\n") == 1 + int(rows.replace(",", "")), name
        if name.endswith(".gz"):
            assert data[3] == 0 and data[4:8] == bytes(4), f"{name}: name or time in the header"


# Published with the extracts from which prepare.py made the ledgers.
OVERLAPS = {
    ("leeds", "bradford"): 458,
    ("leeds", "wakefield"): 413,
    ("leeds", "sheffield"): 309,
    ("bradford", "wakefield"): 295,
    ("wakefield", "sheffield"): 214,
    ("bradford", "sheffield"): 212,
    ("bradford", "calderdale"): 155,
    ("leeds", "calderdale"): 152,
    ("calderdale", "wakefield"): 108,
    ("calderdale", "sheffield"): 81,
}


def test_ledgers_have_the_published_suppliers_and_sums(
    oracle: ModuleType, ledgers: dict[str, dict[str, int]]
) -> None:
    pairs = combinations(oracle.ENTERPRISES, 2)
    assert {(a, b): len(ledgers[a].keys() & ledgers[b].keys()) for a, b in pairs} == OVERLAPS
    assert len(set.intersection(*map(set, ledgers.values()))) == 20
    everyone = set().union(*ledgers.values())
    assert len(everyone) == 7_312
    sums = [sum(ledger.get(key, 0) for ledger in ledgers.values()) for key in everyone]
    assert sum(sums) == 153_695_379_824
    assert max(sums) == 10_377_279_501


def test_half_of_the_applicants_are_suppliers(
    oracle: ModuleType, ledgers: dict[str, dict[str, int]]
) -> None:
    applicants = oracle.read("bank/applicants")
    keys = [oracle.supplier_key(row["company"]) for row in applicants]
    assert len(set(keys)) == len({row["lei"] for row in applicants}) == len(applicants) == 238
    matches = oracle.suppliers()
    assert {e: len(names) for e, names in matches.items()} == {
        "leeds": 64,
        "bradford": 43,
        "calderdale": 9,
        "wakefield": 39,
        "sheffield": 35,
    }
    assert len(set().union(*matches.values())) == 119
    for enterprise, names in matches.items():
        assert {oracle.supplier_key(n) for n in names} == set(keys) & ledgers[enterprise].keys()


def test_totals_are_those_of_applicants_that_reach_the_floor(
    oracle: ModuleType, ledgers: dict[str, dict[str, int]]
) -> None:
    matches = oracle.suppliers()
    payers = {
        n: sum(n in names for names in matches.values()) for n in set().union(*matches.values())
    }
    totals = oracle.totals()
    assert {name: total.enterprises for name, total in totals.items()} == {
        name: count for name, count in payers.items() if count >= 3
    }
    assert len(totals) == 20
    by_lines = sum(
        int(row["amount"].replace(".", ""))
        for row in oracle.read("leeds/payables")
        if row["supplier_name"].upper().startswith("ROYAL MAIL GROUP L")
    )
    assert ledgers["leeds"]["ROYAL MAIL GROUP LTD"] == by_lines
    assert totals["ROYAL MAIL GROUP LIMITED"].pence == sum(
        ledger.get("ROYAL MAIL GROUP LTD", 0) for ledger in ledgers.values()
    )
    assert set(totals) == set(oracle.totals(floor=1)) & {n for n in payers if payers[n] >= 3}


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("The Old & New Company Limited", "OLD AND NEW CO LTD"),
        ("Cafe\u0301 \uff2e\uff4f\uff0e\uff13 P.L.C.", "CAFE NO3 PLC"),
        ("O\u2019Brien's Public Limited Company", "OBRIENS PLC"),
        ("A-B (C) LLP t/a D Ltd", "A B C LLP"),
        ("Northern Limited Liability Partnership", "NORTHERN LLP"),
        ("X Community Interest Company - in liquidation", "X CIC"),
        ("Unlimited Potential", "UNLIMITED POTENTIAL"),
        ("Ltd Edition Prints", "LTD EDITION PRINTS"),
    ],
)
def test_supplier_key(oracle: ModuleType, name: str, key: str) -> None:
    assert oracle.supplier_key(name) == key


def test_the_cardholders_are_split_between_times_and_parties(oracle: ModuleType) -> None:
    past, now, outcomes, partner = (
        [row["id"] for row in oracle.read(name)]
        for name in (
            "bank/past_cardholders",
            "bank/cardholders",
            "bank/outcomes",
            "data-partner/cardholders",
        )
    )
    assert set(past).isdisjoint(now)
    assert set(past) | set(now) == {str(i) for i in range(1, 30_001)}
    assert set(outcomes) == set(now)
    assert len(set(partner)) == len(partner) == 28_500
    known, asking = set(partner), set(now)
    assert [i for i in now if i in known] != [i for i in partner if i in asking], "same order"
    labels = [
        r["defaulted"] for n in ("past_cardholders", "outcomes") for r in oracle.read(f"bank/{n}")
    ]
    assert (labels.count("1"), labels.count("0")) == (6_636, 23_364)


def test_the_fit_reproduces_the_committed_models(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, str(EXAMPLE / "fit_model.py"), str(tmp_path)], check=True, timeout=120
    )
    for name in ("model.json", "model_bank_only.json"):
        ours = json.loads((EXAMPLE / name).read_text("utf-8"))
        again = json.loads((tmp_path / name).read_text("utf-8"))
        assert again["bias"] == pytest.approx(ours["bias"], abs=1e-9)
        for fitted, committed in zip(again["features"], ours["features"], strict=True):
            assert fitted.pop("weight") == pytest.approx(committed.pop("weight"), abs=1e-9)
            assert fitted == committed


def test_no_row_can_leave_the_range_of_logits(oracle: ModuleType) -> None:
    for name in ("model", "model_bank_only"):
        model = oracle.read_model(name)
        columns: dict[str, dict[str, str]] = {}
        for feature in model["features"]:
            # Far outside, on the side that drives the logit up: the clip must hold it.
            far = math.copysign(1e12, feature["weight"])
            columns.setdefault(feature["party"], {})[feature["column"]] = str(far)
        parties = {party: {"1": row} for party, row in columns.items()}
        assert 0 < oracle.logits(model, parties, ["1"])[0] < 128
        for row in columns.values():
            row.update({column: str(-float(value)) for column, value in row.items()})
        assert -128 < oracle.logits(model, parties, ["1"])[0] < 0


def test_the_model_is_calibrated_on_the_rows_it_was_fitted_to(oracle: ModuleType) -> None:
    # With a free bias the optimum's predicted and observed defaults are equal in number.
    past = oracle.by_id(oracle.read("bank/past_cardholders"))
    partner = oracle.by_id(oracle.read("data-partner/cardholders"))
    ids = sorted(past.keys() & partner.keys())
    defaults = sum(past[i]["defaulted"] == "1" for i in ids)
    for name in ("model", "model_bank_only"):
        logit = oracle.logits(oracle.read_model(name), {"bank": past, "data-partner": partner}, ids)
        assert oracle.probability(logit).sum() == pytest.approx(defaults, abs=1e-3)


def test_the_joint_model_is_the_better_one_on_the_test_split(oracle: ModuleType) -> None:
    scores = oracle.scores()
    assert (len(scores.ids), len(scores.unknown)) == (8_548, 452)
    past = {row["id"] for row in oracle.read("bank/past_cardholders")}
    assert past.isdisjoint(scores.ids)
    assert scores.joint.auc > scores.bank_only.auc + 0.05
    assert scores.joint.ks > scores.bank_only.ks + 0.1
    assert scores.joint.default_rate < scores.bank_only.default_rate < scores.defaulted.mean()
    readme = (EXAMPLE / "README.md").read_text("utf-8")
    for quality in (scores.joint, scores.bank_only):
        figures = f"| {quality.auc:.4f} | {quality.ks:.4f} | {100 * quality.default_rate:.1f} % |"
        assert figures in readme


def test_auc_and_ks_by_their_definitions_with_ties(oracle: ModuleType) -> None:
    generator = np.random.default_rng(7)
    score = generator.integers(0, 12, 200).astype(np.float64)
    positive = generator.random(200) < 0.3
    bad, good = score[positive], score[~positive]
    pairs = [(b > g) + (b == g) / 2 for b in bad for g in good]
    assert oracle.auc(score, positive) == pytest.approx(np.mean(pairs), abs=1e-12)
    gaps = [abs(np.mean(bad <= cut) - np.mean(good <= cut)) for cut in score]
    assert oracle.ks(score, positive) == pytest.approx(max(gaps), abs=1e-12)
    assert oracle.auc(-score, positive) == pytest.approx(1 - np.mean(pairs), abs=1e-12)
