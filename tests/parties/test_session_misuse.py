"""What people get wrong, at real nodes: the right exit code, one line that says what, where and
what to do, and nothing for the partner but a code.
"""

from __future__ import annotations

import asyncio
import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from parties.cards import make_card
from parties.client import NodeError
from parties.errors import ConfigError
from parties.home import Home
from parties.identity import Identity, renew_certificate
from parties.node import Node
from parties.serve import serve
from parties.store import ENDED
from tests.parties.mesh import Mesh, Party, ask, csv, impatient, query, run

PSI = query("psi", "rows", {"acme": "rows"})
SUM = query("sum", "rows", {"acme": "rows", "nova": "rows"}, amount="v", floor=2, key_bits=2048)
MODEL = {"bias": 0, "features": [{"party": "acme", "column": "v", "weight": 1, "clip": [0, 9]}]}
SCORE = query("score", "rows", {"acme": "rows"}, model="m.json")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    impatient(monkeypatch)


async def nodes(mesh: Mesh, *names: str) -> list[Party]:
    made = await mesh.nodes(*names, handshake_seconds=1)
    for party in made:
        party.dataset("rows", csv("id,v", "a,1", "b,2"))
        party.allow("rows", "psi", "any")
        party.allow("rows", "sum", "any", columns=("v",), min_cohort=2)
        party.allow("rows", "score", "any", columns=("v",))
    return made


def write(text: str) -> Callable[[Path], None]:
    return lambda path: path.write_text(text, "utf-8") and None


