"""Plans and acceptances over the wire, by a querier or coordinator that does not play fair.

The bank's node is deaf in most of these: the test speaks in its name, with its keys.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mpc.signing import sign
from mpc.wire.v1.session_pb2 import Acceptance
from parties.rpc.v1.peer_pb2 import StartRequest, WithdrawRequest
from parties.store import ACCEPTED, CANCELLED, DONE, FAILED, RUNNING
from protocols.plan import Plan
from tests.parties.mesh import Mesh, Party, ask, csv, draft, propose, query, refusal, run

PSI = query("psi", "rows", {"acme": "rows"})
SUM = query("sum", "rows", {"acme": "rows", "nova": "rows"}, amount="v", floor=2, key_bits=2048)


async def nodes(mesh: Mesh, *names: str, deaf: tuple[str, ...] = ("bank",)) -> list[Party]:
    made = await mesh.nodes(*names, deaf=deaf, handshake_seconds=1)
    for party in made:
        party.dataset("rows", csv("id,v", "a,1", "b,2"))
        for other in names:
            if other != party.name:
                party.allow("rows", "psi", other)
                party.allow("rows", "sum", other, columns=("v",), min_cohort=2)
    return made


async def start(sender: Party, to: Party, plan: Plan, acceptances: list[Acceptance]) -> Any:
    request = StartRequest(plan_hash=plan.hash, acceptances=acceptances)
    return await sender.stub(to).Start(request)


async def accepted(sender: Party, to: Party, plan: Plan) -> Acceptance:
    answer = await propose(sender, to, plan)
    assert answer.WhichOneof("answer") == "accepted", answer
    return answer.accepted  # type: ignore[no-any-return]


def test_a_plan_that_is_not_what_it_says_is_refused(tmp_path: Path) -> None:
    async def scenario(mesh: Mesh) -> None:
        bank, acme, nova = await nodes(mesh, "bank", "acme", "nova")
        plan = await draft(bank, PSI)
        now = int(time.time())

        async def code(plan: Plan | bytes, sender: Party = bank, **more: Any) -> tuple[str, str]:
            return await refusal(propose(sender, acme, plan, **more))

        # Not in the querier's name, or signed by nobody, or another's signature.
        assert await code(plan, nova) == ("plan-not-yours", "")
        assert await code(plan, signature=b"") == ("plan-signature", "")
        assert await code(plan, signature=sign(nova.secret, "proposal", plan.hash)) == (
            "plan-signature", "",
        )  # fmt: skip
        assert await code(plan, signature=sign(bank.secret, "acceptance", plan.hash)) == (
            "plan-signature", "",
        )  # fmt: skip
        # Out of its time.
        old = await draft(bank, PSI, created=now - 100, expires=now - 1)
        assert await code(old) == ("plan-expired", "")
        for created, expires in ((now + 3600, now + 7200), (now, now + 40 * 86400)):
            odd = await draft(bank, PSI, created=created, expires=expires)
            assert await code(odd) == ("plan-dates", "")
        # Not well formed, of an unknown protocol, of a protocol's other revision.
        assert (await code(plan.raw + b"\x00"))[0] == "plan-malformed"
        assert (await code(b""))[0] == "plan-malformed"
        assert (await code(await _changed(plan, revision=2)))[0] == "plan-malformed"
        assert (await code(await _changed(plan, protocol="psi.other")))[0] == "plan-malformed"
        # Not among these parties.
        assert await code(await _with_key(plan, 1, nova.node.identity.signing_key)) == (
            "plan-not-ours", "",
        )  # fmt: skip
        assert await code(await _with_key(plan, 0, nova.node.identity.signing_key)) == (
            "plan-not-yours", "",
        )  # fmt: skip
        stranger = await draft(bank, SUM)
        acme.node.trust.remove("nova")
        assert await code(stranger) == ("party-not-trusted", "nova")
        # Of all this nothing stays.
        assert acme.node.store.all() == []
        assert acme.node.accepted == {}

    run(tmp_path, scenario)


async def _changed(plan: Plan, **changes: Any) -> bytes:
    message = type(plan.message).FromString(plan.raw)
    for key, value in changes.items():
        setattr(message, key, value)
    return message.SerializeToString(deterministic=True)


async def _with_key(plan: Plan, position: int, key: bytes) -> bytes:
    message = type(plan.message).FromString(plan.raw)
    message.parties[position].signing_key = key
    return message.SerializeToString(deterministic=True)


def test_one_byte_flipped_on_the_way_is_never_a_plan(tmp_path: Path) -> None:
    async def scenario(mesh: Mesh) -> None:
        bank, acme = await nodes(mesh, "bank", "acme")
        plan = await draft(bank, PSI)
        signature = sign(bank.secret, "proposal", plan.hash)
        for position in range(0, len(plan.raw), 7):
            raw = bytearray(plan.raw)
            raw[position] ^= 1
            answer = await propose(bank, acme, bytes(raw), signature)
            assert answer.WhichOneof("answer") == "refused", position
        assert acme.node.store.all() == []

    run(tmp_path, scenario)


def test_acceptances_given_to_a_start_are_checked_one_by_one(tmp_path: Path) -> None:
    def cut(acceptance: Acceptance, **changes: bytes) -> Acceptance:
        changed = Acceptance()
        changed.CopyFrom(acceptance)
        for key, value in changes.items():
            setattr(changed, key, value)
        return changed

    elsewhere: list[Acceptance] = []  # nova's yes to another plan
    Wrong = Callable[[list[Acceptance]], list[Acceptance]]
    cases: dict[str, tuple[Wrong, tuple[str, str]]] = {
        "one missing": (lambda a: a[:2], ("acceptances-missing", "bank")),
        "one too many": (lambda a: [*a, a[2]], ("acceptances-missing", "bank")),
        "swapped": (lambda a: [a[0], a[2], a[1]], ("other-signer", "acme")),
        "of another plan": (lambda a: [a[0], a[1], elsewhere[0]], ("other-plan", "nova")),
        "another's": (lambda a: [a[0], a[1], a[1]], ("other-signer", "nova")),
        "unsigned": (lambda a: [a[0], a[1], cut(a[2], signature=b"")], ("bad-signature", "nova")),
        "another nonce": (
            lambda a: [a[0], a[1], cut(a[2], nonce=bytes(32))], ("bad-signature", "nova"),
        ),
        "another key": (
            lambda a: [cut(a[0], session_key=b"\x09" + bytes(31)), *a[1:]],
            ("bad-signature", "bank"),
        ),
        "a short nonce": (
            lambda a: [a[0], cut(a[1], nonce=b"x"), a[2]], ("acceptance-shape", "acme"),
        ),
    }  # fmt: skip

    async def scenario(mesh: Mesh) -> None:
        bank, acme, nova = await nodes(mesh, "bank", "acme", "nova")
        elsewhere.append(await accepted(bank, nova, await draft(bank, SUM)))
        for name, (wrong, told) in cases.items():
            plan = await draft(bank, SUM)
            right = [
                bank.node.accept(plan),
                await accepted(bank, acme, plan),
                await accepted(bank, nova, plan),
            ]
            assert await accepted(bank, nova, plan) == right[2]  # asked again: the same yes
            assert await refusal(start(bank, nova, plan, wrong(right))) == told, name
            job = nova.node.store.by_plan(plan.hash)
            assert job is not None and (job.state, job.code) == (FAILED, told[0])
            # It is used up: nothing starts this plan here again.
            assert await refusal(start(bank, nova, plan, right)) == ("plan-unknown", "")
            assert await refusal(propose(bank, nova, plan)) == ("plan-used", "")
        # An honest yes of ours from before a restart: its secret is gone.
        plan = await draft(bank, SUM)
        before = await accepted(bank, nova, plan)
        await nova.restart()
        after = await accepted(bank, nova, plan)
        assert after != before
        stale = [bank.node.accept(plan), await accepted(bank, acme, plan), before]
        assert await refusal(start(bank, nova, plan, stale)) == ("acceptance-stale", "bank")
        assert acme.node.running == nova.node.running == {}

    run(tmp_path, scenario)


def test_only_the_querier_starts_and_only_once(tmp_path: Path) -> None:
    async def scenario(mesh: Mesh) -> None:
        bank, acme, nova = await nodes(mesh, "bank", "acme", "nova", deaf=("bank", "nova"))
        plan = await draft(bank, PSI)
        acceptances = [bank.node.accept(plan), await accepted(bank, acme, plan)]
        assert await refusal(start(nova, acme, plan, acceptances)) == ("plan-not-yours", "")
        nothing = await draft(bank, PSI)
        assert await refusal(start(bank, acme, nothing, acceptances)) == ("plan-unknown", "")
        # Nor does another party withdraw it.
        await nova.stub(acme).Withdraw(WithdrawRequest(plan_hash=plan.hash))
        assert acme.node.store.by_plan(plan.hash).state == ACCEPTED  # type: ignore[union-attr]

        answer = await start(bank, acme, plan, acceptances)
        assert answer.WhichOneof("answer") == "started"
        job = plan.hash[:8].hex()
        await acme.until(job, RUNNING)
        assert await refusal(start(bank, acme, plan, acceptances)) == ("plan-unknown", "")
        assert await refusal(propose(bank, acme, plan)) == ("plan-used", "")
        # Once it runs, withdrawing does nothing; the bank never connects, and it ends.
        await bank.stub(acme).Withdraw(WithdrawRequest(plan_hash=plan.hash))
        ended = await acme.end(job)
        assert (ended.state, ended.code, ended.exit_code) == ("failed", "link-lost", 5)
        assert await refusal(propose(bank, acme, plan)) == ("plan-used", "")
        assert len(acme.node.store.all()) == 1

        withdrawn = await draft(bank, PSI)
        await accepted(bank, acme, withdrawn)
        await bank.stub(acme).Withdraw(WithdrawRequest(plan_hash=withdrawn.hash))
        job = withdrawn.hash[:8].hex()
        assert (await acme.end(job)).code == "withdrawn"
        assert acme.node.store.get(job).state == CANCELLED  # type: ignore[union-attr]

    run(tmp_path, scenario)


def test_a_plan_that_ran_to_its_end_does_not_run_again(tmp_path: Path) -> None:
    async def scenario(mesh: Mesh) -> None:
        bank, acme = await nodes(mesh, "bank", "acme", deaf=())
        done = await ask(bank, PSI)
        await acme.until(done.job, DONE)
        plan = Plan.parse(acme.node.store.get(done.job).plan)  # type: ignore[union-attr]
        assert await refusal(propose(bank, acme, plan)) == ("plan-used", "")
        await acme.restart()
        assert await refusal(propose(bank, acme, plan)) == ("plan-used", "")
        assert (await acme.job(done.job)).state == DONE

    run(tmp_path, scenario)


def test_parties_that_were_shown_different_plans_do_not_begin(tmp_path: Path) -> None:
    """The plans differ in one field; every signature is genuine."""

    async def scenario(mesh: Mesh) -> None:
        bank, acme, nova = await nodes(mesh, "bank", "acme", "nova")
        plan = await draft(bank, SUM)
        other = await draft(bank, SUM, nonce=plan.message.nonce, purpose="something else",
                            created=plan.message.created, expires=plan.message.expires)  # fmt: skip
        from_acme, from_nova = await accepted(bank, acme, plan), await accepted(bank, nova, other)
        for to, shown, code in ((acme, plan, ("other-plan", "nova")),
                                (nova, other, ("other-plan", "acme"))):  # fmt: skip
            acceptances = [bank.node.accept(shown), from_acme, from_nova]
            assert await refusal(start(bank, to, shown, acceptances)) == code
        assert acme.node.running == nova.node.running == {}

    run(tmp_path, scenario)


def test_the_querier_checks_what_partners_answer(tmp_path: Path) -> None:
    """An acceptance of another plan, a forged one, an answer that is none, a code that is prose."""

    async def scenario(mesh: Mesh) -> None:
        bank, acme = await nodes(mesh, "bank", "acme", deaf=())
        answers: list[tuple[Callable[[Any], None], str, str, int]] = [
            (lambda a: setattr(a.accepted, "plan_hash", bytes(32)), "failed", "other-plan", 4),
            (lambda a: setattr(a.accepted, "nonce", bytes(32)), "failed", "bad-signature", 4),
            (lambda a: a.Clear(), "failed", "answer-empty", 4),
            (lambda a: setattr(a.refused, "code", "\x1b[2J oh"), "refused", "refused", 3),
            (lambda a: setattr(a.refused, "code", "x" * 100), "refused", "refused", 3),
        ]
        for change, state, code, exit_code in answers:

            async def forge(passing: Any, change: Callable[[Any], None] = change) -> list[Any]:
                if passing.method == "Propose" and passing.to == "bank":
                    change(passing.message)
                return [passing.message]

            mesh.tamper = forge
            ended = await ask(bank, PSI)
            assert (ended.state, ended.code, ended.exit_code) == (state, code, exit_code)
            assert ended.message.startswith("acme") and ended.message.isprintable()
            # Whoever had said yes has been told that it is off.
            assert (await acme.end(ended.job)).code == "withdrawn"

    run(tmp_path, scenario)


@pytest.mark.parametrize("answer", ["busy", ""])
def test_a_start_that_is_not_answered_ends_the_session(answer: str, tmp_path: Path) -> None:
    async def scenario(mesh: Mesh) -> None:
        bank, acme = await nodes(mesh, "bank", "acme", deaf=())
        answered = asyncio.Event()

        async def forge(passing: Any) -> list[Any]:
            if passing.method == "Link":
                await answered.wait()
            elif passing.method == "Start" and passing.to == "bank":
                passing.message.Clear()
                passing.message.refused.code = answer
                asyncio.get_running_loop().call_later(0.1, answered.set)
            return [passing.message]

        mesh.tamper = forge
        ended = await ask(bank, PSI)
        code, exit_code = ("busy", 5) if answer else ("refused", 3)
        assert (ended.state, ended.code, ended.exit_code) == ("refused", code, exit_code)
        assert (await acme.end(ended.job)).code == code

    run(tmp_path, scenario)
