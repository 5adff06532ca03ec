"""Over real nodes: nothing of a party's records is in what another one receives, keeps or logs.

Everything that reaches a node passes the mesh's tape; what it keeps is below its directory.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mpc.wire.v1.session_pb2 import Block
from parties.client import NodeError
from parties.logs import FIELDS
from parties.rpc.v1.peer_pb2 import Abort, LinkMessage
from parties.store import ENDED, RUNNING
from tests.parties.mesh import Mesh, Party, Passing, ask, csv, impatient, query, run
from tests.protocols.leaks import traces_of_amount, traces_of_identifier

AMOUNTS = {"acme": 7**16, "nova": 5**19, "zeta": -(3**28)}  # in cents; each past 2^40
FEATURE = 987654.321987654


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    impatient(monkeypatch)


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """All that any logger says, ours or a library's, of whatever level."""
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record) + json.dumps(getattr(record, "fields", {})))

    handler = Keep(logging.DEBUG)
    ours, root = logging.getLogger("jointcredit"), logging.getLogger()
    before = ours.level, ours.propagate, ours.disabled
    # What ran earlier in this process may have silenced it: a daemon, or import-linter's set-up.
    ours.setLevel(logging.DEBUG)
    ours.propagate, ours.disabled = True, False
    root.addHandler(handler)
    yield lines
    root.removeHandler(handler)
    ours.setLevel(before[0])
    ours.propagate, ours.disabled = before[1:]


def canary(party: str, what: str, number: int = 0) -> str:
    """Odd enough never to come up by chance, and its own normal form."""
    return f"canary-{party}-{what}-{number:03d}"


def traces(party: str, rows: int) -> Iterator[tuple[str, bytes]]:
    """What would give away one of this party's own records."""
    for number in range(rows):
        yield from traces_of_identifier(canary(party, "row", number))
    for what in ("column", "file", "hidden"):
        yield from traces_of_identifier(canary(party, what))
    if party in AMOUNTS:
        yield from traces_of_amount(AMOUNTS[party])
    value = np.float64(FEATURE)
    yield "a feature's float", value.tobytes()
    yield "a feature's float, big-endian", value.tobytes()[::-1]
    yield "a feature's digits", str(FEATURE).encode()[:12]


def found(data: bytes, party: str, rows: int) -> set[str]:
    return {name for name, trace in traces(party, rows) if trace in data}


def kept(party: Party) -> bytes:
    """All files of its state."""
    files = [path for path in sorted(party.home.state.rglob("*")) if path.is_file()]
    return b"\n".join(path.name.encode() + path.read_bytes() for path in files)


ROWS = 5


async def nodes(mesh: Mesh, *names: str) -> list[Party]:
    """Each has rows that are its own alone and rows that all have; columns that nobody may use."""
    made = await mesh.nodes(*names, handshake_seconds=2)
    for party in made:
        own = [canary(party.name, "row", number) for number in range(ROWS)]
        shared = [canary("shared", "row", number) for number in range(3)]
        amount = AMOUNTS.get(party.name, 0)
        text = f"{'-' if amount < 0 else ''}{abs(amount) // 100}.{abs(amount) % 100:02d}"
        lines = [f"{row},{text},{FEATURE},{canary(party.name, 'hidden')}" for row in own + shared]
        path = party.dataset("rows", csv("id,v,x,secret", *lines))
        header = f"id,v,x,{canary(party.name, 'column')}"
        path.write_text(path.read_text().replace("id,v,x,secret", header))
        file = path.rename(path.with_name(f"{canary(party.name, 'file')}.csv"))
        toml = party.home.datasets_toml
        toml.write_text(toml.read_text().replace(path.name, file.name))
        for protocol, columns in (("psi", ()), ("sum", ("v",)), ("score", ("x",))):
            party.allow("rows", protocol, "any", columns=columns)
    return made


