"""``jointcredit demo``: the whole joint credit check on this machine, with real data."""

from __future__ import annotations

import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from parties.cli import demo_report, options, ui
from parties.cli.options import example
from parties.client import NodeError
from parties.demo.run import run
from parties.demo.scene import find_example
from parties.demo.summary import SUMMARY_JSON, write_summary
from parties.errors import ConfigError
from parties.status import Exit
from parties.store import ENDED, WAITING

MOST_FAULTS: Final = 20
"""Named one by one; ``summary.json`` has all of them."""


@click.command("demo", epilog=example("jointcredit demo --dir demo"))
@click.option(
    "--dir",
    "directory",
    metavar="DIR",
    type=options.FILE,
    help="Keep nodes, results, logs and summary.json there; it must be empty.",
)
@click.option(
    "--example",
    "data",
    metavar="DIR",
    type=options.FILE,
    help="The folder joint_credit_check of the repository's examples.",
)
@options.as_json
def command(directory: Path | None, data: Path | None, as_json: bool) -> None:
    """A joint credit check between seven parties on this machine, with real data.

    A bank, five enterprises and a data partner, each with a node, keys, data and a policy of its
    own. Every answer is compared with the same computed in the clear: exit code 1 if one differs.
    Without --dir everything is removed at the end, unless something failed.
    """
    found = find_example(data)
    with _place(directory) as place:
        with _Stages() as stages:
            outcome = run(place.directory, found, stages.show)
        summary = write_summary(outcome)
        place.keep |= not outcome.passed
    if as_json:
        ui.show_json(summary)
    else:
        demo_report.show(outcome, kept=place.keep)
    faults = [f"{check.name}: {fault}" for check in outcome.checks for fault in check.faults]
    if faults:
        for fault in faults[:MOST_FAULTS]:
            ui.note(f"wrong: {fault}")
        text = f"{len(faults)} answers are wrong, all in {place.directory / SUMMARY_JSON}"
        raise NodeError("demo-wrong", Exit.OTHER, text)


@dataclass
class _Place:
    directory: Path
    keep: bool


@contextmanager
def _place(given: Path | None) -> Iterator[_Place]:
    """``given``, or a temporary directory, which goes unless something fails or ``keep`` is set.

    To be told to stop is no failure.
    """
    directory = _made(given) if given else Path(tempfile.mkdtemp(prefix="jointcredit-demo-"))
    place = _Place(directory, keep=given is not None)
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield place
    except Exception:
        place.keep = True
        ui.note(f"kept: {directory}")
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
        if not place.keep:
            shutil.rmtree(directory)


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


def _made(directory: Path) -> Path:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        empty = not any(directory.iterdir())
    except OSError as error:
        raise ConfigError(f"cannot be used: {error.strerror}", where=directory) from None
    if not empty:
        raise ConfigError("is not empty", where=directory, remedy="name another with --dir")
    return directory.resolve()


class _Stages:
    """How far every question is, on standard error: bars on a terminal, else a line at its end."""

    def __init__(self) -> None:
        console = Console(stderr=True, highlight=False, markup=False, emoji=False)
        self._began = time.monotonic()
        self._tasks: dict[str, TaskID] = {}
        self._bars: Progress | None = None
        if console.is_terminal:
            self._bars = Progress(
                TextColumn("{task.description:<14}", markup=False),
                BarColumn(bar_width=24),
                TextColumn("{task.fields[stage]}", markup=False),
                TimeElapsedColumn(),
                console=console,
            )

    def __enter__(self) -> _Stages:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def show(self, label: str, stage: str, done: int, total: int) -> None:
        """Called from many threads; ``stage`` is for people, ``done`` of ``total`` its steps."""
        ended = stage in ENDED
        if self._bars is None:
            if ended:
                ui.note(f"{label}: {stage} after {time.monotonic() - self._began:.1f} s")
            return
        if label not in self._tasks:
            name = ui.clean(label)
            self._tasks[label] = self._bars.add_task(name, start=False, total=None, stage="")
        task = self._tasks[label]
        if stage != WAITING and not self._bars.tasks[task].started:
            self._bars.start_task(task)
        # A full bar's clock stops: that is for the end, not for the last step of a stage.
        reached = total if ended else max(0, done - 1)
        counts = "" if ended or not total else f" {done:,} of {total:,}"
        self._bars.update(
            task, completed=reached, total=total or None, stage=ui.clean(stage) + counts
        )
