"""Queries through real nodes give what the same question gives in plain text, and no less safely.

Data are small and awkward: duplicates, empty and invalid identifiers, credit notes, spellings.
"""

from __future__ import annotations

import json
import math
import stat
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from parties.client import NodeError
from tests.parties.mesh import Mesh, Party, ask, csv, query, run

LOANS = csv("id,branch", "  Ärger AG,1", "beta,1", "BETA ,2", ",3", "gamma,1", "delta,1", "ﬁne,9")
LEDGER = csv("id,amount", "ärger ag,10.00", "Gamma,1.50", "zeta,2", "ga\u200bmma,-0.75", "FINE,3")
COMMON = ["  Ärger AG", "gamma", "ﬁne"]  # as they stand in the loans
NAMED = ("name", "city")


async def pair(mesh: Mesh, **allowed: Any) -> tuple[Party, Party]:
    bank, acme = await mesh.nodes("bank", "acme")
    bank.dataset("loans", LOANS)
    acme.dataset("ledger", LEDGER)
    acme.allow("ledger", "psi", "bank", **allowed)
    return bank, acme


def test_psi_tells_rows_or_their_number_and_to_whom_it_was_said(tmp_path: Path) -> None:
    async def scenario(mesh: Mesh) -> None:
        bank, acme = await pair(mesh)
        theirs = {"acme": "ledger"}

        done = await ask(bank, query("psi", "loans", theirs))
        assert (done.state, done.exit_code) == ("done", 0)
        assert await bank.result(done.job) == {"id": COMMON}
        assert json.loads(done.summary)["notes"] == {"peer_rows": 4, "matched": 3}
        await acme.until(done.job, "done")
        with pytest.raises(NodeError) as nothing:
            await acme.result(done.job)
        assert (nothing.value.code, nothing.value.exit_code) == ("no-result", 2)

        done = await ask(bank, query("psi", "loans", theirs, reveal="count"))
        assert await bank.result(done.job) == {"count": [3]}

        done = await ask(bank, query("psi", "loans", theirs, to="both"))
        assert await bank.result(done.job) == {"id": COMMON}
        await acme.until(done.job, "done")
        assert await acme.result(done.job) == {"id": ["ärger ag", "Gamma", "FINE"]}

        done = await ask(bank, query("psi", "loans", theirs, to="both", reveal="count"))
        await acme.until(done.job, "done")
        assert await acme.result(done.job) == await bank.result(done.job) == {"count": [3]}

    run(tmp_path, scenario)


def test_results_state_and_keys_are_their_owners_alone(tmp_path: Path) -> None:
    async def scenario(mesh: Mesh) -> None:
        bank, acme = await pair(mesh)
        done = await ask(bank, query("psi", "loans", {"acme": "ledger"}, to="both"))
        await acme.until(done.job, "done")
        for party in (bank, acme):
            assert (party.home.state / "results" / f"{done.job}.arrow").is_file()
            receipts = party.node.store.receipts(done.job)
            assert len(receipts) == 1 and all(all(pair) for pair in receipts.values())
            for private in (party.home.state, party.home.keys, party.home.trust):
                for path in (private, *private.rglob("*")):
                    wide = stat.S_IMODE(path.stat().st_mode) & 0o077
                    assert not (path.is_file() or path.is_dir()) or not wide, path
            assert stat.S_IMODE(party.home.socket().parent.stat().st_mode) == 0o700

    run(tmp_path, scenario)


def test_identifiers_of_several_columns_match_as_a_whole(tmp_path: Path) -> None:
    async def scenario(mesh: Mesh) -> None:
        bank, acme = await mesh.nodes("bank", "acme")
        bank.dataset("loans", csv("name,city", "ab,c", "a,bc", "x,Y", "x,", "q,r"), NAMED)
        acme.dataset("ledger", csv("town,firm", "bc,A", "y,X", "r,p"), ("firm", "town"))
        acme.allow("ledger", "psi", "bank")
        done = await ask(bank, query("psi", "loans", {"acme": "ledger"}))
        assert await bank.result(done.job) == {"name": ["a", "x"], "city": ["bc", "Y"]}
        assert json.loads(done.summary)["notes"]["peer_rows"] == 3

    run(tmp_path, scenario)


