"""Commands that need no running node: node, data and policy, and how errors come out."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from parties.cli.main import cli as command
from parties.config import read_datasets
from parties.home import Home
from parties.policy import Rule, read_policy
from tests.parties.nodes import ROOT, cli

LEDGER = "supplier,amount,note\nAlpha Ltd,1.50,a\nALPHA LIMITED,2,b\nBeta plc,x,c\n,4,d\n"


@pytest.fixture
def acme(tmp_path: Path) -> Path:
    """A node with one dataset, ``ledger``."""
    directory = tmp_path / "acme"
    cli("node", "init", directory, "--name", "acme", "--listen", "127.0.0.1:7002")
    (tmp_path / "ap.csv").write_text(LEDGER)
    cli(
        "data", "add", directory, "ledger", tmp_path / "ap.csv", "--key", "supplier",
        "--normalize", "name", "--columns", "amount", "--decimals", "amount=2",
    )  # fmt: skip
    return directory


def commands(group: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command there is, as what one types before its arguments."""
    yield path
    for name, each in getattr(group, "commands", {}).items():
        yield from commands(each, (*path, name))


@pytest.mark.parametrize("path", list(commands(command)), ids=" ".join)
def test_help_has_an_example_and_fits(path: tuple[str, ...]) -> None:
    done = cli(*path, "--help")
    assert "Example:" in done.out
    assert f"jointcredit {' '.join(path)}".strip() in done.out.split("Example:")[1]
    assert max(map(len, done.out.split("Example:")[0].splitlines())) <= 80


def test_every_command_of_this_release_is_there() -> None:
    there = {" ".join(path) for path in commands(command)}
    assert {
        "node init", "node card", "node trust", "node serve", "node status",
        "data add", "data list", "data check", "policy allow", "policy show", "policy check",
        "psi", "sum", "score", "run", "explain", "explain psi", "explain sum", "explain score",
        "jobs list", "jobs show", "jobs approve", "jobs deny", "jobs cancel", "jobs wait",
        "jobs result",
    } <= there  # fmt: skip


def test_a_node_is_made_and_its_card_trusted(tmp_path: Path) -> None:
    bank, acme = tmp_path / "bank", tmp_path / "acme"
    made = cli("node", "init", bank, "--name", "bank", "--listen", "127.0.0.1:7001")
    cli("node", "init", acme, "--name", "acme", "--listen", "127.0.0.1:7002")
    card = tmp_path / "acme.card"
    shown = cli("node", "card", acme, "--out", card)
    assert card.read_text() == cli("node", "card", acme).out
    trusted = cli("node", "trust", bank, card, "--json").json
    assert trusted[0]["party"] == "acme" and trusted[0]["state"] == "now trusted"
    assert trusted[0]["fingerprint"] in shown.err
    assert Home.open(bank).card().fingerprint in made.out
    assert cli("node", "trust", bank, card, "--json").json[0]["state"] == "trusted already"
    cli("node", "trust", bank, bank / "bank.card", code=2)


def test_of_several_cards_none_is_trusted_if_one_is_bad(tmp_path: Path, acme: Path) -> None:
    bank = tmp_path / "bank"
    cli("node", "init", bank, "--name", "bank", "--listen", "127.0.0.1:7001")
    done = cli("node", "trust", bank, acme / "acme.card", acme / "node.toml", code=2)
    assert "node.toml: not a party card" in done.err
    assert Home.open(bank).store().cards() == {}


def test_a_passphrase_seals_the_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = tmp_path / "passphrase"
    secret.write_text("correct horse\n")
    node = tmp_path / "node"
    start = ("node", "init", node, "--name", "bank", "--listen", "127.0.0.1:7001")
    cli(*start, "--passphrase-file", secret)
    assert b"PRIVATE KEY" not in (node / "keys" / "signing.key").read_bytes()
    assert "sealed with a passphrase" in cli("node", "card", node, code=2).err
    assert cli("node", "card", node, "--passphrase-file", secret).out
    monkeypatch.setenv("JOINTCREDIT_PASSPHRASE", "correct horse")
    assert cli("node", "card", node).out
    monkeypatch.setenv("JOINTCREDIT_PASSPHRASE", "wrong")
    assert "wrong passphrase" in cli("node", "card", node, code=2).err


