"""A job from its submission to its result on disk: progress, the end, what came of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from parties.cli import ui
from parties.client import Client, NodeError
from parties.outputs import write_table
from parties.results import from_arrow
from parties.rpc.v1.operator_pb2 import JobResponse
from parties.status import Exit
from parties.store import DONE, ENDED, WAITING

APPROVAL = "approval by "


def finish(
    client: Client,
    directory: Path,
    job: str,
    out: str | None,
    *,
    stop_at_approval: bool,
    as_json: bool,
    seconds: float | None = None,
) -> None:
    """Follows ``job`` to its end and writes its result to ``out``.

    Raises ``NodeError`` with the job's exit code for a job that came to nothing, and with 6 for
    one that waits for people of another party, if ``stop_at_approval``.
    """
    try:
        ended = _follow(client, directory, job, stop_at_approval, seconds)
    except KeyboardInterrupt:
        ui.note("")
        text = f"job {job} goes on; {go_on('wait', directory, job)}"
        stop = go_on("cancel", directory, job)
        raise NodeError("interrupted", Exit.OTHER, f"{text}; or: {stop}") from None
    if ended.state != DONE:
        raise failure(ended)
    summary = json.loads(ended.summary)
    rows = None
    if out is not None:
        rows = write_result(client, ended.job, out)
    _report(ended, summary, rows, out, as_json)


def write_result(client: Client, job: str, out: str) -> int:
    """Fetches a result into a file, or to standard output for ``-``; how many rows it has."""
    columns = from_arrow(client.result(job))
    write_table(out, columns)
    return max((len(values) for values in columns.values()), default=0)


def go_on(command: str, directory: Path, job: str) -> str:
    return f"jointcredit jobs {command} --node {directory} {job}"


def awaits_others(job: JobResponse) -> bool:
    """Whether it is our query, and people of another party must say yes first."""
    return job.state == WAITING and job.stage.startswith(APPROVAL)


def failure(job: JobResponse) -> NodeError:
    """What a script and its author are told of a job without a result."""
    text = job.message or job.code or "no reason given"
    return NodeError(job.code, job.exit_code or Exit.OTHER, f"job {job.job} {job.state}: {text}")


def _follow(
    client: Client, directory: Path, job: str, stop_at_approval: bool, seconds: float | None
) -> JobResponse:
    with ui.JobProgress() as progress:
        for seen in client.watch(job, seconds):
            if seen.state in ENDED:
                return seen
            if stop_at_approval and awaits_others(seen):
                who = seen.stage.removeprefix(APPROVAL)
                text = f"job {job} waits for approval by {who}; go on with: "
                raise NodeError(
                    "policy-approval", Exit.WAITING, text + go_on("wait", directory, job)
                )
            here = "waits for approval here" if seen.state == WAITING else seen.state
            stage = seen.stage or here
            progress.show(f"{seen.protocol}: {stage}", seen.done, seen.total)
    raise NodeError("link-lost", Exit.LINK, f"the node stopped telling of job {job}")


def _report(
    job: JobResponse, summary: dict[str, Any], rows: int | None, out: str | None, as_json: bool
) -> None:
    if as_json:
        ui.show_json({"job": job.job, "state": job.state, "rows": rows, "out": out, **summary})
        return
    facts: list[tuple[str, object]] = [("job", job.job), ("protocol", job.protocol)]
    for name, value in summary["input"].items():
        facts.append((f"our {name}", value if value or name == "identifiers" else None))
    for name, value in summary["notes"].items():
        facts.append((name.replace("_", " "), value))
    for peer, each in summary["traffic"].items():
        sent, received = ui.bytes_text(each["sent"]), ui.bytes_text(each["received"])
        facts.append((f"to {peer}", f"{sent} sent, {received} received"))
    facts += [("seconds", summary["seconds"]), ("rows written", rows), ("result", out)]
    ui.show_facts(facts, err=True)
