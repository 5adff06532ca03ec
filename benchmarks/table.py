"""Records as a table for people, and as a plot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

Record = dict[str, Any]
Rows = list[tuple[str, ...]]


def as_table(records: Sequence[Record]) -> str:
    """One line a record, numbers to the right."""
    kernels = bool(records) and records[0]["benchmark"] == "kernels"
    rows = _kernel_rows(records) if kernels else _protocol_rows(records)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = zip(row, widths, strict=True)
        first = 2 if kernels else 1
        lines.append(
            "  ".join(
                cell.ljust(width) if index < first else cell.rjust(width)
                for index, (cell, width) in enumerate(cells)
            ).rstrip()
        )
    return "\n".join(lines)


def _kernel_rows(records: Sequence[Record]) -> Rows:
    rows: Rows = [("kernel", "item", "µs an item", "baseline takes", "baseline")]
    for r in records:
        ratio = "" if r["ratio"] is None else f"{r['ratio']:,.2f} times"
        microseconds = f"{r['microseconds']:,.3f}"
        rows.append((r["kernel"], r["item"], microseconds, ratio, r["baseline"] or ""))
    return rows


def _protocol_rows(records: Sequence[Record]) -> Rows:
    rows: Rows = [
        ("protocol", "parties", "rows", "nodes", "seconds", "CPU s", "estimated", "MB sent",
         "bytes an item", "largest process")
    ]  # fmt: skip
    for r in records:
        rows.append((
            r["protocol"], str(r["parties"]), f"{r['rows']:,}", r["run"], f"{r['seconds']:.2f}",
            f"{r['cpu_seconds']:.2f}", f"{r['estimated_cpu_seconds']:.2f}",
            f"{r['bytes'] / 1e6:.2f}", f"{r['bytes_an_item']:,.1f}",
            f"{r['largest_process_mb']:.0f} MB",
        ))  # fmt: skip
    return rows


def plot(records: Sequence[Record], path: Path) -> None:
    """Seconds and memory by rows, or kernels beside their baselines."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 4.2), layout="constrained")
    if records[0]["benchmark"] == "kernels":
        _plot_kernels(records, figure)
    else:
        _plot_protocols(records, figure)
    figure.savefig(path, dpi=150)


def _plot_protocols(records: Sequence[Record], figure: Any) -> None:
    time, memory = figure.subplots(1, 2)
    for index, name in enumerate(dict.fromkeys(r["protocol"] for r in records)):
        for run, style in (("cold", "o-"), ("warm", "o--")):
            found = [r for r in records if r["protocol"] == name and r["run"] == run]
            best = {
                rows: min((r for r in found if r["rows"] == rows), key=lambda r: r["seconds"])
                for rows in sorted({r["rows"] for r in found})
            }
            label = f"{name}, nodes {'just started' if run == 'cold' else 'warm'}"
            seconds = [r["seconds"] for r in best.values()]
            time.plot(list(best), seconds, style, color=f"C{index}", label=label)
            if run == "cold":
                peaks = [r["largest_process_mb"] for r in best.values()]
                memory.plot(list(best), peaks, style, color=f"C{index}", label=name)
    time.set(xscale="log", yscale="log", xlabel="rows a party", ylabel="seconds, CSV to CSV")
    memory.set(xscale="log", xlabel="rows a party", ylabel="MB, largest process")
    memory.margins(y=0.1)
    memory.set_ylim(bottom=0)
    for axes in (time, memory):
        axes.grid(alpha=0.3, which="both")
        axes.legend(fontsize=8)


def _plot_kernels(records: Sequence[Record], figure: Any) -> None:
    found = [r for r in records if r["ratio"] is not None][::-1]
    axes = figure.subplots()
    ratios = [r["ratio"] for r in found]
    bars = axes.barh([r["kernel"] for r in found], [ratio - 1 for ratio in ratios], left=1.0)
    axes.bar_label(
        bars,
        [f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.2g}" for ratio in ratios],
        fontsize=8,
        padding=3,
    )
    axes.axvline(1.0, color="black", linewidth=0.8)
    axes.set(xscale="log", xlabel="how many times as long the baseline takes")
    axes.margins(x=0.15)
    axes.grid(alpha=0.3, axis="x")