MODEL = {
    "bias": 0.5,
    "features": [{"party": "acme", "column": "x", "weight": 3e-7, "clip": [0, 1e6]}],
}
QUERIES: dict[str, tuple[tuple[str, ...], str, bytes]] = {
    "psi": (("bank", "acme"), query("psi", "rows", {"acme": "rows"}), b""),
    "psi-both": (("bank", "acme"), query("psi", "rows", {"acme": "rows"}, to="both"), b""),
    "psi-count": (("bank", "acme"), query("psi", "rows", {"acme": "rows"}, reveal="count"), b""),
    "sum": (
        ("bank", "acme", "nova", "zeta"),
        query("sum", "rows", dict.fromkeys(("acme", "nova", "zeta"), "rows"),
              amount="v", key_bits=2048),
        b"",
    ),
    "score": (
        ("bank", "acme"), query("score", "rows", {"acme": "rows"}, model="m.json"),
        json.dumps(MODEL).encode(),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", QUERIES)
def test_no_record_reaches_another_party_or_a_log(
    name: str, tmp_path: Path, logged: list[str]
) -> None:
    names, text, model = QUERIES[name]

    async def scenario(mesh: Mesh) -> None:
        made = await nodes(mesh, *names)
        done = await ask(made[0], text, model)
        assert done.state == "done", done.message
        for party in made[1:]:
            await party.until(done.job, "done")
        for party in made:
            held = mesh.received(party.name) + kept(party)
            assert len(held) > 1000
            for other in names:
                if other != party.name:
                    assert found(held, other, ROWS) == set(), f"of {other} at {party.name}"
            # Shared rows are known to both; but they do not travel in any plain shape either.
            assert found(mesh.received(party.name), "shared", 3) == set()
            # A party's own state has its own keys alone, and those only in its results.
            everything = "\n".join(logged).encode()
            assert found(everything, party.name, ROWS) == set()
        assert any("done" in line for line in logged)

    run(tmp_path, scenario)


PLANTS: dict[str, Callable[[str], bytes]] = {
    "raw": lambda row: row.encode(),
    "hex": lambda row: row.encode().hex().encode(),
    "hash": lambda row: hashlib.sha256(row.encode()).digest(),
    "utf-16": lambda row: row.encode("utf-16-le"),
    "amount": lambda row: AMOUNTS["acme"].to_bytes(8, "little"),
    "feature": lambda row: np.float64(FEATURE).tobytes(),
}


@pytest.mark.parametrize("shape", PLANTS)
def test_a_planted_leak_is_found(shape: str, tmp_path: Path) -> None:
    async def scenario(mesh: Mesh) -> None:
        bank, _ = await nodes(mesh, "bank", "acme")

        async def plant(passing: Passing) -> list[Any]:
            if passing.content == "frame" and passing.sender == "acme":
                leak = Block(data=b"..." + PLANTS[shape](canary("acme", "row", 2)) + b"...")
                changed = LinkMessage()
                changed.CopyFrom(passing.message)
                changed.frame.payload = leak.SerializeToString()
                return [changed]
            return [passing.message]

        mesh.tamper = plant
        ended = await ask(bank, QUERIES["psi"][1])
        assert ended.exit_code == 4
        assert found(mesh.received("bank"), "acme", ROWS)
        assert not found(mesh.received("acme"), "bank", ROWS)

    run(tmp_path, scenario)


async def _fault(mesh: Mesh, bank: Party, acme: Party, fault: str) -> None:
    """Something goes wrong, on acme's side, at one stage of a query."""
    file = next(acme.home.directory.glob("canary-*.csv"))
    if fault == "a bad amount":
        file.write_text(file.read_text().replace(f",{FEATURE},", ",no-number,", 1))
    elif fault == "a broken line":
        file.write_text(file.read_text() + '"' + canary("acme", "row", 1) + "\n")
    elif fault == "a missing file":
        file.unlink()
    elif fault == "a policy that is none":
        acme.home.policy_toml.write_text(f"[[allow]]\n{canary('acme', 'row')} = 1\n")
    elif fault == "datasets that are none":
        acme.home.datasets_toml.write_text(f'x = "{canary("acme", "row")}"\n')
    elif fault == "a changed file":

        async def change(passing: Passing) -> list[Any]:
            if passing.method == "Start":
                file.write_text(canary("acme", "column") + "\n" + canary("acme", "row") + "\n")
            return [passing.message]

        mesh.tamper = change
    elif fault == "a crash inside":

        def explode(*arguments: Any) -> Any:
            raise RuntimeError(canary("acme", "row"))

        acme.node.offers.all_for = explode  # type: ignore[method-assign]
    elif fault == "a hostile frame":

        async def forge(passing: Passing) -> list[Any]:
            if passing.content == "frame" and passing.to == "acme":
                passing.message.frame.payload = canary("bank", "row").encode()
            return [passing.message]

        mesh.tamper = forge
    elif fault == "a peer's prose":

        async def shout(passing: Passing) -> list[Any]:
            if passing.content == "frame" and passing.to == "bank":
                return [LinkMessage(abort=Abort(code=canary("bank", "row") + " "))]
            return [passing.message]

        mesh.tamper = shout


FAULTS = (
    "a bad amount", "a broken line", "a missing file", "a policy that is none",
    "datasets that are none", "a changed file", "a crash inside", "a hostile frame",
    "a peer's prose",
)  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_at_every_stage_say_nothing_of_records(
    fault: str, tmp_path: Path, logged: list[str]
) -> None:
    async def scenario(mesh: Mesh) -> None:
        bank, acme = await nodes(mesh, "bank", "acme")
        await _fault(mesh, bank, acme, fault)
        name = "score" if fault == "a bad amount" else "psi"
        try:
            job = await bank.ask("submit", *QUERIES[name][1:])
        except NodeError as error:  # refused at submission
            told = str(error)
        else:
            ended = await bank.until(job, *ENDED)
            assert ended.state != "done"
            told = ended.message
        assert told and told.isprintable()
        assert "canary-acme" not in told
        assert found(mesh.received("bank"), "acme", ROWS) == set()
        assert "internal-error" in str(logged) or fault != "a crash inside"

    run(tmp_path, scenario)
    assert [line for line in logged if "canary" in line] == []


def test_an_approvers_reason_and_a_stage_stay_at_home(tmp_path: Path, logged: list[str]) -> None:
    """Free text of an operator is for its own node: neither the peer nor a log repeats it."""

    async def scenario(mesh: Mesh) -> None:
        bank, acme = await nodes(mesh, "bank", "acme")

        async def lose(passing: Passing) -> list[Any]:
            return [] if passing.content == "frame" else [passing.message]

        mesh.tamper = lose
        acme.deny_all()
        acme.allow("rows", "psi", "bank", approval=True)
        job = await bank.ask("submit", QUERIES["psi"][1])
        await acme.until(job, "waiting")
        await acme.ask("deny", job, canary("acme", "row"))
        await bank.end(job)
        acme.deny_all()
        acme.allow("rows", "psi", "bank")
        job = await bank.ask("submit", QUERIES["psi"][1])
        await acme.until(job, RUNNING)
        await asyncio.sleep(0.1)
        await acme.ask("cancel", job)
        await bank.end(job)
        assert found(mesh.received("bank"), "acme", ROWS) == set()
        assert found("\n".join(logged).encode(), "acme", ROWS) == set()

    run(tmp_path, scenario)


def test_log_fields_are_a_fixed_list() -> None:
    assert not {"reason", "text", "message", "key", "row", "value", "file", "path"} & FIELDS
