"""The demonstration as a whole: real node processes, real data, and what becomes of failures."""

from __future__ import annotations

import csv
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from parties.cli import demo, demo_report
from parties.cli.main import cli
from parties.client import NodeError
from parties.demo.nodes import make_nodes, running
from parties.demo.run import Outcome, run
from parties.demo.scene import ENTERPRISES, actors, find_example
from parties.demo.summary import write_summary

COMMAND = [sys.executable, "-m", "parties.cli", "demo"]


@pytest.fixture(scope="module")
def told() -> list[tuple[str, str]]:
    return []


@pytest.fixture(scope="module")
def outcome(
    tmp_path_factory: pytest.TempPathFactory, told: list[tuple[str, str]]
) -> Iterator[Outcome]:
    directory = tmp_path_factory.mktemp("demo")
    yield run(directory, find_example(), lambda label, stage, *_: told.append((label, stage)))


def test_every_answer_is_right(outcome: Outcome, told: list[tuple[str, str]]) -> None:
    assert [check.faults for check in outcome.checks] == [()] * 6
    assert outcome.passed
    assert ("score", "done") in told and ("sum refused", "refused") in told


def test_the_joint_score_is_worth_its_while(outcome: Outcome) -> None:
    made = outcome.conclusions
    assert made.joint.auc > made.bank_only.auc + 0.05
    assert made.joint.ks > made.bank_only.ks + 0.1
    assert made.joint.default_rate < made.bank_only.default_rate


def test_summary_is_json_and_its_files_are_there(outcome: Outcome) -> None:
    write_summary(outcome)
    summary = json.loads((outcome.directory / "summary.json").read_text("utf-8"))
    assert summary["ok"] is True
    assert [job["state"] for job in summary["jobs"]] == ["done"] * 7 + ["refused"]
    assert summary["refused"]["exit_code"] == 3
    assert summary["refused"]["code"] == "policy-cohort"
    assert set(summary["parties"]) == {actor.name for actor in actors()}
    for party in summary["parties"].values():
        assert (outcome.directory / party["directory"] / "node.toml").is_file()
        assert "stopped" in (outcome.directory / party["log"]).read_text("utf-8")
    with (outcome.directory / "results/decisions_suppliers.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 238
    with (outcome.directory / "results/decisions_cardholders.csv").open(newline="") as file:
        models = [row["model"] for row in csv.DictReader(file)]
    assert (models.count("joint"), models.count("bank only")) == (8548, 452)
    assert all((outcome.directory / name).is_file() for name in summary["results"]["files"])


def test_the_statement_has_the_sizes_that_it_came_to(outcome: Outcome) -> None:
    learnt = {(e.who, e.what, e.of): e.size for e in outcome.learnt}
    assert learnt["bank", "set-size", ("leeds",)] == 2864
    assert learnt["bank", "matched-rows", ("calderdale",)] == 9
    assert learnt["bank", "totals", ENTERPRISES] == 20
    assert learnt["bank", "partial-logit", ("data-partner",)] == 8548
    assert learnt["data-partner", "set-size", ("bank",)] == 9000
    # Nobody is shown an applicant that could not pass the floor.
    assert [learnt[name, "key-list", ("bank",)] for name in ENTERPRISES] == [20] * 5
    assert all(size is not None for size in learnt.values())


def test_bytes_of_every_link_are_counted_at_both_ends(outcome: Outcome) -> None:
    for (sender, receiver), count in outcome.sent.items():
        received = sum(
            job.summary["traffic"][sender]["received"]
            for job in outcome.records[receiver].values()
            if sender in job.summary.get("traffic", {})
        )
        assert received == count > 0


def test_no_column_that_the_policy_keeps_back_was_in_a_plan(outcome: Outcome) -> None:
    for job in outcome.records["data-partner"].values():
        assert b"LIMIT_BAL" in job.plan
        assert not any(name in job.plan for name in (b"SEX", b"EDUCATION", b"MARRIAGE", b"AGE"))


def test_report_fits_80_columns_and_is_plain(
    outcome: Outcome, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    demo_report.show(outcome, kept=True)
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert max(map(len, printed.splitlines())) <= 80
    assert re.search(r"All answers are right", printed)
    assert re.search(r"leeds +2,864 +64", printed)
    assert "ROYAL MAIL GROUP LIMITED" in printed and "1,726,735.59" in printed
    assert "policy-cohort" in printed and "Exit code 3" in printed


def test_one_wrong_penny_is_exit_code_1(
    outcome: Outcome, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = outcome.conclusions
    totals = replace(made.checks[1], faults=("A LTD: 1.01, in the clear 1.00",))
    checks = (made.checks[0], totals, *made.checks[2:])
    wrong = replace(outcome, conclusions=replace(made, checks=checks))
    monkeypatch.setattr(demo, "run", lambda *_: wrong)
    result = CliRunner().invoke(cli, ["demo", "--dir", str(tmp_path / "kept")])
    assert result.exit_code == 1
    assert "wrong: totals: A LTD: 1.01, in the clear 1.00" in result.stderr
    assert "WRONG ANSWERS" in result.stdout and "DIFFERS" in result.stdout


def test_json_is_all_of_standard_output(outcome: Outcome, monkeypatch: pytest.MonkeyPatch) -> None:
    places = []
    monkeypatch.setattr(demo, "run", lambda place, *_: places.append(place) or outcome)
    result = CliRunner().invoke(cli, ["demo", "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["ok"] is True
    assert not places[0].exists()  # nobody asked to keep it


def test_a_directory_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    result = CliRunner().invoke(cli, ["demo", "--dir", str(tmp_path)])
    assert result.exit_code == 2 and "is not empty" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_node_that_does_not_start_shows_the_last_line_of_its_log(tmp_path: Path) -> None:
    (tmp_path / "nodes").mkdir()
    alone = replace(actors()[0], trusts=())
    homes = make_nodes([alone], find_example(), tmp_path / "nodes")
    homes["bank"].node_toml.write_text('name = "bank"\nlisten = "nowhere"\n')
    with (
        pytest.raises(NodeError, match=r"node bank did not start; its log: error: .*HOST:PORT"),
        running(list(homes.values()), tmp_path, lambda name: None),
    ):
        pytest.fail("it started")


def test_an_interrupt_stops_every_node(tmp_path: Path) -> None:
    directory = tmp_path / "demo"
    process = subprocess.Popen(
        [*COMMAND, "--dir", str(directory)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    logs = [directory / "logs" / f"{actor.name}.log" for actor in actors()]
    while not all(log.exists() and b'"ready"' in log.read_bytes() for log in logs):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    printed, told = process.communicate()
    assert (process.returncode, printed) == (1, b"")
    assert told.strip().endswith(b"interrupted")
    for log in logs:
        assert b'"stopped"' in log.read_bytes()
