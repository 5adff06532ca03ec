"""Who may say yes, no and stop, and that each of them has effect: approvals, policies, budgets,
cancelling, withdrawing, revoking, limits of a node.
"""

from __future__ import annotations

import asyncio
import datetime
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mpc.wire.v1.session_pb2 import Acceptance
from parties import peer_service
from parties.client import NodeError
from parties.coordinator import coordinate, new_job
from parties.rpc.v1.peer_pb2 import StartRequest
from parties.store import ACCEPTED, CANCELLED, DONE, REFUSED, RUNNING, WAITING
from tests.parties.mesh import (
    Mesh,
    Party,
    Passing,
    ask,
    csv,
    draft,
    impatient,
    propose,
    query,
    refusal,
    run,
)

PSI = query("psi", "rows", {"acme": "rows"})


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    impatient(monkeypatch)


async def pair(mesh: Mesh, *, deaf: tuple[str, ...] = (), **limits: int) -> tuple[Party, Party]:
    bank, acme = await mesh.nodes("bank", "acme", deaf=deaf, **limits)
    for party in (bank, acme):
        party.dataset("rows", csv("id,v", "a,1", "b,2", "c,3"))
    return bank, acme


def stall(mesh: Mesh) -> None:
    """From now on no frame arrives: sessions stay under way."""

    async def lose(passing: Passing) -> list[Any]:
        return [] if passing.content == "frame" else [passing.message]

    mesh.tamper = lose


def hold(mesh: Mesh) -> asyncio.Event:
    """Frames, and all behind them, wait for the event."""
    opened = asyncio.Event()

    async def wait(passing: Passing) -> list[Any]:
        if passing.content == "frame":
            await opened.wait()
        return [passing.message]

    mesh.tamper = wait
    return opened


async def started(bank: Party, acme: Party) -> str:
    """A session that runs at both ends."""
    job: str = await bank.ask("submit", PSI)
    await bank.until(job, RUNNING)
    await acme.until(job, RUNNING)
    return job


def test_a_plan_waits_until_people_have_decided(tmp_path: Path) -> None:
    async def scenario(mesh: Mesh) -> None:
        bank, acme = await pair(mesh)
        acme.allow("rows", "psi", "bank", approval=True)

        job = await bank.ask("submit", PSI)
        waits = await acme.until(job, WAITING)
        assert "bank (querier" in waits.disclosure
        with pytest.raises(NodeError) as error:  # the querier's own people have no say in it
            await bank.ask("approve", job)
        assert (error.value.code, error.value.exit_code) == ("job-not-waiting", 2)
        await asyncio.sleep(0.1)
        shown = await bank.job(job)
        assert (shown.state, shown.stage) == (WAITING, "approval by acme")
        await acme.ask("approve", job)
        assert (await bank.end(job)).state == DONE
        assert (await acme.until(job, DONE)).state == DONE

        job = await bank.ask("submit", PSI)
        await acme.until(job, WAITING)
        await acme.ask("deny", job, "SECRET-REASON")
        ended = await bank.end(job)
        assert (ended.state, ended.code, ended.exit_code) == (REFUSED, "approval-denied", 3)
        assert ended.message.startswith("acme refused: approval-denied")
        assert b"SECRET-REASON" not in mesh.received("bank")
        assert "SECRET-REASON" in (await acme.job(job)).message
        with pytest.raises(NodeError):
            await acme.ask("approve", job)

    run(tmp_path, scenario)


def test_an_approval_survives_the_approvers_node_being_down(tmp_path: Path) -> None:
    async def scenario(mesh: Mesh) -> None:
        bank, acme = await pair(mesh)
        acme.allow("rows", "psi", "bank", approval=True)
        job = await bank.ask("submit", PSI)
        await acme.until(job, WAITING)
        await asyncio.sleep(0.1)  # the bank has been told to wait
        acme.node.draining = True
        await asyncio.sleep(0.2)
        await acme.stop()
        await asyncio.sleep(0.3)  # some askings go nowhere
        await acme.start()
        await acme.ask("approve", job)
        assert (await bank.end(job)).state == DONE

    run(tmp_path, scenario)