# What becomes of a party's file; the query; the code, and words of the line its own people read.
OURS: dict[str, tuple[Callable[[Path], Any], str, str, tuple[str, ...]]] = {
    "missing": (Path.unlink, PSI, "local-data", ("rows", "there is no file")),
    "a directory": (
        lambda path: (path.unlink(), path.mkdir()), PSI, "local-data", ("directory",),
    ),
    "empty": (write(""), PSI, "local-data", ("rows.csv",)),
    "without the key column": (write("ident,v\na,1\n"), PSI, "local-data", ("no column 'id'",)),
    "with an unclosed quote": (write('id,v\n"a,1\nb,2\n'), PSI, "local-data", ("line 2",)),
    "with a line too short": (write("id,v\na,1\nb\n"), PSI, "local-data", ("line 3",)),
    "not UTF-8": (lambda path: path.write_bytes(b"id,v\n\xff,1\n"), PSI, "local-data", ("line 2",)),
    "without identifiers": (write("id,v\n,1\n ,2\n"), PSI, "rows-outside-plan", ("0 distinct",)),
    "with an amount of many decimals": (
        write("id,v\na,1.005\nb,2\n"), SUM, "local-data", ("too-many-decimals 1", "line 2"),
    ),
    "with an amount past 64 bits": (
        write("id,v\na,1\nb,99999999999999999999\n"), SUM, "local-data", ("out-of-range 1",),
    ),
    "with amounts that add up past 64 bits": (
        write("id,v\na,90000000000000000\na,90000000000000000\n"), SUM, "local-data",
        ("does not fit 64 bits",),
    ),
    "with thousands separators": (
        write('id,v\na,"1,000.00"\n'), SUM, "local-data", ("thousands-separator 1",),
    ),
    "with a feature that is no number": (
        write("id,v\na,1\nb,many\n"), SCORE, "local-data", ("no finite number", "line 3"),
    ),
    "with a repeated row of features": (
        write("id,v\na,1\nA,2\n"), SCORE, "local-data", ("repeat an identifier",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", OURS)
def test_a_holders_file_that_cannot_be_used(what: str, tmp_path: Path) -> None:
    """Its own people read what and where; the querier reads a code and whose it is."""
    spoil, text, code, words = OURS[what]

    async def scenario(mesh: Mesh) -> None:
        names = ("bank", "acme", "nova") if text == SUM else ("bank", "acme")
        bank, acme, *_ = await nodes(mesh, *names)
        path = acme.home.directory / "rows.csv"

        async def when_started(passing: Any) -> list[Any]:
            if passing.method == "Start" and passing.to == "acme":
                spoil(path)
            return [passing.message]

        mesh.tamper = when_started
        job = await bank.ask("submit", text, json.dumps(MODEL).encode() if text == SCORE else b"")
        theirs, ours = await acme.until(job, *ENDED), await bank.until(job, *ENDED)
        assert (theirs.state, theirs.code, theirs.exit_code) == ("failed", code, 2)
        assert theirs.message.isprintable() and all(word in theirs.message for word in words)
        assert (ours.state, ours.code, ours.exit_code) == ("cancelled", code, 1)
        assert ours.message.startswith(f"acme ended the session: {code}: ")
        assert not any(word in ours.message for word in words)

    run(tmp_path, scenario)


def test_a_queriers_own_file_or_words_that_cannot_be_used(tmp_path: Path) -> None:
    async def scenario(mesh: Mesh) -> None:
        bank, acme = await nodes(mesh, "bank", "acme")
        path = bank.home.directory / "rows.csv"
        good = path.read_bytes()
        for what, words in (
            ("missing", "there is no file"), ("without the key column", "no column 'id'"),
        ):  # fmt: skip
            OURS[what][0](path)
            told, _, exit_code = await _failure(bank, PSI)
            assert exit_code == 2 and words in told, told
            path.write_bytes(good)
        asked = acme.node.store.all()

        theirs = {"acme": "rows"}
        model = json.dumps(MODEL).encode()
        none = query("psi", "none", theirs)
        wrong: list[tuple[str, bytes, int, str]] = [
            (none, b"", 2, "no dataset 'none'"),
            (query("psi", "rows", {"bank": "rows"}), b"", 2, "bank is this node itself"),
            (query("psi", "rows", {"zeta": "rows"}), b"", 2, "zeta is not a trusted party"),
            (query("psi", "rows", {"acme": "none"}), b"", 3, "acme refused: policy-none"),
            (query("sum", "rows", theirs, amount="v"), b"", 2, "2 to 50 contributors"),
            (query("psi", "rows", theirs, min_rows=17), b"", 2, "plan"),
            (SCORE, b"", 2, "score needs a model"),
            (SCORE, b"{", 2, "not JSON"),
            (SCORE, b"[]", 2, "not a JSON object"),
            (SCORE, model.replace(b'"v"', b'"w"'), 2, "acme offers no column 'w'"),
            (SCORE, model.replace(b"acme", b"nova"), 2, "the model names party 'nova'"),
            ("protocol = 'psi'\n", b"", 2, "PLAN.toml"),
            ("protocol = \n", b"", 2, "PLAN.toml, line 1"),
            (PSI + "\n[other]\nx = 1\n", b"", 2, "PLAN.toml"),
        ]
        for text, content, exit_code, words in wrong:
            told, _, code = await _failure(bank, text, content)
            assert code == exit_code, (words, told)
            assert words in told and told.isprintable(), told
        assert acme.node.store.all() == asked  # of all these nothing went out

    run(tmp_path, scenario)


async def _failure(party: Party, text: str, model: bytes = b"") -> tuple[str, str, int]:
    """Message, code and exit code of a query that comes to nothing, at once or later."""
    try:
        ended = await ask(party, text, model)
    except NodeError as error:
        return str(error), error.code, error.exit_code
    assert ended.state != "done"
    return ended.message, ended.code, ended.exit_code


def test_a_holders_dataset_that_is_gone_before_the_question(tmp_path: Path) -> None:
    """Its other datasets can be asked all the same."""

    async def scenario(mesh: Mesh) -> None:
        bank, acme = await nodes(mesh, "bank", "acme")
        acme.dataset("others", csv("id", "a"))
        acme.allow("others", "psi", "bank")
        (acme.home.directory / "rows.csv").unlink()
        told, _, code = await _failure(bank, PSI)
        assert code == 3 and told.startswith("acme refused: ")
        assert str(tmp_path) not in told and "csv" not in told
        assert (await ask(bank, query("psi", "rows", {"acme": "others"}))).state == "done"

    run(tmp_path, scenario)


def test_a_partner_that_is_not_there_or_is_another(tmp_path: Path) -> None:
    async def scenario(mesh: Mesh) -> None:
        bank, acme, nova = await nodes(mesh, "bank", "acme", "nova")
        # Its certificate was renewed, and we have the old card; then we have the new one.
        renew_certificate("acme", acme.home.keys)
        await acme.restart()
        told, code, exit_code = await _failure(bank, PSI)
        assert (code, exit_code) in (("peer-certificate", 5), ("peer-down", 5))
        assert told.startswith("acme: ") and "card" in told
        bank.node.trust.add(acme.home.card())
        assert (await ask(bank, PSI)).state == "done"

        # Another party answers at its address.
        await nova.stop()
        at_novas = make_card(nova.node.identity, acme.home.settings().endpoint)
        bank.node.trust.add(at_novas, replace=True)
        told, code, exit_code = await _failure(bank, query("psi", "rows", {"nova": "rows"}))
        assert (code, exit_code) in (("peer-certificate", 5), ("peer-down", 5))
        assert told.startswith("nova: ")

        # Nobody answers.
        await acme.stop()
        told, code, exit_code = await _failure(bank, PSI)
        assert (code, exit_code) == ("peer-down", 5)
        assert told.startswith("acme: peer-down: the party cannot be reached; is its node running")
        await acme.start()
        await nova.start()

    run(tmp_path, scenario)


def test_a_card_whose_certificate_has_expired_is_not_used(tmp_path: Path) -> None:
    now = datetime.datetime.now(datetime.UTC)

    async def scenario(mesh: Mesh) -> None:
        bank, acme = await nodes(mesh, "bank", "acme")
        identity = acme.node.identity
        old = Identity.create("acme", now - datetime.timedelta(days=10), days=9)
        expired = Identity(identity.name, identity.signing_secret, old.tls_key, old.certificate)
        card = make_card(expired, acme.home.settings().endpoint)
        bank.node.trust.add(card, replace=True)
        told, code, exit_code = await _failure(bank, PSI)
        assert (code, exit_code) == ("peer-expired", 3)
        assert "acme" in told and told.endswith("renew it and hand out the new card")

    run(tmp_path, scenario)


def test_a_partner_that_does_not_know_us_says_no_more_than_that(tmp_path: Path) -> None:
    async def scenario(mesh: Mesh) -> None:
        bank, acme = await nodes(mesh, "bank", "acme")
        assert (await ask(bank, PSI)).state == "done"  # there is a connection
        acme.node.trust.remove("bank")
        told, code, exit_code = await _failure(bank, PSI)
        assert (code, exit_code) == ("peer-unknown", 3)
        assert told.startswith("acme refused: peer-unknown: ") and "node card, node trust" in told

    run(tmp_path, scenario)


def test_a_node_that_cannot_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parties.serve.start_logging", lambda level: None)  # it is for good

    async def scenario(mesh: Mesh) -> None:
        bank, acme = await nodes(mesh, "bank", "acme")
        await acme.stop()
        toml = acme.home.node_toml
        port = bank.home.settings().listen
        toml.write_text(toml.read_text().replace(acme.home.settings().listen, port))
        with pytest.raises(ConfigError) as taken:
            await serve(acme.home, lambda line: None)
        assert str(taken.value).startswith(f"{toml}: cannot listen on {port}; is the port taken")
        # Nobody was told that it serves, and nothing was left that says so.
        toml.write_text(toml.read_text().replace(port, acme.node.settings.listen))
        (acme.home.keys / "tls.key").chmod(0o644)
        with pytest.raises(ConfigError, match=r"tls\.key"):
            Node(Home(acme.home.directory))
        (acme.home.keys / "tls.key").chmod(0o600)
        await acme.start()

    run(tmp_path, scenario)


def test_a_node_that_does_not_run_is_named_with_the_command_that_starts_it(tmp_path: Path) -> None:
    async def scenario(mesh: Mesh) -> None:
        (bank,) = await mesh.nodes("bank")
        client = bank._client
        assert client is not None
        await asyncio.gather(*(server.stop(None) for server in bank._servers))
        with pytest.raises(ConfigError) as error:
            await asyncio.to_thread(client.status)
        assert "jointcredit node serve" in str(error.value)
        assert str(bank.home.directory) in str(error.value)

    run(tmp_path, scenario)


def test_a_session_in_which_nobody_speaks_is_ended(tmp_path: Path) -> None:
    async def scenario(mesh: Mesh) -> None:
        bank, acme = await mesh.nodes("bank", "acme", idle_seconds=1)
        for party in (bank, acme):
            party.dataset("rows", csv("id", "a"))
        acme.allow("rows", "psi", "bank")

        async def lose(passing: Any) -> list[Any]:
            return [] if passing.content == "frame" else [passing.message]

        mesh.tamper = lose
        job = await bank.ask("submit", PSI)
        await bank.until(job, "running")
        await acme.until(job, "running")
        bank.node.end_idle()
        assert (await bank.job(job)).state == "running"
        await asyncio.sleep(1.2)
        bank.node.end_idle()
        ended = await bank.end(job)
        assert (ended.state, ended.code, ended.exit_code) == ("cancelled", "idle", 5)
        assert (await acme.end(job)).code == "idle"

    run(tmp_path, scenario)
