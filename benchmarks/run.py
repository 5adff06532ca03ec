"""Measures the protocols through real nodes, or the kernels alone: JSON lines on standard output.

python benchmarks/run.py protocols --only psi --sizes 1000,100000
python benchmarks/run.py kernels --quick --plot kernels.png
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kernels
import nodes
import table
from workloads import WORKLOADS

SIZES = {
    "psi": (1_000, 10_000, 100_000),
    "sum": (1_000, 5_000, 20_000),
    "score": (1_000, 10_000, 30_000),
}
LEAST_ROWS = 100
RUNS = 3
"""The first of them finds nodes that have just started."""


def protocols(names: list[str], sizes: list[int] | None, quick: bool) -> Iterator[dict[str, Any]]:
    """One record for each query that was run."""
    for name in names:
        for rows in sizes or (SIZES[name][:1] if quick else SIZES[name]):
            with tempfile.TemporaryDirectory(prefix="jointcredit-bench-") as temporary:
                yield from _queries(name, rows, Path(temporary), 1 if quick else RUNS)


def _queries(name: str, rows: int, directory: Path, runs: int) -> Iterator[dict[str, Any]]:
    workload = WORKLOADS[name](directory, rows)
    with nodes.running(directory / "nodes", workload.parties, name) as network:
        idle = network.usage()
        for run in range(runs):
            _say(f"{name}: {rows:,} rows, {len(workload.parties)} nodes, run {run + 1} of {runs}")
            measured = network.ask(workload.query, directory / "result.csv")
            workload.check(measured.output)
            cpu = sum(measured.cpu_seconds.values())
            yield {
                "benchmark": "protocols",
                "protocol": name,
                "rows": rows,
                "parties": len(workload.parties),
                "run": "warm" if run else "cold",
                "seconds": round(measured.seconds, 3),
                "cpu_seconds": round(cpu, 2),
                "cpu_seconds_by_party": {
                    party: round(seconds, 2) for party, seconds in measured.cpu_seconds.items()
                },
                "bytes": measured.link_bytes,
                "bytes_an_item": round(measured.link_bytes / workload.items, 1),
                "peak_mb_by_party": {
                    party: _mb(sum(peaks)) for party, peaks in measured.peaks.items()
                },
                "largest_process_mb": _mb(max(max(p) for p in measured.peaks.values())),
                "idle_node_mb": _mb(max(sum(usage.peaks) for usage in idle.values())),
                "estimated_cpu_seconds": round(measured.estimate.core_seconds, 2),
                "estimated_bytes": measured.estimate.bytes,
                "checked": True,
            }


def _mb(octets: int) -> float:
    return round(octets / 1e6, 1)


def _machine() -> dict[str, Any]:
    return {
        "cores": len(os.sched_getaffinity(0)),
        "machine": platform.machine(),
        "python": platform.python_version(),
    }


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _names(text: str) -> list[str]:
    names = text.split(",")
    if not set(names) <= set(WORKLOADS):
        raise argparse.ArgumentTypeError(f"of {', '.join(WORKLOADS)}, with commas between")
    return names


def _sizes(text: str) -> list[int]:
    sizes = [int(part) for part in text.split(",")]
    if not all(size >= LEAST_ROWS for size in sizes):
        raise argparse.ArgumentTypeError(f"a size is at least {LEAST_ROWS} rows")
    return sizes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", nargs="?", choices=("protocols", "kernels"), default="protocols")
    parser.add_argument(
        "--only",
        type=_names,
        metavar="NAMES",
        default=list(WORKLOADS),
        help=f"of {', '.join(WORKLOADS)}",
    )
    parser.add_argument("--sizes", type=_sizes, metavar="ROWS", help="rows a party")
    parser.add_argument("--quick", action="store_true", help="the smallest size, once")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="such as benchmark.png")
    arguments = parser.parse_args()
    if arguments.what == "kernels":
        found = kernels.measured(arguments.quick)
    else:
        found = protocols(arguments.only, arguments.sizes, arguments.quick)
    records = []
    for record in found:
        records.append(record | _machine())
        print(json.dumps(records[-1]), flush=True)
    _say("\n" + table.as_table(records))
    if arguments.plot:
        table.plot(records, arguments.plot)


if __name__ == "__main__":
    main()
