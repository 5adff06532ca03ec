"""``jointcredit bench``: the measurements of the source checkout, run as they stand there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click

from parties.cli import options
from parties.cli.options import example
from parties.errors import ConfigError

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "run.py"


@click.command(
    "bench",
    epilog=example(
        "jointcredit bench --only psi --sizes 1000,100000 --plot psi.png",
        "jointcredit bench kernels --quick > kernels.jsonl",
    ),
)
@click.argument("what", type=click.Choice(("protocols", "kernels")), default="protocols")
@click.option("--only", metavar="NAMES", help="Of psi, sum and score, with commas between.")
@click.option("--sizes", metavar="ROWS", help="Rows a party, with commas between.")
@click.option("--quick", is_flag=True, help="The smallest size, once.")
@click.option("--plot", metavar="FILE", type=options.FILE, help="Draws what was measured.")
def command(what: str, only: str | None, sizes: str | None, quick: bool, plot: Path | None) -> int:
    """Measure the protocols between real nodes on this machine, or the kernels alone.

    JSON lines on standard output, progress and a table on standard error. Every result is checked
    against the plaintext computation. Needs a clone: the measurements are not in the package.
    """
    if not SCRIPT.is_file():
        raise ConfigError("benchmarks/run.py is not here", remedy="run bench in a clone")
    arguments = [what]
    for name, value in (("--only", only), ("--sizes", sizes), ("--plot", plot)):
        arguments += [] if value is None else [name, str(value)]
    arguments += ["--quick"] * quick
    return subprocess.run([sys.executable, SCRIPT, *arguments], check=False).returncode