def test_a_relative_source_is_kept_absolute(
    tmp_path: Path, acme: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    with gzip.open(tmp_path / "elsewhere" / "b.csv.gz", "wt") as file:
        file.write("id;amount\n1;2\n")
    monkeypatch.chdir(tmp_path / "elsewhere")
    cli("data", "add", acme, "b", "b.csv.gz", "--key", "id", "--delimiter", ";")
    entry = read_datasets(acme / "datasets.toml")["b"]
    assert entry.source == str(tmp_path / "elsewhere" / "b.csv.gz")
    assert [each["name"] for each in cli("data", "list", acme, "--json").json] == ["ledger", "b"]
    assert "ledger" in cli("data", "list", acme).out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("x", "ap.csv", "--key", "suplier"), "did you mean 'supplier'?"),
        (("x", "ap.csv", "--key", "supplier", "--columns", "amuont"), "did you mean 'amount'?"),
        (("x", "ap.csv", "--key", "supplier", "--decimals", "sum=2"), "no column 'sum'"),
        (("x", "ap.csv", "--key", "supplier", "--decimals", "amount"), "COLUMN=N"),
        (("x", "ap.csv", "--key", "supplier", "--normalize", "nome"), "'nome'"),
        (("x", "ap.csv", "--key", "supplier", "--delimiter", ";"), "delimiter"),
        (("x", "none.csv", "--key", "supplier"), "there is no file"),
        (("ledger", "ap.csv", "--key", "supplier"), "is there twice"),
        (("x", "db://host/a", "--key", "supplier"), "export a file"),
    ],
)
def test_a_dataset_is_checked_when_it_is_added(
    tmp_path: Path, acme: Path, arguments: tuple[str, ...], told: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    before = (acme / "datasets.toml").read_text()
    done = cli("data", "add", acme, *arguments, code=2)
    assert told in done.err and len(done.err.splitlines()) == 1
    assert (acme / "datasets.toml").read_text() == before


def test_data_check_counts_and_shows_no_cell_unasked(acme: Path) -> None:
    found = cli("data", "check", acme, "ledger", "--json").json
    assert [found[name] for name in ("rows", "distinct", "duplicates", "empty")] == [4, 2, 1, 1]
    (amount,) = found["columns"]
    assert amount["refused"] == {"not-a-number": 1} and "minimum" not in amount
    plain = cli("data", "check", acme, "ledger").out
    assert "1.50" not in plain and "Alpha" not in plain and "minimum" not in plain
    (ranged,) = cli("data", "check", acme, "ledger", "--ranges", "--json").json["columns"]
    assert (ranged["minimum"], ranged["maximum"]) == ("1.50", "4")
    assert "did you mean 'ledger'?" in cli("data", "check", acme, "ledgr", code=2).err


def test_policy_lines_are_appended_shown_and_checked(acme: Path) -> None:
    allow = ("policy", "allow", acme, "--dataset", "ledger")
    cli(
        *allow, "--columns", "supplier,amount", "--protocol", "sum", "--party", "bank",
        "--min-cohort", 4, "--per-day", 10, "--max-rows", 5000, "--expires", "2099-12-31",
        "--purpose", "credit check", "--beside", "zeta,nova",
    )  # fmt: skip
    noted = cli(*allow, "--protocol", "psi", "--party", "bank", "--reveal", "count", "--approval")
    assert "bank is not trusted yet" in noted.err and noted.out.startswith("policy 2: ")
    first, second = read_policy(acme / "policy.toml").rules
    assert first.columns == ("amount",), "a key needs no mention"
    assert (first.min_cohort, first.per_day, first.max_rows) == (4, 10, 5000)
    assert (first.purpose, first.beside) == ("credit check", ("zeta", "nova"))
    assert second == Rule("ledger", "psi", "bank", reveal=("count",), approval=True)
    shown = cli("policy", "show", acme, "--json").json
    assert [line["policy"] for line in shown] == [1, 2] and shown[0]["expires"] == "2099-12-31"
    assert "needs approval" in cli("policy", "show", acme).out
    checked = cli("policy", "check", acme, "--json", code=1).json
    assert any("party bank is not trusted" in finding for finding in checked["findings"])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--dataset", "ledgr", "--protocol", "psi"), "did you mean 'ledger'?"),
        (("--dataset", "ledger", "--protocol", "pis"), "did you mean 'psi'?"),
        (("--dataset", "ledger", "--protocol", "sum", "--columns", "amont"), "'amount'"),
        (("--dataset", "ledger", "--protocol", "sum", "--columns", "note"), "offers no column"),
        (("--dataset", "ledger", "--protocol", "psi", "--reveal", "all"), "rows, count"),
        (("--dataset", "ledger", "--protocol", "psi", "--expires", "soon"), "--expires"),
    ],
)
def test_a_policy_line_that_cannot_match_is_refused(
    acme: Path, arguments: tuple[str, ...], told: str
) -> None:
    done = cli("policy", "allow", acme, "--party", "bank", *arguments, code=2)
    assert told in done.err
    assert read_policy(acme / "policy.toml").rules == ()


