"""Real party nodes on loopback for the length of a benchmark, and what a query costs them.

Every party has a directory of its own with keys, pinned partners, a dataset and a policy, and runs
as a process of its own; nothing is switched off. A query goes in through the querier's operator
socket and comes out as a CSV file, as it does for the command line.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parties.cards import Card
from parties.client import Client
from parties.config import DatasetEntry, add_dataset
from parties.home import Home, init_node
from parties.outputs import write_table
from parties.results import from_arrow
from parties.rules import Rule, add_rule
from parties.store import DONE
from protocols.catalog import checked
from protocols.spec import Cost

START_SECONDS = 60
STOP_SECONDS = 20
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Party:
    """One party, its CSV file and which of its columns others may use. The first is the querier."""

    name: str
    source: Path
    key: str
    columns: tuple[str, ...] = ()
    decimals: int | None = None


@dataclass(frozen=True)
class Query:
    """PLAN.toml without its parties, and the model that goes with it."""

    protocol: str
    options: Mapping[str, str | int]
    model: bytes = b""


@dataclass(frozen=True)
class Usage:
    """Of a process and all that descend from it: CPU seconds so far, and each one's peak RSS."""

    cpu_seconds: float
    peaks: tuple[int, ...]


@dataclass(frozen=True)
class Measured:
    """One query, from its submission to the CSV file. Bytes are messages on all links, each counted
    once; TLS and HTTP/2 add a few in a hundred."""

    seconds: float
    cpu_seconds: Mapping[str, float]
    peaks: Mapping[str, tuple[int, ...]]
    link_bytes: int
    notes: Mapping[str, float]
    estimate: Cost
    output: Path


class Nodes:
    """Nodes that are running."""

    def __init__(
        self, directories: Mapping[str, Path], pids: Mapping[str, int], querier: str
    ) -> None:
        self._directories, self._pids, self._querier = directories, pids, querier

    def ask(self, query: Query, output: Path) -> Measured:
        """Raises ``RuntimeError`` if the query comes to nothing."""
        before = self.usage()
        with ExitStack() as stack:
            clients = {
                name: stack.enter_context(Client.open(directory))
                for name, directory in self._directories.items()
            }
            client = clients[self._querier]
            text = self._text(query)
            began = time.perf_counter()
            job = client.submit(text, query.model)
            *_, last = client.watch(job)
            if last.state != DONE:
                raise RuntimeError(f"{query.protocol}: {last.state}, {last.message}")
            write_table(output, from_arrow(client.result(job)))
            seconds = time.perf_counter() - began
            summaries = [_summary(each, job) for each in clients.values()]
            after = self.usage()
            plan = client.explain(text, query.model)
        spec, params = checked(plan)
        return Measured(
            seconds=seconds,
            cpu_seconds={
                name: after[name].cpu_seconds - before[name].cpu_seconds for name in after
            },
            peaks={name: usage.peaks for name, usage in after.items()},
            link_bytes=sum(
                link["sent"] for summary in summaries for link in summary["traffic"].values()
            ),
            notes=summaries[0]["notes"],
            estimate=spec.cost(plan, params),
            output=output,
        )

    def usage(self) -> dict[str, Usage]:
        return {name: usage_of(pid) for name, pid in self._pids.items()}

    def _text(self, query: Query) -> str:
        lines = [f'protocol = "{query.protocol}"', 'mine = "data"', "", "[theirs]"]
        lines += [f'{name} = "data"' for name in self._directories if name != self._querier]
        lines += ["", "[options]"]
        lines += [
            f'{key} = "{value}"' if isinstance(value, str) else f"{key} = {value}"
            for key, value in query.options.items()
        ]
        return "\n".join(lines) + "\n"


@contextmanager
def running(directory: Path, parties: Sequence[Party], protocol: str) -> Iterator[Nodes]:
    """Nodes for ``parties``, made below ``directory``; ended at the end."""
    cards = {party.name: _make(directory / party.name, party) for party in parties}
    homes = {name: Home.open(directory / name) for name in cards}
    querier = parties[0].name
    for party in parties:
        store = homes[party.name].store()
        for card in cards.values():
            if card.name != party.name:
                store.add(card)
        if party.name != querier:
            allowed = Rule("data", protocol, querier, party.columns, min_cohort=1)
            add_rule(homes[party.name].policy_toml, allowed)
    with ExitStack() as stack:
        pids = {name: stack.enter_context(_serving(home)) for name, home in homes.items()}
        yield Nodes({name: home.directory for name, home in homes.items()}, pids, querier)


def _make(directory: Path, party: Party) -> Card:
    card = init_node(directory, party.name, f"127.0.0.1:{_free_port()}")
    decimals = {} if party.decimals is None else dict.fromkeys(party.columns, party.decimals)
    entry = DatasetEntry(
        "data", str(party.source.resolve()), (party.key,), columns=party.columns, decimals=decimals
    )
    add_dataset(directory / "datasets.toml", entry)
    return card


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def _serving(home: Home) -> Iterator[int]:
    with (home.directory / "node.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "parties.cli", "node", "serve", home.directory],
            stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True,
        )  # fmt: skip
    assert process.stdout is not None
    try:
        if not process.stdout.readline():
            raise RuntimeError(f"a node did not start: {(home.directory / 'node.log').read_text()}")
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def _summary(client: Client, job: str) -> dict[str, Any]:
    """What ``job`` came to at one party; the others end a moment after the querier."""
    *_, last = client.watch(job, START_SECONDS)
    summary: dict[str, Any] = json.loads(last.summary)
    return summary


def usage_of(root: int) -> Usage:
    """From /proc. The time of children that have ended is their parent's."""
    children: dict[int, list[int]] = {}
    ticks: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                # The command's name may hold anything, so count from its closing bracket.
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it has just ended
            children.setdefault(int(fields[1]), []).append(int(entry.name))
            ticks[int(entry.name)] = sum(map(int, fields[11:15]))
    family, peaks, cpu = [root], [], 0
    for pid in family:
        family += children.get(pid, [])
        cpu += ticks.get(pid, 0)
        peaks.append(_peak(pid))
    return Usage(cpu / _TICK, tuple(peaks))


def _peak(pid: int) -> int:
    """Bytes."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:")), 0)