def test_a_plan_that_nobody_decides_on_expires_at_both_ends(tmp_path: Path) -> None:
    async def scenario(mesh: Mesh) -> None:
        bank, acme = await pair(mesh)
        acme.allow("rows", "psi", "bank", approval=True)
        now = int(time.time())
        plan = await draft(bank, PSI, created=now, expires=now + 2)
        job = new_job(bank.node, plan)
        await coordinate(bank.node, job, plan, b"")
        ended = await bank.job(job.id)
        assert ended.state == REFUSED and ended.exit_code == 3
        assert ended.code in ("approval-expired", "plan-expired")
        assert (await acme.end(job.id)).code == "withdrawn"

        # A querier that has vanished withdraws nothing; the sweep finds the plan out of date.
        now = int(time.time())
        plan = await draft(bank, PSI, created=now, expires=now + 1)
        await propose(bank, acme, plan)
        acme.node.expire(plan.message.expires - 1)
        assert (await acme.job(plan.hash[:8].hex())).state == WAITING
        acme.node.expire(plan.message.expires + 1)
        ended = await acme.job(plan.hash[:8].hex())
        assert (ended.state, ended.code) == (CANCELLED, "plan-expired")
        with pytest.raises(NodeError):
            await acme.ask("approve", plan.hash[:8].hex())

    run(tmp_path, scenario)


def test_a_permission_withdrawn_before_the_start_counts(tmp_path: Path) -> None:
    async def scenario(mesh: Mesh) -> None:
        bank, acme = await pair(mesh, deaf=("bank",))
        acme.allow("rows", "psi", "bank", approval=True)

        # Approved, and withdrawn before the querier asked again.
        plan = await draft(bank, PSI)
        assert (await propose(bank, acme, plan)).WhichOneof("answer") == "pending"
        await acme.ask("approve", plan.hash[:8].hex())
        acme.deny_all()
        assert await refusal(propose(bank, acme, plan)) == ("policy-none", "policy")

        # Accepted, and withdrawn before the start.
        acme.allow("rows", "psi", "bank")
        plan = await draft(bank, PSI)
        answer = await propose(bank, acme, plan)
        acme.deny_all()
        assert await _start(bank, acme, plan, answer.accepted) == ("policy-none", "policy")
        ended = await acme.end(plan.hash[:8].hex())
        assert (ended.state, ended.code) == (REFUSED, "policy-none")
        assert acme.node.running == {}

    run(tmp_path, scenario)


async def _start(bank: Party, acme: Party, plan: Any, yes: Acceptance) -> tuple[str, str]:
    acceptances = [bank.node.accept(plan), yes]
    request = StartRequest(plan_hash=plan.hash, acceptances=acceptances)
    return await refusal(bank.stub(acme).Start(request))


