"""Whole queries through the command line, between real nodes on the loopback address."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from parties.home import Home
from parties.rules import Rule
from parties.store import CANCELLED, DONE, REFUSED, WAITING
from tests.parties.nodes import ROOT, Node, cli, free_ports, make_nodes, running

LOANS = "company,x0\nAlpha Ltd,1\n\uff22eta plc,2\nGamma LLP,3\nBeta plc,4\n,5\n"
LEDGERS = {
    "acme": "supplier,amount,x1\nALPHA LTD,1.50,0.25\nbeta  plc,-3,0.5\nDelta,7,2\n",
    "zeta": "supplier,amount,x1\nAlpha Ltd,2.25,1\nBeta PLC,10,2\n",
    "nova": "supplier,amount,x1\nalpha ltd,96.25,0\n",
}
MODEL = {
    "bias": 0.5,
    "features": [
        {"party": "acme", "column": "x1", "weight": 2.0},
        {"party": "zeta", "column": "x1", "weight": -1.0},
    ],
}


@pytest.fixture(scope="module")
def parties(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Node]]:
    """A bank and three enterprises; zeta leaves psi to its approvers."""
    nodes = make_nodes(tmp_path_factory.mktemp("nodes"), "bank", *LEDGERS)
    nodes["bank"].dataset("loans", LOANS, ("company",))
    for name, ledger in LEDGERS.items():
        nodes[name].dataset("ledger", ledger, ("supplier",), decimals={"amount": 2})
        nodes[name].allow(Rule("ledger", "psi", "bank", approval=name == "zeta"))
        nodes[name].allow(Rule("ledger", "sum", "bank", ("amount",)))
        nodes[name].allow(Rule("ledger", "score", "bank", ("x1",)))
    with running(nodes.values()):
        yield nodes


@pytest.fixture
def bank(parties: dict[str, Node]) -> Path:
    return parties["bank"].directory


def psi(bank: Path, *arguments: object, partner: str = "acme") -> tuple[object, ...]:
    given = ("--with", partner, "--mine", "loans", "--theirs", "ledger")
    return ("psi", "--node", bank, *given, *arguments)


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_psi_writes_our_own_keys_and_nothing_beside_them(bank: Path) -> None:
    done = cli(*psi(bank, "--out", "-"))
    assert [row["company"] for row in rows(done.out)] == ["Alpha Ltd", "\uff22eta plc"]
    told = {line.split("  ")[0]: line.split("  ")[-1].strip() for line in done.err.splitlines()}
    assert (told["our rows"], told["our identifiers"]) == ("5", "3")
    assert (told["our duplicates"], told["our empty"]) == ("1", "1")
    assert (told["peer rows"], told["matched"], told["rows written"]) == ("3", "2", "2")
    assert "sent" in told["to acme"] and "method: psi.ecdh" in done.err


def test_a_count_and_a_summary_in_json(bank: Path, tmp_path: Path) -> None:
    out = tmp_path / "count.json"
    told = cli(*psi(bank, "--reveal", "count", "--out", out, "--json")).json
    assert json.loads(out.read_text()) == [{"count": 2}]
    assert (told["state"], told["rows"], told["notes"]["matched"]) == ("done", 1, 2)
    assert out.stat().st_mode & 0o777 == 0o600


def test_a_sum_over_three_contributors_stays_exact(bank: Path, tmp_path: Path) -> None:
    out = tmp_path / "totals.csv"
    cli(
        "sum", "--node", bank, "--with", "acme,zeta,nova", "--keys", "loans",
        "--theirs", "ledger", "--amount", "amount", "--key-bits", 2048, "--out", out,
    )  # fmt: skip
    assert out.read_text("utf-8").splitlines() == [
        "company,total,contributors",
        "Alpha Ltd,100.00,3",
        "\uff22eta plc,,2",  # withheld: the floor is 3
        "Gamma LLP,,0",
    ]


def test_scores_equal_those_in_the_clear(bank: Path, tmp_path: Path) -> None:
    model, plan, out = (tmp_path / name for name in ("model.json", "plan.toml", "scores.parquet"))
    model.write_text(json.dumps(MODEL))
    cli("score", "--with", "acme,zeta", "--mine", "loans", "--theirs", "ledger",
        "--model", model, "--save", plan)  # fmt: skip
    cli("run", plan, "--node", bank, "--out", out)
    table = pq.read_table(out).to_pydict()
    assert table["company"] == ["Alpha Ltd", "\uff22eta plc"]
    for score, logit, expected in zip(table["score"], table["logit"], (0.0, -0.5), strict=True):
        assert abs(logit - expected) < 1e-3
        assert abs(score - 1 / (1 + math.exp(-expected))) < 1e-3


def test_explain_asks_the_node_and_nobody_runs_anything(
    parties: dict[str, Node], bank: Path
) -> None:
    before = len(cli("jobs", "list", "--node", parties["acme"].directory, "--json").json)
    told = cli("explain", *psi(bank), "--json").json
    assert told["assumed"] is False
    assert [party["max_rows"] for party in told["parties"]] == [16, 16]
    assert len(cli("jobs", "list", "--node", parties["acme"].directory, "--json").json) == before


def test_what_partners_offer_is_listed(bank: Path) -> None:
    (offered,) = cli("data", "list", bank, "--with", "acme", "--json").json
    assert offered["name"] == "ledger" and offered["protocols"] == ["psi", "score", "sum"]
    assert offered["columns"] == ["amount", "x1"] and offered["max_rows"] == 16
    status = cli("node", "status", bank, "--json").json
    assert (status["name"], status["trusted"], status["datasets"]) == ("bank", 3, 1)


def test_approval_is_waited_for_elsewhere(
    parties: dict[str, Node], bank: Path, tmp_path: Path
) -> None:
    zeta, out = parties["zeta"].directory, tmp_path / "rows.csv"
    asked = cli(*psi(bank, "--out", out, "--to", "both", partner="zeta"), code=6)
    job = cli("jobs", "list", "--node", bank, "--json").json[0]["job"]
    assert f"job {job} waits for approval by zeta" in asked.err
    assert f"jointcredit jobs wait --node {bank} {job}" in asked.err
    assert not out.exists()
    assert cli("jobs", "result", "--node", bank, job, "--out", out, code=6).err
    waiting = cli("jobs", "show", "--node", zeta, job[:8]).out
    assert "which of its own identifiers bank also holds" in waiting
    assert "approve or deny it" in cli("jobs", "list", "--node", zeta).out
    cli("jobs", "approve", "--node", zeta, job)
    cli("jobs", "wait", "--node", bank, job, "--out", out)
    assert len(rows(out.read_text("utf-8"))) == 2
    parties["zeta"].wait_state(job, DONE)
    theirs = cli("jobs", "result", "--node", zeta, job, "--out", "-").out
    assert [row["supplier"] for row in rows(theirs)] == ["Alpha Ltd", "Beta PLC"]
    assert "does not wait" in cli("jobs", "approve", "--node", zeta, job, code=2).err


def test_a_denial_ends_the_job_with_3(parties: dict[str, Node], bank: Path) -> None:
    job = cli(*psi(bank, "--detach", partner="zeta")).out.strip()
    parties["zeta"].wait_state(job, WAITING)
    cli("jobs", "deny", "--node", parties["zeta"].directory, job, "--reason", "ask legal")
    done = cli("jobs", "wait", "--node", bank, job, code=3)
    assert "zeta refused" in done.err and "legal" not in done.err


def test_cancelling_is_heard_by_the_others(parties: dict[str, Node], bank: Path) -> None:
    job = cli(*psi(bank, "--detach", partner="zeta")).out.strip()
    parties["zeta"].wait_state(job, WAITING)
    cli("jobs", "cancel", "--node", bank, job)
    parties["zeta"].wait_state(job, CANCELLED)
    assert "cancelled by admin" in cli("jobs", "wait", "--node", bank, job, code=1).err
    assert "has ended" in cli("jobs", "cancel", "--node", bank, job, code=2).err


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("--with", "acme", "--mine", "loan", "--theirs", "ledger"), 2, "no dataset 'loan'"),
        (("--with", "omega", "--mine", "loans", "--theirs", "ledger"), 2, "not a trusted party"),
        (("--with", "acme", "--mine", "loans", "--theirs", "salaries"), 3, "acme refused"),
    ],
)
def test_refusals_name_whose_and_why(
    bank: Path, arguments: tuple[str, ...], code: int, told: str
) -> None:
    done = cli("psi", "--node", bank, *arguments, "--out", "-", code=code)
    assert told in done.err.splitlines()[-1] and done.out == ""


def test_a_policy_line_that_refuses_is_named(parties: dict[str, Node], bank: Path) -> None:
    done = cli(
        "sum", "--node", bank, "--with", "acme,zeta,nova", "--keys", "loans",
        "--theirs", "ledger", "--amount", "amount", "--floor", 2, "--out", "-", code=3,
    )  # fmt: skip
    assert "policy-cohort (policy 2: min_cohort)" in done.err
    job = cli("jobs", "list", "--node", bank, "--json").json[0]
    assert (job["state"], job["exit_code"]) == (REFUSED, 3)


def test_jobs_are_found_by_a_prefix_or_not_at_all(bank: Path) -> None:
    assert "no job 'zz'" in cli("jobs", "show", "--node", bank, "zz", code=2).err
    job = cli("jobs", "list", "--node", bank, "--json").json[0]["job"]
    assert cli("jobs", "show", "--node", bank, job[:10], "--json").json["job"] == job


def test_an_interrupt_leaves_the_job_and_says_how_to_follow(
    parties: dict[str, Node], bank: Path
) -> None:
    arguments = [str(each) for each in psi(bank, "--wait-approval", "--out", "-", partner="zeta")]
    with subprocess.Popen(
        [sys.executable, "-m", "parties.cli", *arguments],
        cwd=ROOT, env=dict(os.environ), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as waiting:  # fmt: skip
        assert waiting.stderr is not None
        while "approval by zeta" not in waiting.stderr.readline():
            assert waiting.poll() is None
        waiting.send_signal(signal.SIGINT)
        out, err = waiting.communicate(timeout=20)
    job = cli("jobs", "list", "--node", bank, "--json").json[0]
    assert waiting.returncode == 1 and out == "" and "Traceback" not in err
    assert f"job {job['job']} goes on" in err and f"jobs cancel --node {bank}" in err
    assert job["state"] == WAITING
    cli("jobs", "cancel", "--node", bank, job["job"])


def test_logs_are_json_and_hold_no_identifier(parties: dict[str, Node]) -> None:
    for node in parties.values():
        assert {"ready", "job"} <= {event["event"] for event in node.logs()}
        assert "alpha" not in node.log_file.read_text().lower()


def test_a_partner_that_is_down_ends_with_5_and_comes_back(
    parties: dict[str, Node], bank: Path
) -> None:
    nova = parties["nova"]
    assert nova.stop() == 0
    done = cli(*psi(bank, "--out", "-", partner="nova"), code=5)
    assert "nova: peer-down: the party cannot be reached" in done.err
    nova.start()
    assert nova.wait_ready().startswith("jointcredit node nova ready on 127.0.0.1:")
    until = time.monotonic() + 20  # gRPC backs off before it tries again
    while done.code == 5 and time.monotonic() < until:
        time.sleep(0.2)
        done = cli(*psi(bank, "--out", "-", partner="nova"), code=None)
    assert [row["company"] for row in rows(done.out)] == ["Alpha Ltd"]


def test_a_second_daemon_in_one_directory_changes_nothing(
    parties: dict[str, Node], bank: Path
) -> None:
    job = cli(*psi(bank, "--detach", partner="zeta")).out.strip()
    second = Node(parties["bank"].home)
    second.start()
    assert second.wait_end() == 2
    assert "a node is running here already; stop it first" in second.log_file.read_text()
    parties["bank"].wait_state(job, WAITING)
    cli("jobs", "cancel", "--node", bank, job)


def test_a_restarted_querier_does_not_leave_its_people_waiting(
    parties: dict[str, Node], bank: Path
) -> None:
    job = cli(*psi(bank, "--detach", partner="zeta")).out.strip()
    parties["zeta"].wait_state(job, WAITING)
    parties["bank"].kill()
    assert "is not running; start it" in cli("jobs", "list", "--node", bank, code=2).err
    parties["bank"].start()
    parties["bank"].wait_ready()
    assert "the node was stopped" in cli("jobs", "wait", "--node", bank, job, code=5).err


def test_a_sealed_node_serves_with_its_passphrase(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("correct horse\n")
    sealed = ("--passphrase-file", tmp_path / "secret")
    directory = tmp_path / "seal"
    listen = f"127.0.0.1:{free_ports(1)[0]}"
    cli("node", "init", directory, "--name", "seal", "--listen", listen, *sealed)
    node = Node(Home.open(directory))
    node.start()
    assert node.wait_end() == 2
    assert "sealed with a passphrase" in node.log_file.read_text()
    node.log_file.unlink()
    node.start(JOINTCREDIT_PASSPHRASE="correct horse")
    try:
        node.wait_ready()
        assert "sealed with a passphrase" in cli("node", "status", directory, code=2).err
        assert cli("node", "status", directory, *sealed).out.startswith("name")
        assert node.stop() == 0
    finally:
        node.kill()
