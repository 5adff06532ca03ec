"""Links between nodes: who may open one, what may travel on it, what happens when it breaks."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from mpc.signing import sign
from mpc.wire.v1.psi_ecdh_pb2 import SetSize
from mpc.wire.v1.session_pb2 import Block, Credit, Frame, Receipt
from parties import tls
from parties.rpc.v1.peer_pb2 import Abort, LinkMessage, Open, StartRequest
from parties.store import CANCELLED, DONE, ENDED, FAILED, RUNNING
from protocols.handshake import open_session
from protocols.session import Session
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
    run,
)
from tests.parties.proxy import proxy

PSI = query("psi", "rows", {"acme": "rows"})
BOTH = query("psi", "rows", {"acme": "rows"}, to="both")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    impatient(monkeypatch)


@pytest.fixture
def many_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small data in many messages."""
    monkeypatch.setattr("protocols.stream.BLOCK_BYTES", 64)
    monkeypatch.setattr("protocols.match.CHUNK", 2)


async def nodes(mesh: Mesh, *names: str, count: int = 4, **more: Any) -> list[Party]:
    made = await mesh.nodes(*names, handshake_seconds=2, **more)
    for number, party in enumerate(made):
        rows = [f"k{row}" for row in range(number, number + count)]
        party.dataset("rows", csv("id", *rows))
        for other in names:
            if other != party.name:
                party.allow("rows", "psi", other)
    return made


async def begin(bank: Party, acme: Party, text: str = PSI) -> tuple[Session, StartRequest]:
    """A plan that acme has accepted; the bank, whose node is deaf, knows the session to come."""
    plan = await draft(bank, text)
    yes = (await propose(bank, acme, plan)).accepted
    ours = bank.node.accept(plan)
    secret = bank.node.accepted[plan.hash].session_secret.expose()
    session = open_session(plan, "bank", secret, [ours, yes])
    return session, StartRequest(plan_hash=plan.hash, acceptances=[ours, yes])


@asynccontextmanager
async def link(sender: Party, to: Party, *messages: LinkMessage) -> AsyncIterator[Any]:
    """A stream on which ``messages`` have been sent."""
    call = sender.stub(to).Link()
    for message in messages:
        await call.write(message)
    try:
        yield call
    finally:
        call.cancel()


async def refused(call: Any) -> tuple[str, str]:
    """The status with which a stream ends that carries nothing."""
    with pytest.raises(grpc.aio.AioRpcError) as error:
        async with asyncio.timeout(5):
            while await call.read() is not grpc.aio.EOF:
                pass
            raise AssertionError("the stream was let end")
    return error.value.code().name, str(error.value.details())


def opening(session: Session) -> LinkMessage:
    return LinkMessage(open=Open(session_id=session.id))


def test_a_link_is_for_the_parties_of_a_session_that_there_is(tmp_path: Path) -> None:
    async def scenario(mesh: Mesh) -> None:
        bank, acme, nova = await nodes(mesh, "bank", "acme", "nova", deaf=("bank",))
        unknown = LinkMessage(open=Open(session_id=bytes(32)))
        async with link(bank, acme, unknown) as call:  # at once: nothing was said yes to
            assert await refused(call) == ("NOT_FOUND", "session-unknown")
        session, start = await begin(bank, acme)
        credit = LinkMessage(credit=Credit(session_id=session.id, receiver=1))
        for first in (credit, LinkMessage(abort=Abort(code="shutdown")), LinkMessage()):
            async with link(bank, acme, first, opening(session)) as call:
                assert await refused(call) == ("INVALID_ARGUMENT", "link-not-opened")
        async with link(bank, acme) as call:
            await call.done_writing()
            assert await refused(call) == ("INVALID_ARGUMENT", "link-not-opened")

        # Before the start it waits; the start comes, and it goes on.
        async with link(bank, acme, opening(session)) as call:
            early = asyncio.create_task(call.read())
            await asyncio.sleep(0.1)
            assert not early.done()
            await bank.stub(acme).Start(start)
            assert await early == opening(session)
            async with link(nova, acme, opening(session)) as intruder:
                assert await refused(intruder) == ("PERMISSION_DENIED", "link-not-yours")
            assert (await call.read()).WhichOneof("content") == "frame"
        assert acme.node.store.all()[0].state == RUNNING

    run(tmp_path, scenario)