def test_an_acceptance_is_void_when_its_plan_has_expired(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(mesh: Mesh) -> None:
        bank, acme = await pair(mesh, deaf=("bank",))
        acme.allow("rows", "psi", "bank")
        plan = await draft(bank, PSI)
        answer = await propose(bank, acme, plan)
        later = plan.message.expires + 1.0
        clock = SimpleNamespace(time=lambda: later, monotonic=time.monotonic)
        monkeypatch.setattr(peer_service, "time", clock)
        assert await _start(bank, acme, plan, answer.accepted) == ("plan-expired", "")
        assert acme.node.running == {}

    run(tmp_path, scenario)


def test_the_querier_takes_its_query_back(tmp_path: Path) -> None:
    async def scenario(mesh: Mesh) -> None:
        bank, acme = await pair(mesh)
        acme.allow("rows", "psi", "bank", approval=True)
        job = await bank.ask("submit", PSI)
        await acme.until(job, WAITING)
        await bank.ask("cancel", job)
        ended = await bank.end(job)
        assert (ended.state, ended.code) == (CANCELLED, "cancelled-by-operator")
        ended = await acme.end(job)
        assert (ended.state, ended.code) == (CANCELLED, "withdrawn")
        with pytest.raises(NodeError) as error:
            await bank.ask("cancel", job)
        assert error.value.code == "job-ended"

    run(tmp_path, scenario)


def test_a_waiting_plan_cancelled_by_its_holder_is_refused(tmp_path: Path) -> None:
    async def scenario(mesh: Mesh) -> None:
        bank, acme = await pair(mesh)
        acme.allow("rows", "psi", "bank", approval=True)
        job = await bank.ask("submit", PSI)
        await acme.until(job, WAITING)
        await acme.ask("cancel", job)
        ended = await bank.end(job)
        assert (ended.code, ended.exit_code) == ("cancelled-by-operator", 3)

    run(tmp_path, scenario)


@pytest.mark.parametrize("who", ["bank", "acme"])
def test_either_side_can_stop_a_session_under_way(who: str, tmp_path: Path) -> None:
    async def scenario(mesh: Mesh) -> None:
        bank, acme = await pair(mesh)
        acme.allow("rows", "psi", "bank")
        stall(mesh)
        job = await started(bank, acme)
        stopper, other = (bank, acme) if who == "bank" else (acme, bank)
        await stopper.ask("cancel", job)
        ended = await stopper.end(job)
        assert (ended.state, ended.code, ended.exit_code) == (CANCELLED, "cancelled-by-operator", 1)
        ended = await other.end(job)
        assert (ended.state, ended.code) == (CANCELLED, "cancelled-by-operator")
        assert ended.message.startswith(f"{who} ended the session")
        for party in (bank, acme):
            with pytest.raises(NodeError):
                await party.result(job)
            assert not (party.home.state / "results").exists()

    run(tmp_path, scenario)


@pytest.mark.parametrize("who", ["bank", "acme"])
def test_a_card_withdrawn_ends_the_sessions_with_its_party(who: str, tmp_path: Path) -> None:
    async def scenario(mesh: Mesh) -> None:
        bank, acme = await pair(mesh)
        acme.allow("rows", "psi", "bank")
        stall(mesh)
        job = await started(bank, acme)
        party, other = (bank, acme) if who == "bank" else (acme, bank)
        party.node.trust.remove(other.name)
        party.node.drop_strangers()
        ended = await party.end(job)
        assert (ended.state, ended.code, ended.exit_code) == (REFUSED, "peer-unknown", 3)
        assert other.name in ended.message
        assert (await other.end(job)).code == "peer-unknown"
        # And there is no way back in.
        back_in = bank.ask("submit", PSI)
        assert (await _failure(back_in)).exit_code in ((2,) if who == "bank" else (3, 5))

    run(tmp_path, scenario)


def test_a_card_withdrawn_between_yes_and_start_leaves_no_session_behind(tmp_path: Path) -> None:
    """In a sum the aggregator dials the other contributor, whose card is gone."""
    text = query(
        "sum", "rows", {"acme": "rows", "nova": "rows"}, amount="v", floor=2, key_bits=2048
    )

    async def scenario(mesh: Mesh) -> None:
        bank, acme, nova = await mesh.nodes("bank", "acme", "nova", deaf=("bank",))
        for party in (bank, acme, nova):
            party.dataset("rows", csv("id,v", "a,1"))
            party.allow("rows", "sum", "bank", columns=("v",), min_cohort=2)
        plan = await draft(bank, text)
        yes = [(await propose(bank, each, plan)).accepted for each in (acme, nova)]
        acme.node.trust.remove("nova")
        acceptances = [bank.node.accept(plan), *yes]
        request = StartRequest(plan_hash=plan.hash, acceptances=acceptances)
        assert await refusal(bank.stub(acme).Start(request)) == ("party-not-trusted", "nova")
        assert acme.node.running == acme.node.sessions == {}
        assert (await acme.end(plan.hash[:8].hex())).state == REFUSED

    run(tmp_path, scenario)


def test_a_dataset_taken_away_between_yes_and_start_leaves_no_session_behind(
    tmp_path: Path,
) -> None:
    async def scenario(mesh: Mesh) -> None:
        bank, acme = await pair(mesh, deaf=("bank",))
        acme.allow("rows", "psi", "bank")
        plan = await draft(bank, PSI)
        answer = await propose(bank, acme, plan)
        acme.home.datasets_toml.write_text("")
        assert await _start(bank, acme, plan, answer.accepted) == ("policy-none", "policy")
        assert acme.node.running == acme.node.sessions == {}
        assert (await acme.end(plan.hash[:8].hex())).state == REFUSED

    run(tmp_path, scenario)


def test_a_node_takes_no_more_sessions_than_its_limit(tmp_path: Path) -> None:
    async def scenario(mesh: Mesh) -> None:
        bank, acme = await pair(mesh, sessions=1)
        acme.allow("rows", "psi", "bank")
        opened = hold(mesh)
        # Two plans that the node said yes to while it had room; it begins one.
        early = await draft(bank, PSI)
        yes = (await propose(bank, acme, early)).accepted
        job = await started(bank, acme)
        assert await _start(bank, acme, early, yes) == ("busy", "")
        assert len(acme.node.running) == 1
        with pytest.raises(NodeError) as error:
            await bank.ask("submit", PSI)
        assert (error.value.code, error.value.exit_code) == ("busy", 5)
        fresh = await draft(bank, PSI)
        assert await refusal(propose(bank, acme, fresh)) == ("busy", "")
        opened.set()
        assert (await bank.end(job)).state == DONE
        await acme.until(job, DONE)
        assert (await ask(bank, PSI)).state == DONE

    run(tmp_path, scenario)


def test_open_plans_of_one_party_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer_service, "MOST_OPEN_PLANS", 2)

    async def scenario(mesh: Mesh) -> None:
        bank, acme = await pair(mesh, deaf=("bank",))
        acme.allow("rows", "psi", "bank", approval=True)
        plans = [await draft(bank, PSI) for _ in range(3)]
        for plan in plans[:2]:
            assert (await propose(bank, acme, plan)).WhichOneof("answer") == "pending"
        assert await refusal(propose(bank, acme, plans[2])) == ("busy", "")
        assert (await propose(bank, acme, plans[0])).WhichOneof("answer") == "pending"

    run(tmp_path, scenario)


