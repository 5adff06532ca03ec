"""``jointcredit psi | sum | score | run``: ask, follow, and write the result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from parties.cli import following, options, ui
from parties.cli.asking import asking, model_of, query_of, read_query, saved_form, why
from parties.cli.options import example, together
from parties.errors import ConfigError
from parties.outputs import STDOUT, format_of
from parties.requests import Query
from parties.tomlfile import write_atomic

running = together(
    options.node_if_run,
    click.option("--out", metavar="FILE",
                 help="The result: .csv, .json or .parquet, or - for CSV on standard output."),
    click.option("--detach", is_flag=True, help="Print the job's id, and do not wait."),
    click.option("--wait-approval", is_flag=True,
                 help="Wait also while another party's people must say yes (else exit code 6)."),
    options.as_json,
    options.signing,
)  # fmt: skip
saving = click.option(
    "--save", metavar="PLAN.toml", type=options.FILE,
    help="Write the query as a file for `run`; it also runs now if --out or --detach is given.",
)  # fmt: skip


@click.command(
    epilog=example(
        "jointcredit psi --node bank --with acme --mine loans --theirs ledger --out common.csv"
    )
)
@asking("psi")
@running
@saving
def psi(**given: Any) -> None:
    """Which of our identifiers a partner also holds.

    With --reveal count only how many. Rows are written as our own keys, as they stand in our data.
    """
    _ask("psi", given)


@click.command(
    "sum",
    epilog=example(
        "jointcredit sum --node bank --with acme,zeta,nova --keys loans --theirs ledger \\",
        "    --amount amount --out totals.csv",
    ),
)
@asking("sum")
@running
@saving
def sum_(**given: Any) -> None:
    """Partners' totals for each of our keys.

    They add up a column of theirs; nobody sees another's amounts, and totals of fewer
    contributors than --floor are withheld.
    """
    _ask("sum", given)


@click.command(
    epilog=example(
        "jointcredit score --node bank --with insights --mine loans --theirs features \\",
        "    --model model.json --out scores.csv",
    )
)
@asking("score")
@running
@saving
def score(**given: Any) -> None:
    """Score shared rows by our model.

    Its columns stay with the partners, encrypted scores come back; rows that not all partners
    hold are left out.
    """
    _ask("score", given)


@click.command(epilog=example("jointcredit run plan.toml --node bank --out result.parquet"))
@click.argument("plan", metavar="PLAN.toml", type=options.FILE)
@running
def run(plan: Path, **given: Any) -> None:
    """Run a query from a file, such as --save writes."""
    query, text = read_query(plan)
    _check_output(given)
    _submit(query, text, model_of(query, plan.parent), given)


def _ask(family: str, given: dict[str, Any]) -> None:
    query = query_of(family, given)
    content = model_of(query, Path())
    path: Path | None = given["save"]
    if path is not None:
        if not path.parent.is_dir():
            raise ConfigError("no such directory", where=path.parent, remedy="make it first")
        write_atomic(path, saved_form(query, path).to_toml().encode())
        ui.note(f"saved {path}")
        if not (given["out"] or given["detach"]):
            return
    _check_output(given)
    _submit(query, query.to_toml(), content, given)


def _check_output(given: dict[str, Any]) -> None:
    """Before anything is asked: a result that cannot be written must not be computed."""
    if given["directory"] is None:
        raise click.UsageError("Missing option '--node'.")
    if given["detach"]:
        if given["out"]:
            raise click.UsageError("--detach does not wait for a result: use jobs result --out.")
        return
    if not given["out"]:
        raise click.UsageError("Missing option '--out' (or '--detach').")
    if given["out"] == STDOUT and given["as_json"]:
        raise click.UsageError("--json and --out - both take standard output: name a file.")
    format_of(given["out"])


def _submit(query: Query, text: str, model: bytes, given: dict[str, Any]) -> None:
    connection = (given["directory"], given["operator"], given["passphrase_file"])
    with options.connect(*connection) as client:
        job = client.submit(text, model)
        if why(query):
            ui.note(why(query))
        if given["detach"]:
            if given["as_json"]:
                ui.show_json({"job": job})
            else:
                ui.say(job)
            return
        following.finish(
            client, given["directory"], job, given["out"],
            stop_at_approval=not given["wait_approval"], as_json=given["as_json"],
        )  # fmt: skip