def test_a_start_that_never_comes_is_not_waited_for_ever(tmp_path: Path) -> None:
    async def scenario(mesh: Mesh) -> None:
        bank, acme = await mesh.nodes("bank", "acme", deaf=("bank",), handshake_seconds=1)
        for party in (bank, acme):
            party.dataset("rows", csv("id", "a"))
        acme.allow("rows", "psi", "bank")
        session, _ = await begin(bank, acme)
        async with link(bank, acme, opening(session)) as call:
            assert await refused(call) == ("NOT_FOUND", "session-unknown")

    run(tmp_path, scenario)


def test_the_party_that_stands_later_in_the_plan_does_not_dial(tmp_path: Path) -> None:
    async def scenario(mesh: Mesh) -> None:
        bank, acme = await nodes(mesh, "bank", "acme")
        held = asyncio.Event()

        async def hold(passing: Passing) -> list[Any]:
            if passing.content == "frame":
                await held.wait()
            return [passing.message]

        mesh.tamper = hold
        job = await bank.ask("submit", PSI)
        await bank.until(job, RUNNING)
        (session_id,) = bank.node.sessions
        async with link(acme, bank, LinkMessage(open=Open(session_id=session_id))) as call:
            assert await refused(call) == ("PERMISSION_DENIED", "link-not-yours")
        held.set()
        assert (await bank.end(job)).state == DONE

    run(tmp_path, scenario)


def frame(session: Session, **changes: Any) -> LinkMessage:
    right = {
        "session_id": session.id, "sender": 0, "receiver": 1, "lane": "size", "sequence": 0,
        "kind": SetSize.DESCRIPTOR.full_name, "payload": SetSize(count=3).SerializeToString(),
    }  # fmt: skip
    return LinkMessage(frame=Frame(**{**right, **changes}))


def credit(session: Session, **changes: Any) -> LinkMessage:
    right = {"session_id": session.id, "sender": 0, "receiver": 1, "lane": "size", "consumed": 1}
    return LinkMessage(credit=Credit(**{**right, **changes}))


def signed_receipt(session: Session, transcript: bytes) -> LinkMessage:
    return LinkMessage(receipt=Receipt(session_id=session.id, transcript=transcript))


BAD: dict[str, tuple[Callable[[Session], list[LinkMessage]], str]] = {
    "in the receiver's own name": (lambda s: [frame(s, sender=1)], "wrong-party"),
    "in nobody's name": (lambda s: [frame(s, sender=2**32 - 1)], "wrong-party"),
    "for another": (lambda s: [frame(s, receiver=0)], "wrong-party"),
    "of another session": (lambda s: [frame(s, session_id=bytes(32))], "wrong-session"),
    "of no session": (lambda s: [frame(s, session_id=b"")], "wrong-session"),
    "out of order": (lambda s: [frame(s, sequence=1)], "frame-gap"),
    "far out of order": (lambda s: [frame(s, sequence=2**64 - 1)], "frame-gap"),
    "on a lane that is none": (lambda s: [frame(s, lane="\x00\n")], "lane-name"),
    "of another kind": (lambda s: [frame(s, kind="mpc.wire.v1.Block")], "unexpected-kind"),
    "of garbage": (lambda s: [frame(s, payload=b"\xff" * 9)], "unparsable"),
    "of an untold size": (lambda s: [frame(s, payload=b"")], "set-outside-plan"),
    "past the plan's bound": (
        lambda s: [frame(s, payload=SetSize(count=17).SerializeToString())], "set-outside-plan",
    ),
    "too large": (lambda s: [frame(s, payload=bytes((512 << 10) + 1))], "payload-too-large"),
    "more than the window": (
        lambda s: [frame(s, lane="points", sequence=n) for n in range(17)], "window-exceeded",
    ),
    "on very many lanes": (
        lambda s: [frame(s, lane=f"lane-{n}") for n in range(40)], "too-many-lanes",
    ),
    "credit for what was not sent": (lambda s: [credit(s, consumed=2)], "credit-too-high"),
    "credit past all numbers": (lambda s: [credit(s, consumed=2**64 - 1)], "credit-too-high"),
    "credit on a lane that is none": (lambda s: [credit(s, lane="nowhere")], "credit-lane"),
    "credit in another's name": (lambda s: [credit(s, sender=1)], "wrong-party"),
    "two receipts": (
        lambda s: [signed_receipt(s, bytes(32)), signed_receipt(s, b"\x01" * 32)], "receipt-twice",
    ),
}  # fmt: skip