def test_a_days_budget_is_spent_by_plans_however_they_are_worded(tmp_path: Path) -> None:
    async def scenario(mesh: Mesh) -> None:
        bank, acme = await pair(mesh)
        acme.allow("rows", "psi", "bank", per_day=2)
        plan = await draft(bank, PSI)
        for _ in range(3):  # the same plan, asked again: once
            assert (await propose(bank, acme, plan)).WhichOneof("answer") == "accepted"
        assert (await ask(bank, PSI)).state == DONE
        for text in (PSI, query("psi", "rows", {"acme": "rows"}, purpose="other", reveal="count")):
            ended = await ask(bank, text)
            assert (ended.state, ended.code, ended.exit_code) == (REFUSED, "policy-budget", 3)
        assert ended.message.startswith("acme refused: policy-budget (policy 1: per_day)")
        # The accepted one may still be asked for; another line gives no fresh budget, nor a night.
        assert (await propose(bank, acme, plan)).WhichOneof("answer") == "accepted"
        await acme.restart()
        acme.allow("rows", "psi", "bank", per_day=2, purpose="other")
        assert (await ask(bank, PSI)).code == "policy-budget"
        acme.allow("rows", "psi", "bank", per_day=3)
        assert (await ask(bank, PSI)).state == DONE
        assert (await ask(bank, PSI)).code == "policy-budget"

    run(tmp_path, scenario)


TODAY = datetime.datetime.now(datetime.UTC).date()
CONDITIONS: dict[str, tuple[dict[str, Any], dict[str, Any], str, str]] = {
    # what the policy line says; what is asked; the code; the rule that the querier is told
    "reveal": ({"reveal": ("count",)}, {}, "policy-reveal", "policy 1: reveal"),
    "purpose": ({"purpose": "audit"}, {"purpose": "credit"}, "policy-purpose", "policy 1: purpose"),
    "cohort": ({"min_cohort": 3}, {"min_rows": 2}, "policy-cohort", "policy 1: min_cohort"),
    "rows": ({"max_rows": 8}, {}, "policy-rows", "policy 1: max_rows"),
    "allowed": ({"reveal": ("rows",), "purpose": "audit", "min_cohort": 2, "max_rows": 16,
                 "expires": TODAY, "per_day": 9, "beside": ()},
                {"purpose": "audit", "min_rows": 2}, "", ""),
}  # fmt: skip