def test_a_broken_file_is_named_with_its_line(acme: Path) -> None:
    (acme / "policy.toml").write_text('[[allow]]\ndataset = "ledger"\nprotcol = "psi"\n')
    done = cli("policy", "check", acme, code=2)
    assert re.search(r"policy\.toml, line \d+: ", done.err)


def test_keys_open_to_others_are_refused(acme: Path) -> None:
    (acme / "keys" / "signing.key").chmod(0o644)
    done = cli("node", "serve", acme, code=2)
    assert "open to other users (mode 0644)" in done.err and "chmod 600" in done.err


def test_a_node_that_does_not_run_is_said_how_to_start(acme: Path) -> None:
    for words in (("node", "status", acme), ("jobs", "list", "--node", acme)):
        done = cli(*words, code=2)
        assert done.err == (
            f"error: {acme}: the node is not running; start it: jointcredit node serve {acme}\n"
        )
    assert "no node here" in cli("jobs", "list", "--node", acme / "keys", code=2).err


def test_usage_errors_are_one_line_with_where_to_read_on() -> None:
    done = cli("psi", "--bogus", code=2)
    assert "'--bogus'" in done.err and done.err.endswith("See: jointcredit psi --help\n")
    assert len(done.err.splitlines()) == 1
    assert len(cli("frobnicate", code=2).err.splitlines()) == 1
    assert cli("jobs", code=2).err == cli("jobs", "--help").out


def test_an_unexpected_error_tells_its_place_but_no_data(
    acme: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("canary 4711")

    monkeypatch.setattr("parties.cli.data.check_dataset", fail)
    monkeypatch.setattr("parties.cli.policy.read_policy", fail)
    for words in (("data", "check", acme, "ledger"), ("policy", "show", acme)):
        done = cli(*words, code=1)
        assert "canary" not in done.err + done.out
        assert re.match(r"error: RuntimeError at \S+\.py:\d+, ", done.err)
    monkeypatch.setenv("JOINTCREDIT_DEBUG", "1")
    assert "canary" in cli("policy", "show", acme, code=1).err


def test_an_interrupt_is_no_traceback(acme: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("parties.cli.policy.read_policy", interrupted)
    done = cli("policy", "show", acme, code=1)
    assert done.err.split() == ["interrupted"]


def test_the_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "parties.cli", "--version"],
        cwd=ROOT, env={**os.environ, "NO_COLOR": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0 and re.fullmatch(r"jointcredit, version \S+\n", done.stdout)


def test_json_is_json_everywhere(acme: Path) -> None:
    for words in (("data", "list"), ("policy", "show"), ("policy", "check")):
        json.loads(cli(*words, acme, "--json", code=0).out)
