"""Jobs, budgets, receipts and results on disk: private, whole, and there after a restart."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import pytest

from mpc.wire.v1.psi_ecdh_pb2 import PsiEcdhParameters
from parties import store as store_module
from parties.store import (
    ACCEPTED,
    DONE,
    RUNNING,
    WAITING,
    Job,
    Store,
    job_of,
    load_result,
    save_result,
)
from protocols.plan import Plan
from tests.protocols.case import build_plan


def a_plan(number: int = 0) -> Plan:
    params = PsiEcdhParameters(reveal=1, statistical_bits=40 + number)  # type: ignore[arg-type]
    plan, _ = build_plan(
        "psi.ecdh", params, [("bank", "querier", 20, ()), ("acme", "holder", 20, ())]
    )
    return plan


def a_job(number: int = 0, now: float = 1.0) -> Job:
    return job_of(a_plan(number), "acme", now)


def test_a_job_is_there_again_after_a_restart_field_by_field(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    first = Store(path)
    job = a_job()
    first.add(job)
    assert (job.querier, job.role, job.state, job.id) == ("bank", "holder", WAITING, a_job().id)
    changed = first.update(
        job, state=DONE, code="x", message="why", ended=2.5, approved_by="ann", summary={"n": [1]}
    )
    assert changed.has_ended and not job.has_ended
    first.close()
    assert Store(path).get(job.id) == changed


def test_jobs_are_found_by_plan_by_start_of_id_and_by_state(tmp_path: Path) -> None:
    store = Store(tmp_path / "jobs.sqlite")
    jobs = [a_job(number, now=float(number)) for number in range(4)]
    for job in jobs:
        store.add(job)
    store.update(jobs[1], state=RUNNING)
    store.update(jobs[3], state=ACCEPTED)
    assert store.by_plan(jobs[2].plan_hash) == jobs[2]
    assert store.by_plan(bytes(32)) is None and store.get("none") is None
    assert [job.id for job in store.in_state(WAITING)] == [jobs[0].id, jobs[2].id]
    assert [job.id for job in store.in_state(RUNNING, ACCEPTED)] == [jobs[1].id, jobs[3].id]
    assert [job.id for job in store.all()] == [job.id for job in reversed(jobs)]
    assert store.starting_with(jobs[0].id[:9]) == [jobs[0]]
    # What SQL would take for a pattern is a text like any other.
    for odd in ("%", "_" * 16, "' OR 1=1 --"):
        assert store.starting_with(odd) == []


def test_a_plan_makes_one_job(tmp_path: Path) -> None:
    store = Store(tmp_path / "jobs.sqlite")
    store.add(a_job())
    with pytest.raises(sqlite3.IntegrityError):
        store.add(a_job())


def test_spending_counts_plans_and_not_askings(tmp_path: Path) -> None:
    store = Store(tmp_path / "jobs.sqlite")
    one, two = b"1" * 32, b"2" * 32
    for _ in range(3):
        store.spend(one, "bank", "ledger", "psi", 100.0)
    store.spend(two, "bank", "ledger", "psi", 200.0)
    store.spend(b"3" * 32, "nova", "ledger", "psi", 200.0)
    store.spend(b"4" * 32, "bank", "other", "psi", 200.0)
    store.spend(b"5" * 32, "bank", "ledger", "sum", 200.0)
    assert store.spent_since("bank", "ledger", "psi", 0.0, b"") == 2
    assert store.spent_since("bank", "ledger", "psi", 0.0, one) == 1
    assert store.spent_since("bank", "ledger", "psi", 100.5, b"") == 1
    assert store.spent_since("bank", "ledger", "score", 0.0, b"") == 0


def test_receipts_are_kept_by_peer(tmp_path: Path) -> None:
    store = Store(tmp_path / "jobs.sqlite")
    job = a_job()
    with pytest.raises(sqlite3.IntegrityError):
        store.add_receipt(job.id, "bank", b"ours", b"theirs")
    store.add(job)
    store.add_receipt(job.id, "bank", b"ours", b"theirs")
    store.add_receipt(job.id, "nova", b"o", b"t")
    assert store.receipts(job.id) == {"bank": (b"ours", b"theirs"), "nova": (b"o", b"t")}
    assert store.receipts("none") == {}


def test_its_files_are_their_owners_alone(tmp_path: Path) -> None:
    store = Store(tmp_path / "jobs.sqlite")
    store.add(a_job())
    save_result(tmp_path / "results", "job", b"data")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) >= 3  # the database's own helpers too
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in files)
    assert stat.S_IMODE((tmp_path / "results").stat().st_mode) == 0o700
    assert load_result(tmp_path / "results", "job") == b"data"
    assert load_result(tmp_path / "results", "none") is None


def test_a_result_that_could_not_be_written_whole_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(store_module.os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            save_result(tmp_path, "job", b"half")
    assert load_result(tmp_path, "job") is None
    save_result(tmp_path, "job", b"whole")
    assert load_result(tmp_path, "job") == b"whole"