def test_what_a_peer_must_not_send_ends_the_session_and_names_it(tmp_path: Path) -> None:
    async def scenario(mesh: Mesh) -> None:
        bank, acme = await nodes(mesh, "bank", "acme", deaf=("bank",))
        for name, (messages, code) in BAD.items():
            session, start = await begin(bank, acme)
            await bank.stub(acme).Start(start)
            async with link(bank, acme, opening(session)) as call:
                assert await call.read() == opening(session)
                assert (await call.read()).frame.lane == "size"
                for message in messages(session):
                    await call.write(message)
                ended = await acme.end(session.plan.hash[:8].hex())
                told = (ended.state, ended.code, ended.exit_code)
                assert told == (FAILED, code, 4), f"{name}: {told}"
                assert ended.message.startswith(f"bank: {code}: "), ended.message
                # The culprit hears the code, and nothing else.
                last = None
                while (message := await call.read()) is not grpc.aio.EOF:
                    last = message
                    if message.WhichOneof("content") == "abort":
                        await call.done_writing()
                assert last == LinkMessage(abort=Abort(code=code)), name
        assert acme.node.running == {}
        assert not (acme.home.state / "results").exists()

    run(tmp_path, scenario)


def test_messages_that_say_nothing_do_no_harm(tmp_path: Path) -> None:
    async def scenario(mesh: Mesh) -> None:
        bank, _ = await nodes(mesh, "bank", "acme")
        seen: list[str] = []

        async def stuff(passing: Passing) -> list[Any]:
            if passing.method != "Link":
                return [passing.message]
            seen.append(passing.content)
            session_id = next(iter(bank.node.sessions))
            unknown = LinkMessage.FromString(b"\xfa\x3e\x03abc")
            again = (
                [passing.message] * 2 if passing.content in ("frame", "credit", "receipt") else []
            )
            nothing = [LinkMessage(), unknown, LinkMessage(open=Open(session_id=session_id))]
            return [*(again or [passing.message]), *nothing]

        mesh.tamper = stuff
        ended = await ask(bank, BOTH)
        assert ended.state == DONE, ended.message
        assert await bank.result(ended.job) == {"id": ["k1", "k2", "k3"]}
        assert {"open", "frame", "credit", "receipt"} <= set(seen)

    run(tmp_path, scenario)


WORDS = {
    "shutdown": "shutdown",
    "plan-unknown": "plan-unknown",
    "\x1b[31mcall 555-1234\n": "peer-aborted",
    "x" * 41: "peer-aborted",
    "": "peer-aborted",
}


def test_a_peers_word_for_the_end_is_a_word_or_not_repeated(tmp_path: Path) -> None:
    async def scenario(mesh: Mesh) -> None:
        bank, acme = await nodes(mesh, "bank", "acme", deaf=("bank",))
        for said, heard in WORDS.items():
            session, start = await begin(bank, acme)
            await bank.stub(acme).Start(start)
            async with link(bank, acme, opening(session), LinkMessage(abort=Abort(code=said))):
                ended = await acme.end(session.plan.hash[:8].hex())
                assert (ended.state, ended.code) == (CANCELLED, heard)
                assert ended.message.startswith(f"bank ended the session: {heard}: ")
                assert ended.message.isprintable()

    run(tmp_path, scenario)


def test_a_message_over_the_limit_never_reaches_the_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = [(name, value) for name, value in tls.CHANNEL_OPTIONS if "message_length" not in name]
    unlimited = [*without, ("grpc.max_send_message_length", -1)]
    monkeypatch.setattr(tls, "CHANNEL_OPTIONS", unlimited)

    async def scenario(mesh: Mesh) -> None:
        bank, acme = await nodes(mesh, "bank", "acme", deaf=("bank",))
        session, start = await begin(bank, acme)
        await bank.stub(acme).Start(start)
        big = frame(session, payload=bytes(tls.MOST_MESSAGE_BYTES))
        async with link(bank, acme, opening(session), big) as call:
            assert (await refused(call))[0] == "RESOURCE_EXHAUSTED"
        assert all(passing.message != big for passing in mesh.tape)
        # That was a broken stream: another may follow, and if none does, the session ends.
        async with link(bank, acme, opening(session)) as call:
            assert await call.read() == opening(session)
        ended = await acme.end(session.plan.hash[:8].hex())
        assert (ended.code, ended.exit_code) == ("link-lost", 5)

    run(tmp_path, scenario)


