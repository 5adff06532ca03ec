"""``jointcredit jobs``: follow queries, ours and those that others put to us."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from parties.cli import following, options, ui
from parties.cli.options import example, together
from parties.client import NodeError
from parties.outputs import format_of
from parties.rpc.v1.operator_pb2 import JobResponse
from parties.status import Exit
from parties.store import DONE, ENDED, WAITING


def _named(_context: click.Context, _parameter: click.Parameter, job: str) -> str:
    """A job that is named: an empty id, as of a script's unset variable, would mean all jobs."""
    if not job.strip():
        raise click.UsageError("JOB is empty; jobs list shows the ids.")
    return job


JOB = click.argument("job", callback=_named)
at_node = together(options.node, options.signing)


@click.group("jobs", epilog=example("jointcredit jobs list --node bank"))
def group() -> None:
    """Queries of ours, and those put to us."""


@group.command("list", epilog=example("jointcredit jobs list --node bank --json"))
@at_node
@options.as_json
def list_(
    directory: Path, operator: str | None, passphrase_file: Path | None, as_json: bool
) -> None:
    """All jobs, the latest first."""
    with options.connect(directory, operator, passphrase_file) as client:
        jobs = client.jobs()
    if as_json:
        ui.show_json([_facts(job) for job in jobs])
    elif jobs:
        ui.show_table(
            ("job", "created", "protocol", "role", "parties", "state", "why"),
            [
                (job.job, ui.time_text(job.created, "%m-%d %H:%M"), job.protocol, job.role,
                 tuple(job.parties), job.state, job.code or _awaits(job, client.node))
                for job in jobs
            ],
        )  # fmt: skip
    else:
        ui.note("no jobs yet")


@group.command(epilog=example("jointcredit jobs show --node acme 1f0c"))
@JOB
@at_node
@options.as_json
def show(
    job: str, directory: Path, operator: str | None, passphrase_file: Path | None, as_json: bool
) -> None:
    """One job, by its id or the start of it: its state, and who learns what from it."""
    with options.connect(directory, operator, passphrase_file) as client:
        (found,) = client.jobs(job)
    if as_json:
        ui.show_json(_facts(found))
        return
    ui.show_facts(
        [
            ("job", found.job),
            ("state", found.state),
            ("stage", found.stage or None),
            ("our role", found.role),
            ("created", ui.time_text(found.created)),
            ("ended", ui.time_text(found.ended) or None),
            ("why", found.message or found.code or None),
        ]
    )
    ui.say("")
    ui.text_block(found.disclosure)


@group.command(epilog=example("jointcredit jobs approve --node acme 1f0c"))
@JOB
@at_node
@click.option("--yes", is_flag=True, help="Do not ask; nothing is asked without a terminal.")
def approve(
    job: str, directory: Path, operator: str | None, passphrase_file: Path | None, yes: bool
) -> None:
    """Say yes to a query that others put to us and that our policy leaves to us.

    It goes on as soon as the node of the party that asks asks again, within a second or so.
    """
    with options.connect(directory, operator, passphrase_file) as client:
        (found,) = client.jobs(job)
        if not yes and sys.stdin.isatty():
            ui.text_block(found.disclosure)
            click.confirm("Approve?", abort=True, err=True)
        done = client.approve(found.job)
    ui.say(f"approved {done.job}")


@group.command(epilog=example("jointcredit jobs deny --node acme 1f0c --reason 'ask legal'"))
@JOB
@at_node
@click.option("--reason", default="", help="For our own records; the others are not told.")
def deny(
    job: str, directory: Path, operator: str | None, passphrase_file: Path | None, reason: str
) -> None:
    """Say no to a query that others put to us."""
    with options.connect(directory, operator, passphrase_file) as client:
        ui.say(f"denied {client.deny(job, reason).job}")


@group.command(epilog=example("jointcredit jobs cancel --node bank 1f0c"))
@JOB
@at_node
def cancel(job: str, directory: Path, operator: str | None, passphrase_file: Path | None) -> None:
    """Call off a job that waits or runs; the other parties' nodes end it too."""
    with options.connect(directory, operator, passphrase_file) as client:
        ui.say(f"cancelled {client.cancel(job).job}")


@group.command(epilog=example("jointcredit jobs wait --node bank 1f0c --out common.csv"))
@JOB
@at_node
@click.option("--out", metavar="FILE", help="Also write the result there.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS",
              help="Exit with 5 after that long; the job goes on.")  # fmt: skip
@options.as_json
def wait(
    job: str,
    directory: Path,
    operator: str | None,
    passphrase_file: Path | None,
    out: str | None,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Follow a job to its end, through approvals too; the exit code says how it ended."""
    _check(out, as_json)
    with options.connect(directory, operator, passphrase_file) as client:
        (found,) = client.jobs(job)
        following.finish(
            client, directory, found.job, out,
            stop_at_approval=False, as_json=as_json, seconds=timeout,
        )  # fmt: skip


@group.command(epilog=example("jointcredit jobs result --node acme 1f0c --out common.csv"))
@JOB
@at_node
@click.option("--out", metavar="FILE", required=True,
              help=".csv, .json or .parquet, or - for CSV on standard output.")  # fmt: skip
@options.as_json
def result(
    job: str,
    directory: Path,
    operator: str | None,
    passphrase_file: Path | None,
    out: str,
    as_json: bool,
) -> None:
    """Fetch the result of a job that is done: of ours, or what another party's gave to us."""
    _check(out, as_json)
    with options.connect(directory, operator, passphrase_file) as client:
        (found,) = client.jobs(job)
        if found.state not in ENDED:
            code = Exit.WAITING if following.awaits_others(found) else Exit.OTHER
            text = f"job {found.job} has not ended; {following.go_on('wait', directory, found.job)}"
            raise NodeError("not-ended", code, text)
        if found.state != DONE:
            raise following.failure(found)
        rows = following.write_result(client, found.job, out)
    if as_json:
        ui.show_json({"job": found.job, "rows": rows, "out": out})
    else:
        ui.note(f"{rows:,} rows written to {out}")


def _awaits(job: JobResponse, me: str) -> str:
    """Whose decision a waiting job needs."""
    if job.state != WAITING:
        return ""
    return job.stage if job.parties[0] == me else "approve or deny it"


def _check(out: str | None, as_json: bool) -> None:
    if out is not None:
        if out == "-" and as_json:
            raise click.UsageError("--json and --out - both take standard output: name a file.")
        format_of(out)


def _facts(job: JobResponse) -> dict[str, Any]:
    return {
        "job": job.job,
        "protocol": job.protocol,
        "role": job.role,
        "parties": list(job.parties),
        "state": job.state,
        "stage": job.stage,
        "code": job.code,
        "message": job.message,
        "created": job.created,
        "ended": job.ended or None,
        "exit_code": job.exit_code,
        "summary": json.loads(job.summary or "{}"),
        "disclosure": job.disclosure,
    }
