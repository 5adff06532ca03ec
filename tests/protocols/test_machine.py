"""The machine: what it asks of its driver, what it takes, and how it ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mpc.curve25519 import public_key as session_public_key
from mpc.errors import Malformed
from mpc.wire import encode
from mpc.wire.v1.psi_ecdh_pb2 import SetSize
from mpc.wire.v1.session_pb2 import Block, Credit, Frame
from protocols.errors import Cancelled, Misuse, PeerFault, SessionError
from protocols.frames import MOST_PAYLOAD
from protocols.handshake import accept, open_session
from protocols.machine import Finished, Job, Machine
from protocols.role import (
    Draw,
    Report,
    Steps,
    compute,
    draw,
    each,
    fork,
    read,
    receive,
    report,
    send,
)
from protocols.session import Session
from tests.protocols.adversary import changed
from tests.protocols.case import build_plan


def session(me: str = "alice") -> Session:
    parties = [("alice", "one", 20, ()), ("bob", "two", 20, ()), ("carol", "three", 20, ())]
    plan, secrets = build_plan("toy.test", SetSize(), parties)
    session_secrets = {name: name.encode().ljust(32, b"\1") for name in plan.names}
    acceptances = [
        accept(plan, secrets[name], bytes(32), session_secrets[name]) for name in plan.names
    ]
    assert acceptances[0].session_key == session_public_key(session_secrets["alice"])
    return open_session(plan, me, session_secrets[me], acceptances)


def machine(role: Steps[Any], me: str = "alice", window: int = 8) -> Machine[Any]:
    return Machine(session(me), role, window)


def frames(actions: list[Any]) -> list[Frame]:
    return [action for action in actions if isinstance(action, Frame)]


def jobs(actions: list[Any]) -> list[Job]:
    return [action for action in actions if isinstance(action, Job)]


def result(actions: list[Any]) -> Any:
    (finished,) = [action for action in actions if isinstance(action, Finished)]
    return finished.result


def message_of(number: int) -> SetSize:
    return SetSize(count=number)


def from_bob(lane: str, number: int, sequence: int = 0) -> Frame:
    """A frame to alice, who is party 0."""
    return Frame(
        session_id=session().id,
        sender=1,
        receiver=0,
        lane=lane,
        sequence=sequence,
        kind="mpc.wire.v1.SetSize",
        payload=encode(message_of(number)),
    )


def sends(lane: str, *numbers: int, to: str = "bob") -> Steps[None]:
    for number in numbers:
        yield from send(to, lane, message_of(number))


def receives(lane: str, count: int = 1, sender: str = "bob") -> Steps[list[int]]:
    received = []
    for _ in range(count):
        message = yield from receive(sender, lane, SetSize)
        received.append(message.count)
    return received


def ending(run: Callable[[], Any]) -> SessionError:
    with pytest.raises(SessionError) as end:
        run()
    return end.value


# What a role can do


def test_a_role_sends_until_its_window_is_full() -> None:
    m = machine(sends("x", *range(5)), window=2)
    assert [SetSize.FromString(f.payload).count for f in frames(m.run())] == [0, 1]
    m.deliver(Credit(session_id=session().id, sender=1, receiver=0, lane="x", consumed=1))
    assert [f.sequence for f in frames(m.run())] == [2]
    m.deliver(Credit(session_id=session().id, sender=1, receiver=0, lane="x", consumed=3))
    actions = m.run()
    assert [f.sequence for f in frames(actions)] == [3, 4]
    assert result(actions) is None


def test_messages_are_credited_when_the_role_has_taken_them() -> None:
    def role() -> Steps[list[int]]:
        yield from draw(1)
        return (yield from receives("x", 2))

    m = machine(role())
    (job,) = jobs(m.run())
    m.deliver(from_bob("x", 7))
    m.deliver(from_bob("x", 8, sequence=1))
    assert m.run() == []
    m.answer(job.ticket, b"\0")
    actions = m.run()
    assert [a.consumed for a in actions if isinstance(a, Credit)] == [1, 2]
    assert result(actions) == [7, 8]


def test_branches_run_side_by_side_and_answer_in_their_order() -> None:
    def role() -> Steps[Any]:
        return (yield from fork(receives("x"), draw(3), receives("y"), fork(draw(1), draw(2))))

    m = machine(role())
    asked = jobs(m.run())
    assert [job.effect for job in asked] == [Draw(3), Draw(1), Draw(2)]
    m.deliver(from_bob("y", 1))
    m.deliver(from_bob("x", 2))
    for job in reversed(asked):
        m.answer(job.ticket, bytes(job.effect.count))
    assert result(m.run()) == ([2], b"\0\0\0", [1], (b"\0", b"\0\0"))


def test_no_branches_at_all_are_done_at_once() -> None:
    assert result(machine(each([])).run()) == ()


def test_progress_is_passed_on() -> None:
    assert machine(report("points", 3, 9)).run()[0] == Report("points", 3, 9)


def test_tickets_say_where_in_the_role_a_job_stands() -> None:
    """The same in every order of events, so that a journal can be kept by them."""

    def branch(lane: str) -> Steps[bytes]:
        yield from receives(lane)
        return (yield from draw(1))

    def role() -> Steps[Any]:
        first = yield from draw(1)
        return first, (yield from fork(branch("x"), branch("y")))

    tickets = []
    for order in ("xy", "yx"):
        m = machine(role())
        (job,) = jobs(m.run())
        m.answer(job.ticket, b"")
        m.run()
        asked = {}
        for lane in order:
            m.deliver(from_bob(lane, 0))
            (asked[lane],) = jobs(m.run())
        tickets.append((job.ticket, asked["x"].ticket, asked["y"].ticket))
    assert tickets[0] == tickets[1]
    assert len(set(tickets[0])) == 3


def test_a_job_that_fails_raises_where_it_was_asked_for() -> None:
    def role() -> Steps[str]:
        try:
            yield from compute(len, "abc")
        except LookupError as error:
            return f"caught {error}"
        return "not raised"

    m = machine(role())
    (job,) = jobs(m.run())
    m.fail(job.ticket, LookupError("it"))
    assert result(m.run()) == "caught it"


# One writer and one reader a lane


def test_two_branches_cannot_share_a_lane() -> None:
    for roles in ([sends("x", 1), sends("x", 2)], [receives("x"), receives("x")]):
        assert ending(machine(each(roles)).run).code == "lane-shared"


def test_two_branches_cannot_share_a_lane_one_after_the_other_either() -> None:
    """Which comes first is a matter of what arrives when."""

    def late(lane: str) -> Steps[None]:
        yield from receives(lane)
        yield from sends("x", 1)

    m = machine(each([late("y"), late("z")]))
    m.run()
    m.deliver(from_bob("y", 0))
    assert len(frames(m.run())) == 1
    m.deliver(from_bob("z", 0))
    assert ending(m.run).code == "lane-shared"


def test_a_role_may_go_on_where_its_branches_left_off_and_they_where_it_did() -> None:
    def role() -> Steps[None]:
        yield from sends("x", 0)
        yield from fork(sends("x", 1), fork(sends("y", 0)))
        yield from sends("x", 2)
        yield from fork(sends("y", 1), sends("x", 3))

    actions = machine(role()).run()
    assert [(f.lane, f.sequence) for f in frames(actions) if f.lane == "x"] == [
        ("x", 0),
        ("x", 1),
        ("x", 2),
        ("x", 3),
    ]
    assert result(actions) is None


def test_the_two_ways_of_a_lane_and_two_peers_are_lanes_of_their_own() -> None:
    branches = [sends("x", 1), receives("x"), sends("x", 1, to="carol")]
    m = machine(each(branches))
    assert len(frames(m.run())) == 2
    m.deliver(from_bob("x", 5))
    assert result(m.run())[1] == [5]


@pytest.mark.parametrize(("to", "lane"), [("dave", "x"), ("alice", "x"), ("bob", "X"), ("bob", "")])
def test_lanes_to_nowhere_are_a_bug(to: str, lane: str) -> None:
    assert ending(machine(sends(lane, 1, to=to)).run).code == "no-such-lane"


# How it ends


def test_a_result_ends_it_and_old_frames_are_no_news() -> None:
    m = machine(receives("x"))
    m.run()
    frame = from_bob("x", 1)
    m.deliver(frame)
    assert result(m.run()) == [1]
    m.deliver(frame)
    assert m.run() == []
    assert ending(lambda: m.deliver(from_bob("x", 2, sequence=1))).code == "frame-after-the-end"


def test_what_the_role_never_read_is_its_senders_fault() -> None:
    m = machine(draw(1))
    (job,) = jobs(m.run())
    m.deliver(from_bob("x", 1))
    m.answer(job.ticket, b"")
    error = ending(m.run)
    assert isinstance(error, PeerFault)
    assert (error.culprit, error.code) == ("bob", "frame-unread")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"kind": "mpc.wire.v1.Block"}, "unexpected-kind"),
        ({"payload": b"\xff"}, "unparsable"),
        ({"payload": b"\x08\x80\x00"}, "not-canonical"),
    ],
)
@pytest.mark.parametrize("waiting", [True, False])
def test_a_wrong_message_is_its_senders_fault(
    fields: dict[str, Any], code: str, waiting: bool
) -> None:
    """Whether the role waits for it already, or comes to it later."""

    def role() -> Steps[None]:
        yield from draw(1)
        yield from receives("x")

    m = machine(role())
    (job,) = jobs(m.run())

    def exchange() -> None:
        if waiting:
            m.answer(job.ticket, b"")
            m.run()
        m.deliver(changed(from_bob("x", 1), **fields))
        m.answer(job.ticket, b"")
        m.run()

    error = ending(exchange)
    assert isinstance(error, PeerFault)
    assert (error.culprit, error.code) == ("bob", code)


def test_a_frame_whose_sender_is_no_peer_is_refused() -> None:
    for sender in (0, 3, 2**32 - 1):
        m = machine(receives("x"))
        error = ending(lambda m=m, s=sender: m.deliver(changed(from_bob("x", 1), sender=s)))
        assert isinstance(error, Misuse)
        assert error.code == "frame-from-nobody"


def test_an_error_sticks() -> None:
    """The first one, whatever comes after it."""
    m = machine(receives("x"))
    m.run()
    first = ending(lambda: m.deliver(changed(from_bob("x", 1), sequence=9)))
    m.deliver(from_bob("x", 1))
    m.deliver(changed(from_bob("x", 1), sender=9))
    m.cancel("shutdown")
    assert ending(m.run) is first
    assert ending(m.run) is first


def test_cancelling_closes_every_branch_and_sticks() -> None:
    closed = []

    def branch(name: str) -> Steps[None]:
        try:
            yield from receives(name)
        finally:
            closed.append(name)

    m = machine(each([branch("x"), each([branch("y"), branch("z")])]))
    m.run()
    m.cancel("operator", "bob")
    assert sorted(closed) == ["x", "y", "z"]
    m.cancel("shutdown")
    error = ending(m.run)
    assert isinstance(error, Cancelled)
    assert (error.code, error.by) == ("operator", "bob")
    m.deliver(from_bob("x", 1))


def test_an_error_in_one_branch_closes_the_others() -> None:
    closed = []

    def waiting() -> Steps[None]:
        try:
            yield from receives("x")
        finally:
            closed.append("x")

    def failing() -> Steps[None]:
        yield from draw(1)
        raise LookupError

    m = machine(each([waiting(), failing()]))
    (job,) = jobs(m.run())
    m.answer(job.ticket, b"")
    assert ending(m.run).code == "internal-error"
    assert closed == ["x"]


def test_an_exception_of_the_role_is_our_own_fault_and_its_text_stays_here() -> None:
    def role() -> Steps[None]:
        yield from draw(1)
        raise KeyError("supplier 4711")

    m = machine(role())
    (job,) = jobs(m.run())
    m.answer(job.ticket, b"")
    error = ending(m.run)
    assert isinstance(error, Misuse)
    assert (error.code, str(error)) == ("internal-error", "KeyError")


def test_something_malformed_that_nobody_is_blamed_for_is_our_own_fault() -> None:
    def role() -> Steps[None]:
        yield from draw(1)
        raise Malformed("point-low-order", 3)

    m = machine(role())
    (job,) = jobs(m.run())
    m.answer(job.ticket, b"")
    error = ending(m.run)
    assert isinstance(error, Misuse)
    assert error.code == "point-low-order"


def test_a_message_too_large_to_send_is_a_bug() -> None:
    block = Block(data=bytes(MOST_PAYLOAD))
    assert ending(machine(send("bob", "x", block)).run).code == "payload-too-large"


def test_a_new_connection_is_given_what_may_have_been_lost() -> None:
    m = machine(each([sends("x", 1, 2), receives("y")]))
    sent = frames(m.run())
    m.deliver(from_bob("y", 1))
    m.run()
    credit, *again = m.resend("bob")
    assert again == sent
    assert isinstance(credit, Credit)
    assert (credit.lane, credit.consumed) == ("y", 1)
    assert m.resend("carol") == ()


def test_digests_are_of_one_peer_each() -> None:
    m = machine(sends("x", 1))
    m.run()
    assert m.digest("bob") != m.digest("carol")


def test_a_role_reads_its_own_data_through_the_driver() -> None:
    m = machine(read("items", 1, 2))
    (job,) = jobs(m.run())
    assert (job.effect.port, job.effect.args) == ("items", (1, 2))
    m.answer(job.ticket, "data")
    assert result(m.run()) == "data"