def test_a_second_stream_takes_the_place_of_the_first(tmp_path: Path) -> None:
    async def scenario(mesh: Mesh) -> None:
        bank, acme = await nodes(mesh, "bank", "acme", deaf=("bank",))
        session, start = await begin(bank, acme)
        await bank.stub(acme).Start(start)
        async with link(bank, acme, opening(session)) as first:
            assert await first.read() == opening(session)
            size = await first.read()
            async with link(bank, acme, opening(session)) as second:
                # What the bank has not credited is said again, and nothing more on the first.
                assert await second.read() == opening(session)
                assert await second.read() == size
                await first.done_writing()
                assert await first.read() is grpc.aio.EOF
                await second.write(frame(session))
                contents = [(await second.read()).WhichOneof("content") for _ in range(2)]
                assert sorted(contents) == ["credit", "frame"]
                assert acme.node.store.all()[0].state == RUNNING

    run(tmp_path, scenario)


@pytest.mark.parametrize("seed", range(3))
def test_a_stream_that_breaks_many_times_changes_nothing(
    seed: int, tmp_path: Path, many_frames: None
) -> None:
    coins = random.Random(seed)

    async def scenario(mesh: Mesh) -> None:
        async with proxy() as between:
            bank, acme = await nodes(mesh, "bank", "acme", count=60, proxies={"acme": between.port})
            between.target = int(acme.home.settings().listen.rpartition(":")[2])

            async def cut_now_and_then(passing: Passing) -> list[Any]:
                if passing.content == "frame" and between.cuts < 12 and coins.random() < 0.1:
                    between.cuts += 1
                    between.cut_all()
                return [passing.message]

            mesh.tamper = cut_now_and_then
            ended = await ask(bank, BOTH)
            assert ended.state == DONE, ended.message
            assert between.cuts >= 5
            assert await bank.result(ended.job) == {"id": [f"k{row}" for row in range(1, 60)]}
            await acme.until(ended.job, DONE)
            assert await acme.result(ended.job) == await bank.result(ended.job)

    run(tmp_path, scenario)


def test_a_link_that_stays_broken_ends_the_session_at_both_ends(
    tmp_path: Path, many_frames: None
) -> None:
    async def scenario(mesh: Mesh) -> None:
        async with proxy() as between:
            bank, acme = await nodes(mesh, "bank", "acme", count=60, proxies={"acme": between.port})
            between.target = int(acme.home.settings().listen.rpartition(":")[2])

            async def cut_for_good(passing: Passing) -> list[Any]:
                if passing.content == "frame" and passing.message.frame.sequence == 3:
                    between.target = 1
                    between.cut_all()
                return [passing.message]

            mesh.tamper = cut_for_good
            job = await bank.ask("submit", BOTH)
            for party, other in ((bank, "acme"), (acme, "bank")):
                ended = await party.end(job)
                assert (ended.state, ended.code, ended.exit_code) == (FAILED, "link-lost", 5)
                assert ended.message.startswith(f"{other}: link-lost: the connection broke; ")
                assert not (party.home.state / "results").exists()

    run(tmp_path, scenario)


def test_no_result_before_the_peers_receipt(tmp_path: Path) -> None:
    async def scenario(mesh: Mesh) -> None:
        bank, acme = await nodes(mesh, "bank", "acme")
        held, seen = asyncio.Event(), asyncio.Event()

        async def hold(passing: Passing) -> list[Any]:
            if passing.content == "receipt":
                if passing.to == "bank":
                    seen.set()
                await held.wait()
            return [passing.message]

        mesh.tamper = hold
        job = await bank.ask("submit", BOTH)
        await asyncio.wait_for(seen.wait(), 10)
        await asyncio.sleep(0.2)
        for party in (bank, acme):
            assert party.node.store.get(job).state == RUNNING  # type: ignore[union-attr]
            assert not (party.home.state / "results").exists()
            assert party.node.store.receipts(job) == {}
        held.set()
        for party in (bank, acme):
            assert (await party.until(job, DONE)).state == DONE
            assert (party.home.state / "results" / f"{job}.arrow").exists()

    run(tmp_path, scenario)


