"""Machines of one party of three, stepped by hand, and what comes out of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mpc.curve25519 import public_key as session_public_key
from mpc.wire import encode
from mpc.wire.v1.psi_ecdh_pb2 import SetSize
from mpc.wire.v1.session_pb2 import Frame
from protocols.errors import SessionError
from protocols.handshake import accept, open_session
from protocols.machine import Finished, Job, Machine
from protocols.role import (
    Steps,
    receive,
    send,
)
from protocols.session import Session
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