def test_a_sum_of_three_contributors_is_exact(tmp_path: Path) -> None:
    """Credit notes, repeated rows, a total past 2^53, keys below the floor, keys nobody holds."""
    big = "90071992547409.93"  # 2^53 + 1 cents
    ledgers = {
        "acme": ["s1,10.00", "s1,-2.50", f"s2,{big}", "s3,1", "other,7"],
        "nova": ["S1,0.05", f"s2,{big}", "s4,4"],
        "zeta": ["s1,-30.00", "s2,0.01", "s3,-1.00", "s4,0"],
    }

    async def scenario(mesh: Mesh) -> None:
        bank, *others = await mesh.nodes("bank", *ledgers)
        bank.dataset("keys", csv("id", "s3", "s1", "s2", "s4", "nobody", "s1"))
        for party in others:
            party.dataset("ledger", csv("id,amount", *ledgers[party.name]))
            party.allow("ledger", "sum", "bank", columns=("amount",))
        text = query(
            "sum", "keys", dict.fromkeys(ledgers, "ledger"), amount="amount", key_bits=2048
        )
        done = await ask(bank, text)
        assert done.state == "done", done.message
        assert await bank.result(done.job) == {
            "id": ["s3", "s1", "s2", "s4", "nobody"],
            "total": [None, Decimal("-22.45"), 2 * Decimal(big) + Decimal("0.01"), None, None],
            "contributors": [2, 3, 3, 2, 0],
        }
        for party in others:
            await party.until(done.job, "done")
            with pytest.raises(NodeError):
                await party.result(done.job)

    run(tmp_path, scenario)


def logistic(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


@pytest.mark.parametrize("holders", [("fin",), ("fin", "tele")])
def test_scores_are_those_of_the_model_in_plain_text(
    holders: tuple[str, ...], tmp_path: Path
) -> None:
    rows = {
        "bank": {"a": 1.0, "b": -2.0, "c": 0.5, "d": 4.0},
        "fin": {"d": 300.0, "b": 120.0, "a": -55.0, "x": 1.0},
        "tele": {"b": 7.0, "a": 2.0, "d": 0.0, "y": 5.0},
    }
    weights = {"bank": 0.7, "fin": -0.004, "tele": 0.11}
    named = ("bank", *holders)
    model = {
        "bias": -0.25,
        "features": [
            {"party": name, "column": "v", "weight": weights[name], "mean": 0.5, "clip": [-60, 250]}
            for name in named
        ],
    }

    async def scenario(mesh: Mesh) -> None:
        bank, *others = await mesh.nodes(*named)
        for party in (bank, *others):
            lines = [f"{key},{value}" for key, value in rows[party.name].items()]
            party.dataset("rows", csv("id,v", *lines))
        for party in others:
            party.allow("rows", "score", "bank", columns=("v",))
        text = query("score", "rows", dict.fromkeys(holders, "rows"), model="model.json")
        done = await ask(bank, text, json.dumps(model).encode())
        assert done.state == "done", done.message
        result = await bank.result(done.job)
        shared = [key for key in rows["bank"] if all(key in rows[name] for name in holders)]
        assert result["id"] == shared == ["a", "b", "d"]
        for key, logit, score in zip(shared, result["logit"], result["score"], strict=True):
            expected = -0.25
            for name in named:
                expected += weights[name] * (min(max(rows[name][key], -60), 250) - 0.5)
            assert abs(logit - expected) < 1e-4
            assert abs(score - logistic(expected)) < 1e-4

    run(tmp_path, scenario)
