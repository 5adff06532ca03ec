"""Jobs on disk: SQLite in WAL mode, one file a node, durable before anything is visible."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from protocols.plan import Plan

WAITING, ACCEPTED, RUNNING, DONE = "waiting", "accepted", "running", "done"
FAILED, REFUSED, CANCELLED = "failed", "refused", "cancelled"
ENDED: Final = frozenset({DONE, FAILED, REFUSED, CANCELLED})
SCHEMA_VERSION: Final = 1

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY,
    plan_hash BLOB NOT NULL UNIQUE,
    plan BLOB NOT NULL,
    querier TEXT NOT NULL,
    role TEXT NOT NULL,
    state TEXT NOT NULL,
    code TEXT NOT NULL DEFAULT '',
    message TEXT NOT NULL DEFAULT '',
    created REAL NOT NULL,
    ended REAL,
    approved_by TEXT NOT NULL DEFAULT '',
    summary TEXT NOT NULL DEFAULT '{}'
) STRICT;
CREATE TABLE IF NOT EXISTS spent (
    plan_hash BLOB NOT NULL,
    querier TEXT NOT NULL,
    dataset TEXT NOT NULL,
    family TEXT NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (plan_hash, dataset)
) STRICT;
CREATE TABLE IF NOT EXISTS receipts (
    job TEXT NOT NULL REFERENCES jobs (id),
    peer TEXT NOT NULL,
    ours BLOB NOT NULL,
    theirs BLOB NOT NULL,
    PRIMARY KEY (job, peer)
) STRICT;
"""


_FIELDS: Final = (
    "id", "plan_hash", "plan", "querier", "role", "state", "created", "code", "message", "ended",
    "approved_by", "summary",
)  # fmt: skip


@dataclass(frozen=True)
class Job:
    """One plan at this node. ``id`` is the start of the plan's hash, the same at every party."""

    id: str
    plan_hash: bytes
    plan: bytes
    querier: str
    role: str
    state: str
    created: float
    code: str = ""
    message: str = ""
    ended: float | None = None
    approved_by: str = ""
    summary: Mapping[str, Any] = field(default_factory=dict)

    @property
    def has_ended(self) -> bool:
        return self.state in ENDED


def job_of(plan: Plan, me: str, now: float) -> Job:
    """A new job for ``plan``, before anybody has said yes."""
    identifier = plan.hash[:8].hex()
    return Job(identifier, plan.hash, plan.raw, plan.querier, plan.role(me), WAITING, now)


class Store:
    """The node's jobs. Used from the event loop alone: every statement takes milliseconds."""

    def __init__(self, path: Path) -> None:
        path.touch(mode=0o600, exist_ok=True)
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.execute("PRAGMA foreign_keys = ON")
        self._database.executescript(_SCHEMA)
        self._database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def close(self) -> None:
        self._database.close()

    def add(self, job: Job) -> None:
        self._database.execute(
            "INSERT INTO jobs (id, plan_hash, plan, querier, role, state, created)"
            " VALUES (?,?,?,?,?,?,?)",
            (job.id, job.plan_hash, job.plan, job.querier, job.role, job.state, job.created),
        )

    def update(self, job: Job, **changes: Any) -> Job:
        """Writes the changed fields, and gives the job as it is now."""
        changed = replace(job, **changes)
        self._database.execute(
            "UPDATE jobs SET state=?, code=?, message=?, ended=?, approved_by=?, summary=?"
            " WHERE id=?",
            (
                changed.state,
                changed.code,
                changed.message,
                changed.ended,
                changed.approved_by,
                json.dumps(changed.summary),
                job.id,
            ),
        )
        return changed

    def get(self, identifier: str) -> Job | None:
        rows = self._jobs("WHERE id = ?", (identifier,))
        return rows[0] if rows else None

    def by_plan(self, plan_hash: bytes) -> Job | None:
        rows = self._jobs("WHERE plan_hash = ?", (plan_hash,))
        return rows[0] if rows else None

    def starting_with(self, identifier: str) -> list[Job]:
        return self._jobs("WHERE substr(id, 1, ?) = ?", (len(identifier), identifier))

    def in_state(self, *states: str) -> list[Job]:
        places = ",".join("?" * len(states))
        return self._jobs(f"WHERE state IN ({places}) ORDER BY created, id", states)

    def all(self) -> list[Job]:
        """The newest first."""
        return self._jobs("ORDER BY created DESC, id", ())

    def _jobs(self, where: str, values: tuple[Any, ...]) -> list[Job]:
        rows = self._database.execute(
            f"SELECT {', '.join(_FIELDS)} FROM jobs {where}",
            values,
        )
        return [
            Job(**{**dict(zip(_FIELDS, row, strict=True)), "summary": json.loads(row[-1])})
            for row in rows
        ]

    def spend(self, plan_hash: bytes, querier: str, dataset: str, family: str, at: float) -> None:
        """Notes that ``querier`` was let at ``dataset``; once a plan, however often it asks."""
        self._database.execute(
            "INSERT OR IGNORE INTO spent VALUES (?,?,?,?,?)",
            (plan_hash, querier, dataset, family, at),
        )

    def spent_since(
        self, querier: str, dataset: str, family: str, since: float, besides: bytes
    ) -> int:
        """How many plans, ``besides`` the one with this hash."""
        (count,) = self._database.execute(
            "SELECT count(*) FROM spent WHERE querier=? AND dataset=? AND family=? AND at>=?"
            " AND plan_hash<>?",
            (querier, dataset, family, since, besides),
        ).fetchone()
        return int(count)

    def add_receipt(self, job: str, peer: str, ours: bytes, theirs: bytes) -> None:
        self._database.execute(
            "INSERT OR REPLACE INTO receipts VALUES (?,?,?,?)", (job, peer, ours, theirs)
        )

    def receipts(self, job: str) -> dict[str, tuple[bytes, bytes]]:
        rows = self._database.execute(
            "SELECT peer, ours, theirs FROM receipts WHERE job=? ORDER BY peer", (job,)
        )
        return {peer: (ours, theirs) for peer, ours, theirs in rows}


def save_result(directory: Path, job: str, data: bytes) -> None:
    """Durable and whole, or not there: written aside, synced, then renamed."""
    directory.mkdir(mode=0o700, exist_ok=True)
    final = directory / f"{job}.arrow"
    aside = final.with_suffix(".part")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    aside.replace(final)


def load_result(directory: Path, job: str) -> bytes | None:
    try:
        return (directory / f"{job}.arrow").read_bytes()
    except FileNotFoundError:
        return None
