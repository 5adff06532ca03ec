"""What people see: results and tables on standard output, everything else on standard error.

On a terminal that is rich's tables and bars; elsewhere plain lines, without escape sequences.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

QUIET_SECONDS: Final = 10.0
"""Without a terminal, one stage says how far it is no oftener than this."""


def clean(text: object) -> str:
    """``text`` on one line, safe in a terminal: partners choose some of the words we show."""
    return "".join(c if c.isprintable() else "?" for c in str(text))


def say(text: str) -> None:
    """A line on standard output."""
    click.echo(clean(text))


def note(text: str) -> None:
    """A line on standard error."""
    click.echo(clean(text), err=True)


def text_block(text: str) -> None:
    """Lines on standard output, wrapped to a terminal with their indent kept."""
    console = _console()
    for line in text.splitlines():
        if not console.is_terminal:
            say(line)
            continue
        body = clean(line.lstrip(" "))
        indent = len(line) - len(line.lstrip(" "))
        width = max(20, console.width - indent - 2)
        wrapped = Text(body).wrap(console, width) if body else [Text("")]
        for nth, part in enumerate(wrapped):
            part.rstrip()
            console.print(Text(" " * (indent + 2 * (nth > 0))) + part)


def show_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def show_table(
    columns: Sequence[str], rows: Sequence[Sequence[object]], *, err: bool = False
) -> None:
    """A table; numbers to the right, an empty cell for ``None``."""
    cells = [["" if cell is None else clean(_shown(cell)) for cell in row] for row in rows]
    right = [
        bool(rows) and all(type(row[at]) in (int, float, type(None)) for row in rows)
        for at in range(len(columns))
    ]
    console = _console(err)
    if not console.is_terminal:
        _plain_table(columns, cells, right, err)
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name, is_right in zip(columns, right, strict=True):
        table.add_column(name, justify="right" if is_right else "left", overflow="fold")
    for row in cells:
        table.add_row(*map(Text, row))
    console.print(table)


def show_facts(facts: Sequence[tuple[str, object]], *, err: bool = False) -> None:
    """Names and values, one pair a line; values of ``None`` are left out."""
    told = [(name, clean(_shown(value))) for name, value in facts if value is not None]
    widest = max((len(name) for name, _ in told), default=0)
    for name, value in told:
        click.echo(f"{name:<{widest}}  {value}".rstrip(), err=err)


def bytes_text(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError("unreachable")


def time_text(seconds: float, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """A moment, in local time; empty for 0, which is never."""
    return time.strftime(form, time.localtime(seconds)) if seconds else ""


class JobProgress:
    """A job's stages on standard error: a bar on a terminal, else a line now and then."""

    def __init__(self) -> None:
        console = _console(err=True)
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._last, self._told = "", 0.0
        if console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=24),
                TextColumn("{task.fields[counts]}", markup=False),
                TimeElapsedColumn(),
                console=console,
                transient=True,
            )

    def __enter__(self) -> JobProgress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, stage: str, done: int, total: int) -> None:
        counts = f"{done:,} of {total:,}" if total else ""
        stage = clean(stage)
        if self._bar is None:
            now = time.monotonic()
            if stage != self._last or now - self._told >= QUIET_SECONDS:
                note(f"{stage} {counts}".rstrip())
                self._told = now
        else:
            if stage != self._last:
                if self._task is not None:
                    self._bar.remove_task(self._task)
                self._task = self._bar.add_task(stage, total=total or None, counts=counts)
            if self._task is not None:
                self._bar.update(self._task, completed=done, total=total or None, counts=counts)
        self._last = stage


def _console(err: bool = False) -> Console:
    return Console(stderr=err, highlight=False, markup=False, emoji=False)


def _shown(cell: object) -> str:
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, int):
        return f"{cell:,}"
    if isinstance(cell, tuple | list):
        return ", ".join(map(str, cell))
    return str(cell)


def _plain_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool], err: bool
) -> None:
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    for row in (columns, *rows):
        aligned: list[Any] = [
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(row, widths, right, strict=True)
        ]
        click.echo("  ".join(aligned).rstrip(), err=err)