def test_every_peers_receipt_is_waited_for(tmp_path: Path) -> None:
    text = query(
        "sum", "rows", {"acme": "rows", "nova": "rows"}, amount="v", floor=2, key_bits=2048
    )

    async def scenario(mesh: Mesh) -> None:
        bank, acme, nova = await mesh.nodes("bank", "acme", "nova")
        for party in (bank, acme, nova):
            party.dataset("rows", csv("id,v", "a,1"))
            party.allow("rows", "sum", "bank", columns=("v",), min_cohort=2)
        held, seen = asyncio.Event(), asyncio.Event()

        async def hold(passing: Passing) -> list[Any]:
            if passing.content == "receipt" and (passing.sender, passing.to) == ("nova", "bank"):
                seen.set()
                await held.wait()
            return [passing.message]

        mesh.tamper = hold
        job = await bank.ask("submit", text)
        await asyncio.wait_for(seen.wait(), 10)
        await acme.until(job, DONE)  # which has the bank's, and nova's
        await asyncio.sleep(0.1)
        assert bank.node.store.get(job).state == RUNNING  # type: ignore[union-attr]
        assert not (bank.home.state / "results").exists()
        held.set()
        await bank.until(job, DONE)
        assert set(bank.node.store.receipts(job)) == {"acme", "nova"}

    run(tmp_path, scenario)


def resigned(receipt: Receipt, secret: bytes, **changes: bytes) -> LinkMessage:
    """``receipt`` with fields changed, and a signature that fits."""
    made = Receipt()
    made.CopyFrom(receipt)
    for key, value in changes.items():
        setattr(made, key, value)
    parts = (b"\0\0\0\1", made.session_id, made.plan_hash, made.peer_key, made.transcript)
    made.signature = sign(secret, "receipt", *parts)
    return LinkMessage(receipt=made)


RECEIPTS: dict[str, tuple[Callable[[Receipt, Party], LinkMessage], str]] = {
    "of another transcript": (
        lambda r, p: resigned(r, p.secret, transcript=bytes(32)), "transcript-differs",
    ),
    "of another session": (
        lambda r, p: resigned(r, p.secret, session_id=bytes(32)), "receipt-session",
    ),
    "of another plan": (lambda r, p: resigned(r, p.secret, plan_hash=bytes(32)), "receipt-session"),
    "for another peer": (lambda r, p: resigned(r, p.secret, peer_key=bytes(32)), "receipt-peer"),
    "signed by another": (
        lambda r, p: resigned(r, p.secret, signing_key=r.peer_key), "receipt-signer",
    ),
    "signed with another key": (lambda r, p: resigned(r, bytes(32)), "bad-signature"),
}  # fmt: skip


def test_receipts_that_do_not_agree_release_nothing(tmp_path: Path) -> None:
    """Both receipts are forged on their way, so that neither party holds a good one."""

    async def scenario(mesh: Mesh) -> None:
        bank, acme = await nodes(mesh, "bank", "acme")
        for name, (forge, code) in RECEIPTS.items():

            async def tamper(passing: Passing, forge: Any = forge) -> list[Any]:
                if passing.content != "receipt":
                    return [passing.message]
                sender = mesh.parties[passing.sender]
                return [forge(passing.message.receipt, sender)]

            mesh.tamper = tamper
            job = await bank.ask("submit", BOTH)
            codes = set()
            for party in (bank, acme):
                ended = await party.until(job, *ENDED - {DONE})
                codes.add(ended.code)
                # One may hear of it from the other before it has looked itself.
                assert ended.exit_code == 4 or ended.state == CANCELLED, name
                assert not (party.home.state / "results").exists()
                assert party.node.store.receipts(job) == {}
            assert codes == {code}, name

    run(tmp_path, scenario)


def test_parties_that_saw_different_frames_release_nothing(tmp_path: Path) -> None:
    """Two points change places on the way: as valid as before, and another transcript."""

    async def scenario(mesh: Mesh) -> None:
        bank, acme = await nodes(mesh, "bank", "acme")

        async def swap(passing: Passing) -> list[Any]:
            if passing.content == "frame" and passing.message.frame.lane == "points":
                block = Block.FromString(passing.message.frame.payload)
                block.data = block.data[32:] + block.data[:32]
                changed = LinkMessage()
                changed.CopyFrom(passing.message)
                changed.frame.payload = block.SerializeToString()
                return [changed]
            return [passing.message]

        mesh.tamper = swap
        job = await bank.ask("submit", BOTH)
        for party in (bank, acme):
            ended = await party.until(job, *ENDED - {DONE})
            assert ended.code == "transcript-differs"
            assert not (party.home.state / "results").exists()

    run(tmp_path, scenario)