def test_each_condition_of_a_policy_is_enforced_over_the_wire(tmp_path: Path) -> None:
    async def scenario(mesh: Mesh) -> None:
        bank, acme = await pair(mesh)
        for name, (line, asked, code, rule) in CONDITIONS.items():
            acme.deny_all()
            acme.allow("rows", "psi", "bank", **line)
            ended = await ask(bank, query("psi", "rows", {"acme": "rows"}, **asked))
            if not code:
                assert ended.state == DONE, f"{name}: {ended.message}"
                continue
            assert (ended.state, ended.code, ended.exit_code) == (REFUSED, code, 3), name
            assert ended.message.startswith(f"acme refused: {code} ({rule}): "), ended.message
            # Nothing of the attempt is left to be decided on.
            assert acme.node.store.in_state(WAITING, ACCEPTED, RUNNING) == [], name

        # A file that cannot be read permits nothing, and says nothing but that.
        acme.home.policy_toml.write_text("[[allow]]\ndataset = 7\n")
        ended_with = await _failure(bank.ask("submit", PSI))
        assert (ended_with.code, ended_with.exit_code) == ("policy-broken", 3)
        assert "acme" in str(ended_with)
        # Neither does one in which the line for this party is missing.
        acme.deny_all()
        acme.allow("rows", "psi", "nova")
        ended_with = await _failure(bank.ask("submit", PSI))
        assert (ended_with.code, ended_with.exit_code) == ("policy-none", 3)

    run(tmp_path, scenario)


async def _failure(asked: Awaitable[Any]) -> NodeError:
    with pytest.raises(NodeError) as error:
        await asked
    return error.value


def test_policy_conditions_that_only_a_forged_plan_can_miss(tmp_path: Path) -> None:
    """An honest querier's node asks for what it was offered; these plans are made by hand."""

    def changed(change: Callable[[Any], None]) -> Callable[[Any], Any]:
        def make(plan: Any) -> Any:
            message = type(plan.message).FromString(plan.raw)
            change(message)
            return type(plan).build(message)

        return make

    def columns(message: Any) -> None:
        for party in message.parties[1:]:
            party.input.columns[:] = ["salary"]

    def keys(message: Any) -> None:
        message.parties[1].input.keys[:] = ["v"]

    def dataset(message: Any) -> None:
        message.parties[1].input.dataset = "payroll"

    def normalizer(message: Any) -> None:
        for party in message.parties:
            party.input.normalizer = "raw/1"

    sum_text = query(
        "sum", "rows", {"acme": "rows", "nova": "rows"}, amount="v", floor=2, key_bits=2048
    )

    async def scenario(mesh: Mesh) -> None:
        bank, acme, nova = await mesh.nodes("bank", "acme", "nova")
        for party in (bank, acme, nova):
            party.dataset("rows", csv("id,v,salary", "a,1,2"))
        nova.allow("rows", "sum", "bank", columns=("v",), min_cohort=2)
        acme.allow("rows", "sum", "bank", columns=("v",), min_cohort=2)
        acme.allow("rows", "psi", "bank")
        plans = {"psi": await draft(bank, PSI), "sum": await draft(bank, sum_text)}
        for kind, change, told in (
            ("sum", columns, ("policy-columns", "policy 1: columns")),
            ("psi", keys, ("policy-keys", "policy 2: keys")),
            ("psi", dataset, ("policy-none", "policy")),
            ("psi", normalizer, ("normalizer-differs", "the dataset's normalizer is text/1")),
        ):
            forged = changed(change)(plans[kind])
            assert await refusal(propose(bank, acme, forged)) == told

        acme.deny_all()
        acme.allow("rows", "sum", "bank", columns=("v",), min_cohort=2, beside=("zeta",))
        told = await refusal(propose(bank, acme, plans["sum"]))
        assert told == ("policy-beside", "policy 1: beside")
        # An offer that has expired since.
        acme.deny_all()
        acme.allow("rows", "psi", "bank", expires=TODAY - datetime.timedelta(days=1))
        told = await refusal(propose(bank, acme, plans["psi"]))
        assert told == ("policy-expired", "policy 1: expires")
        # Two contributors are fewer than the default demands.
        acme.deny_all()
        acme.allow("rows", "sum", "bank", columns=("v",))
        told = await refusal(propose(bank, acme, plans["sum"]))
        assert told == ("policy-cohort", "policy 1: min_cohort")

    run(tmp_path, scenario)


def test_a_partner_dropped_while_its_people_decide_ends_the_query(tmp_path: Path) -> None:
    async def scenario(mesh: Mesh) -> None:
        bank, acme = await pair(mesh)
        acme.allow("rows", "psi", "bank", approval=True)
        job = await bank.ask("submit", PSI)
        await acme.until(job, WAITING)
        bank.node.trust.remove("acme")
        await acme.ask("approve", job)
        ended = await bank.end(job)
        assert ended.state != DONE and ended.exit_code in (2, 3)
        assert "acme" in ended.message and "trust" in ended.message
        assert bank.node.running == bank.node.sessions == {}

    run(tmp_path, scenario)
