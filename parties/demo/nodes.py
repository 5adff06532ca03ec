"""The parties' nodes as processes of this machine: made, started together, stopped together."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from parties.cards import Card
from parties.client import NodeError
from parties.config import add_dataset
from parties.demo.scene import Actor
from parties.home import Home, init_node
from parties.rules import add_rule
from parties.status import Exit

START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 20.0
"""A node lets its sessions end for up to 10 seconds before it goes."""


def make_nodes(actors: Sequence[Actor], example: Path, directory: Path) -> dict[str, Home]:
    """One node directory a party, below ``directory``, on free ports of the loopback address."""
    homes: dict[str, Home] = {}
    cards: dict[str, Card] = {}
    for actor, port in zip(actors, _free_ports(len(actors)), strict=True):
        home = Home(directory / actor.name)
        cards[actor.name] = init_node(home.directory, actor.name, f"127.0.0.1:{port}")
        homes[actor.name] = home
        settings = home.node_toml.read_text("utf-8")
        home.node_toml.write_text(
            settings.replace("workers = 0", f"workers = {actor.workers}"), "utf-8"
        )
        for name in actor.files:
            shutil.copyfile(example / "data" / actor.name / name, home.directory / name)
        for entry in actor.datasets:
            add_dataset(home.datasets_toml, entry)
        for rule in actor.rules:
            add_rule(home.policy_toml, rule)
    for actor in actors:
        store = homes[actor.name].store()
        for name in actor.trusts:
            store.add(cards[name])
    return homes


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on just now; all held at a time, so that they differ."""
    with ExitStack() as held:
        ports = []
        for _ in range(count):
            probe = held.enter_context(socket.socket())
            probe.bind(("127.0.0.1", 0))
            ports.append(int(probe.getsockname()[1]))
    return ports


class _Process:
    """One ``jointcredit node serve``; its log goes to a file."""

    def __init__(self, home: Home, log: Path) -> None:
        self.name, self._log = home.directory.name, log
        # What is set for our own shell (a passphrase, an operator) is not meant for these nodes.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("JOINTCREDIT_")}
        with log.open("wb") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "parties.cli", "node", "serve", str(home.directory)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=environment,
                # A terminal's interrupt is for us, who stop the nodes one and all.
                start_new_session=True,
            )
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if b" ready on " in line:
                self._ready.set()

    def wait_ready(self, until: float) -> None:
        """Raises ``NodeError`` with the log's last line if it ends, or takes too long."""
        while not self._ready.wait(0.05):
            if self._process.poll() is not None:
                raise self._failed("did not start")
            if time.monotonic() > until:
                raise self._failed("is not ready in time")

    def _failed(self, how: str) -> NodeError:
        lines = self._log.read_text("utf-8", "replace").strip().splitlines()
        last = lines[-1] if lines else "it is empty"
        return NodeError("node-failed", Exit.OTHER, f"node {self.name} {how}; its log: {last}")

    def terminate(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def reap(self, until: float) -> int:
        """Its exit code; it is killed if it does not go by itself."""
        try:
            self._process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
        code = self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()
        return code


class Nodes:
    """The running nodes."""

    def __init__(self, processes: Sequence[_Process]) -> None:
        self._processes = processes

    def peak_memory(self) -> dict[str, int | None]:
        """Bytes by party: the most that its processes held, each at its own time, added up.

        ``None`` where the system does not tell (it does on Linux).
        """
        return {process.name: peak_memory(process.pid) for process in self._processes}

    def terminate(self) -> None:
        """Tells all to stop, and does not wait."""
        for process in self._processes:
            process.terminate()


@contextmanager
def running(homes: Sequence[Home], logs: Path, on_ready: Callable[[str], None]) -> Iterator[Nodes]:
    """Starts the nodes, all at a time, and stops them whatever happens inside."""
    processes: list[_Process] = []
    try:
        for home in homes:
            processes.append(_Process(home, logs / f"{home.directory.name}.log"))
        until = time.monotonic() + START_SECONDS
        for process in processes:
            process.wait_ready(until)
            on_ready(process.name)
        yield Nodes(processes)
    finally:
        _stop(processes)


def _stop(processes: Sequence[_Process]) -> None:
    """A second interrupt must not leave half of them behind."""
    in_main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, signal.SIG_IGN) if in_main else None
    try:
        for process in processes:
            process.terminate()
        until = time.monotonic() + STOP_SECONDS
        for process in processes:
            process.reap(until)
    finally:
        if in_main:
            signal.signal(signal.SIGINT, before)


def peak_memory(pid: int) -> int | None:
    """Of a process and its children, from ``/proc``."""
    try:
        folder = Path("/proc", str(pid))
        children = (folder / "task" / str(pid) / "children").read_text().split()
        lines = (folder / "status").read_text().splitlines()
    except OSError:
        return None
    own = next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM")), 0)
    return own + sum(peak_memory(int(child)) or 0 for child in children)
