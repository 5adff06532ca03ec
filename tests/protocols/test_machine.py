"""The machine: what a role can do, and what its driver sees of that."""

from __future__ import annotations

from typing import Any

import pytest

from mpc.wire.v1.psi_ecdh_pb2 import SetSize
from mpc.wire.v1.session_pb2 import Credit
from protocols.role import (
    Draw,
    Report,
    Steps,
    compute,
    draw,
    each,
    fork,
    report,
)
from tests.protocols.machines import (
    ending,
    frames,
    from_bob,
    jobs,
    machine,
    receives,
    result,
    sends,
    session,
)


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
