"""Real nodes for tests: ``jointcredit node serve`` processes on the loopback address.

parties = make_nodes(tmp_path, "bank", "acme")      # each trusts the other; nothing runs yet
parties["acme"].dataset("ledger", "supplier,amount\\n...", keys=("supplier",))
parties["acme"].allow(Rule("ledger", "psi", "bank"))
with running(parties.values()):
    done = cli("psi", "--node", parties["bank"].directory, ...)
"""

from __future__ import annotations

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from parties.cli.main import cli as command
from parties.client import Client
from parties.config import DatasetEntry, add_dataset
from parties.home import Home, init_node
from parties.rpc.v1.operator_pb2 import JobResponse
from parties.rules import Rule, add_rule

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60.0
STOP_SECONDS = 30.0


@dataclass(frozen=True)
class Done:
    """What a command left: exit code, standard output and standard error."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def cli(*arguments: object, code: int | None = 0, stdin: str | None = None) -> Done:
    """``jointcredit ARGUMENTS`` in this process; its exit code must be ``code`` (``None``: any)."""
    runner = CliRunner()
    result = runner.invoke(command, [str(each) for each in arguments], input=stdin)
    done = Done(result.exit_code, result.stdout, result.stderr)
    assert code is None or done.code == code, f"exit {done.code}: {done.out}\n{done.err}"
    return done


class Node:
    """A party's node; :meth:`start` and :meth:`stop` as often as a test likes."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.directory = home.directory
        self.name = home.settings().name
        self.log_file = home.directory.parent / f"{self.name}.log"
        self._process: subprocess.Popen[str] | None = None

    def dataset(self, name: str, csv: str, keys: tuple[str, ...], **more: Any) -> Path:
        """A CSV file in the node's directory, listed as a dataset. ``more``: see DatasetEntry."""
        path = self.directory / f"{name}.csv"
        path.write_text(csv, "utf-8")
        add_dataset(self.home.datasets_toml, DatasetEntry(name, path.name, keys, **more))
        return path

    def allow(self, rule: Rule) -> None:
        add_rule(self.home.policy_toml, rule)

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, **environment: str) -> None:
        """Starts the node without waiting for it; variables are added to its environment."""
        assert not self.is_running, f"{self.name} runs already"
        clean = {k: v for k, v in os.environ.items() if not k.startswith("JOINTCREDIT_")}
        with self.log_file.open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "parties.cli", "node", "serve", str(self.directory)],
                cwd=ROOT,
                env={**clean, **environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # its workers are ended with it, whatever happens
            )

    def wait_ready(self, seconds: float = START_SECONDS) -> str:
        """The ready line; fails with the node's last words if it ends or takes too long."""
        assert self._process is not None and self._process.stdout is not None
        lines: queue.Queue[str] = queue.Queue()
        stdout = self._process.stdout
        threading.Thread(target=lambda: lines.put(stdout.readline()), daemon=True).start()
        try:
            line = lines.get(timeout=seconds)
        except queue.Empty:
            line = ""
        assert " ready on " in line, f"{self.name} is not ready: {self.log_file.read_text()}"
        return line.rstrip("\n")

    def wait_end(self, seconds: float = START_SECONDS) -> int:
        """The exit code of a node that is to end by itself."""
        assert self._process is not None
        try:
            return self._process.wait(seconds)
        finally:
            self.kill()

    def stop(self, seconds: float = STOP_SECONDS) -> int:
        """SIGTERM, and the exit code; a node that does not go is killed, and the test fails."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not stop: {self.log_file.read_text()}") from None
        finally:
            self.kill()

    def kill(self) -> None:
        """SIGKILL for the node and its workers, as a power cut would."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process = None

    def logs(self) -> list[dict[str, Any]]:
        """The log's events so far, from every start."""
        return [json.loads(line) for line in self.log_file.read_text().splitlines()]

    def client(self) -> Client:
        return Client.open(self.directory)

    def job(self, job: str) -> JobResponse | None:
        """The job as this node knows it; ``None`` if it has not heard of it (yet)."""
        with self.client() as client:
            return next((found for found in client.jobs() if found.job == job), None)

    def wait_state(self, job: str, *states: str, seconds: float = 20.0) -> JobResponse:
        """``job`` once it is in one of these states; fails if that takes too long."""
        until = time.monotonic() + seconds
        while (found := self.job(job)) is None or found.state not in states:
            assert time.monotonic() < until, f"{self.name}: job {job} is {found and found.state}"
            time.sleep(0.05)
        return found


def make_nodes(directory: Path, *names: str, workers: int = 1, **settings: int) -> dict[str, Node]:
    """A node for each name below ``directory``, all trusting all, with nothing allowed.

    ``settings`` go into ``[limits]`` of node.toml: ``handshake_seconds=2``.
    """
    homes = {name: Home(directory / name) for name in names}
    cards = {}
    for (name, home), port in zip(homes.items(), free_ports(len(names)), strict=True):
        cards[name] = init_node(home.directory, name, f"127.0.0.1:{port}")
        lines = home.node_toml.read_text().splitlines()
        changed = {"workers": workers, **settings}
        home.node_toml.write_text("\n".join(_changed(line, changed) for line in lines) + "\n")
    for name, home in homes.items():
        store = home.store()
        for other, card in cards.items():
            if other != name:
                store.add(card)
    return {name: Node(home) for name, home in homes.items()}


def _changed(line: str, settings: dict[str, int]) -> str:
    key = line.split(" =")[0]
    return f"{key} = {settings[key]}" if key in settings else line


def free_ports(count: int) -> list[int]:
    """Ports of the loopback address that nobody listens on just now."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


@contextmanager
def running(nodes: Iterable[Node]) -> Iterator[None]:
    """Starts them side by side, waits until all are ready, and leaves none behind."""
    started: Collection[Node] = list(nodes)
    try:
        for node in started:
            node.start()
        for node in started:
            node.wait_ready()
        yield
    finally:
        for node in started:
            if node.is_running:
                assert node._process is not None
                node._process.send_signal(signal.SIGTERM)
        until = time.monotonic() + STOP_SECONDS
        for node in started:
            while node.is_running and time.monotonic() < until:
                time.sleep(0.02)
            node.kill()
