"""Nodes as processes that are killed, stopped, terminated and started again, mid-session."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from parties import tls
from parties.client import NodeError
from parties.results import from_arrow
from parties.rules import Rule
from parties.store import ENDED, RUNNING
from tests.parties.mesh import Mesh, csv, impatient, query, run
from tests.parties.nodes import Node, make_nodes, running

MANY = 20_000
LONG = query("psi", "many", {"acme": "many"})
SHORT = query("psi", "few", {"acme": "few"})
SUM = query("sum", "many", {"acme": "many", "nova": "many"}, amount="v", floor=2, key_bits=2048)
MOST_SECONDS = 30.0


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Node]]:
    parties = make_nodes(
        tmp_path_factory.mktemp("nodes"), "bank", "acme", "nova", handshake_seconds=1
    )
    many = csv("id,v", *(f"supplier-{row},{row}" for row in range(MANY)))
    for name, party in parties.items():
        party.dataset("many", many, ("id",))
        party.dataset("few", csv("id", "a", "b"), ("id",))
        if name != "bank":
            party.allow(Rule("few", "psi", "bank"))
            party.allow(Rule("many", "psi", "bank"))
            party.allow(Rule("many", "sum", "bank", columns=("v",), min_cohort=2))
    with running(parties.values()):
        yield parties


def submit(node: Node, text: str) -> str:
    with node.client() as client:
        return client.submit(text)


def children(pid: int) -> set[int]:
    """Its processes now, and theirs."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        if int(fields[1]) == pid:
            child = int(stat.parent.name)
            found |= {child, *children(child)}
    return found


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def wait_for(what: Any, seconds: float = MOST_SECONDS) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


def raises(call: Callable[[], Any]) -> bool:
    try:
        call()
    except NodeError:
        return True
    return False


def pid_of(node: Node) -> int:
    assert node._process is not None
    return node._process.pid


def kill_alone(node: Node) -> set[int]:
    """SIGKILL to the daemon and to nobody else; the processes that it had."""
    pid = pid_of(node)
    workers = children(pid)
    assert workers
    os.kill(pid, signal.SIGKILL)
    assert node._process is not None
    node._process.wait()
    return workers


def works(nodes: dict[str, Node]) -> None:
    """A new query runs through and is right, as soon as the nodes have noticed each other."""

    def told() -> bool:
        with nodes["bank"].client() as client:
            return bool(client.partner("acme").datasets)

    wait_for(lambda: not raises(told), 5)
    job = submit(nodes["bank"], SHORT)
    nodes["bank"].wait_state(job, "done")
    with nodes["bank"].client() as client:
        assert from_arrow(client.result(job)) == {"id": ["a", "b"]}


@pytest.mark.parametrize(
    ("victim", "text", "stage"),
    [("acme", LONG, "points"), ("bank", LONG, "matching"), ("nova", SUM, "")],
    ids=["holder", "querier", "contributor"],
)
def test_a_node_that_is_killed_leaves_clean_ends(
    victim: str, text: str, stage: str, nodes: dict[str, Node]
) -> None:
    members = ["bank", "acme"] + ["nova"] * (text == SUM)
    job = submit(nodes["bank"], text)
    for name in members:
        nodes[name].wait_state(job, RUNNING)

    def there() -> bool:
        seen = nodes[victim].job(job)
        assert seen.state == RUNNING, f"too quick to be caught: {seen.state} {seen.message}"
        return bool(children(pid_of(nodes[victim])) and (seen.stage == stage or not stage))

    wait_for(there)
    workers = kill_alone(nodes[victim])

    for name in members:
        if name == victim:
            continue
        ended = nodes[name].wait_state(job, *ENDED, seconds=MOST_SECONDS)
        assert ended.code == "link-lost" and ended.exit_code == 5, ended
        # Another survivor may have told of it first.
        assert ended.message.partition(":")[0].split()[0] in set(members) - {name}
        assert ended.message.endswith("run the query again") or "ended the session" in ended.message
        assert not list(nodes[name].home.state.glob(f"results/{job}*"))
    wait_for(lambda: not any(alive(pid) for pid in workers))

    nodes[victim].kill()
    nodes[victim].start()
    nodes[victim].wait_ready()
    ended = nodes[victim].job(job)
    assert (ended.state, ended.code, ended.exit_code) == ("cancelled", "node-restarted", 5)
    assert "submit it again" in ended.message
    assert not list(nodes[victim].home.state.glob(f"results/{job}*"))
    works(nodes)


def test_a_node_that_is_terminated_lets_its_session_end(nodes: dict[str, Node]) -> None:
    bank, acme = nodes["bank"], nodes["acme"]
    job = submit(bank, SHORT.replace("few", "many"))
    acme.wait_state(job, RUNNING)
    assert acme.stop() == 0
    bank.wait_state(job, "done")
    with bank.client() as client:
        assert len(from_arrow(client.result(job))["id"]) == MANY
    acme.start()
    acme.wait_ready()
    assert acme.job(job).state == "done"
    works(nodes)


def test_nodes_leave_nothing_behind_that_says_more_than_it_should(nodes: dict[str, Node]) -> None:
    """After all of the above: every log line is one JSON object without a record in it."""
    works(nodes)
    for name, node in nodes.items():
        text = node.log_file.read_text()
        assert "supplier-" not in text, name
        for line in text.splitlines():
            # What Python's own helper process says of a node that was killed.
            if "resource_tracker" not in line:
                assert {"time", "level", "event"} <= json.loads(line).keys()


def test_a_peer_that_stands_still_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nodes: dict[str, Node]
) -> None:
    """SIGSTOP: its kernel still takes bytes, and nothing ever answers."""
    impatient(monkeypatch)
    quick = {"grpc.keepalive_time_ms": 1000, "grpc.http2.ping_timeout_ms": 1000}
    monkeypatch.setattr(tls, "CHANNEL_OPTIONS", [*{**dict(tls.CHANNEL_OPTIONS), **quick}.items()])
    acme = nodes["acme"]
    seconds = time.monotonic()

    async def scenario(mesh: Mesh) -> None:
        (bank,) = await mesh.nodes("other", handshake_seconds=1)
        bank.dataset("many", csv("id,v", *(f"supplier-{row},1" for row in range(MANY))))
        bank.node.trust.add(acme.home.card())
        acme.home.store().add(bank.home.card())
        acme.allow(Rule("many", "psi", "other"))
        job = await bank.ask("submit", LONG)
        while bank.node.progress_of(job).stage != "matching":  # it has been heard from
            assert bank.node.store.get(job).state not in ENDED  # type: ignore[union-attr]
            await asyncio.sleep(0.01)
        os.kill(pid_of(acme), signal.SIGSTOP)
        try:
            ended = await bank.end(job)
        finally:
            os.kill(pid_of(acme), signal.SIGCONT)
        assert (ended.state, ended.code, ended.exit_code) == ("failed", "link-lost", 5)
        # Awake again, it hears how that session ended, or finds nobody there: it goes on.
        told = acme.wait_state(job, *ENDED)
        assert told.state in ("failed", "cancelled") and told.exit_code == 5

    run(tmp_path, scenario)
    assert time.monotonic() - seconds < MOST_SECONDS
