"""The README's walk by hand, run literally, and its commands held against the command line."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from parties.cli.main import cli
from tests.parties.nodes import free_ports

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
BLOCK = re.compile(r"<!-- walk ?(\d*) -->\n```console\n(.*?)```", re.S)

# What differs from run to run: fingerprints, job ids, dates, durations, sizes, the ports of a test.
VOLATILE = (
    (re.compile(r"\b[0-9a-f]{4}(-[0-9a-f]{4}){5}\b"), "FINGERPRINT"),
    (re.compile(r"\b[0-9a-f]{16}\b"), "JOB"),
    (re.compile(r"\b20\d\d-\d\d-\d\d\b"), "DATE"),
    (re.compile(r"127\.0\.0\.1:\d+ *"), "ADDRESS "),
    (re.compile(r"seconds +[\d.]+"), "SECONDS"),
    (re.compile(r"[\d.]+ k?B (sent|received)"), "SIZE"),
    (re.compile(r"endpoint +"), "endpoint "),
)


def settled(text: str) -> list[str]:
    for pattern, word in VOLATILE:
        text = pattern.sub(word, text)
    lines = [line.rstrip() for line in text.splitlines()]
    # Progress is shown at a pace: which of its lines appear depends on the machine.
    return [line for line in lines if not re.match(r"psi\.ecdh: ", line)]


class Terminal:
    """A shell in a folder of its own, as far as the walk needs one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._servers: list[subprocess.Popen[bytes]] = []
        self._environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "COLUMNS": "200",
        }

    def run(self, command: str, code: int) -> str:
        """What a person sees: both streams in one, in order."""
        if command.endswith("&"):
            return self._start(command.removesuffix("&").strip())
        done = subprocess.run(
            command,
            shell=True,
            cwd=self._folder,
            env=self._environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, done.stdout
        return done.stdout

    def _start(self, command: str) -> str:
        """A server in the background: what it prints until it is ready."""
        ready = self._folder / f"ready-{len(self._servers)}"
        with ready.open("w") as out:
            server = subprocess.Popen(
                f"exec {command}", shell=True, cwd=self._folder, env=self._environment, stdout=out
            )
        self._servers.append(server)
        deadline = time.monotonic() + 30
        while not ready.read_text().endswith("\n"):
            assert time.monotonic() < deadline and server.poll() is None, "the node did not start"
            time.sleep(0.05)
        return ready.read_text()

    def close(self) -> None:
        for server in self._servers:
            server.terminate()
        codes = [server.wait(timeout=20) for server in self._servers]
        assert not any(codes), "a node told to stop exits with 0"


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    shutil.copytree(ROOT / "examples" / "two_nodes", tmp_path / "examples" / "two_nodes")
    shell = Terminal(tmp_path)
    yield shell
    shell.close()


def test_the_walk_by_hand_prints_what_the_readme_says(terminal: Terminal) -> None:
    one, two = free_ports(2)
    blocks = BLOCK.findall(README)
    assert sum(text.count("\n$ ") + text.startswith("$ ") for _, text in blocks) >= 10
    for code, text in blocks:
        text = text.replace("127.0.0.1:7001", f"127.0.0.1:{one}")
        text = text.replace("127.0.0.1:7002", f"127.0.0.1:{two}")
        for part in re.split(r"^\$ ", text, flags=re.M)[1:]:
            command, _, expected = part.partition("\n")
            printed = terminal.run(command, int(code or 0))
            assert settled(printed) == settled(expected), command


def test_every_command_the_readme_names_exists_and_no_other() -> None:
    table = README[README.index("## Commands") : README.index("Exit codes:")]
    for cell in re.findall(r"^\| (.+?) \| ", table, flags=re.M)[1:]:
        for code in re.findall(r"`([^`]+)`", cell):
            words = code.replace(",", " ").split()
            group = cli.commands.get(words[0])
            assert group is not None, code
            subcommands = getattr(group, "commands", {})
            if subcommands:
                assert set(words[1:]) == set(subcommands), code
    named = set(re.findall(r"`([a-z]+)", table))
    assert set(cli.commands) <= named
