"""The machine: every way in which a session can end."""

from __future__ import annotations

from typing import Any

import pytest

from mpc.errors import Malformed
from mpc.wire.v1.session_pb2 import Block, Credit
from protocols.errors import Cancelled, Misuse, PeerFault
from protocols.frames import MOST_PAYLOAD
from protocols.role import (
    Steps,
    draw,
    each,
    read,
    send,
)
from tests.protocols.adversary import changed
from tests.protocols.machines import (
    ending,
    frames,
    from_bob,
    jobs,
    machine,
    receives,
    result,
    sends,
)


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
