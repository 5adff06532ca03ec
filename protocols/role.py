"""What a role may ask for: the effects, and the small generators that yield them.

A role is a generator. It yields an effect, and is resumed with the answer; its ``return`` is the
party's own result. Only a machine (``protocols.machine``) steps it, so the same protocol text runs
in a test, in the simulator and in a node.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from mpc.wire import Message

R = TypeVar("R")
M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True)
class Send:
    """A message to party ``to`` on ``lane``; answered with ``None`` when the window lets it out."""

    to: str
    lane: str
    message: Message


@dataclass(frozen=True, slots=True)
class Receive:
    """The next message from ``sender`` on ``lane``, which must be of type ``kind``."""

    sender: str
    lane: str
    kind: type[Message]


@dataclass(frozen=True, slots=True)
class Draw:
    """``count`` fresh random bytes, journalled before anything that depends on them leaves."""

    count: int


@dataclass(frozen=True, slots=True)
class Compute:
    """Heavy work away from the event loop: ``call(*args)``, a module-level function.

    ``fresh`` marks a call that draws randomness of its own (inside a library): its result is
    journalled like a draw. Every other call must be a function of its arguments.
    """

    call: Callable[..., Any]
    args: tuple[Any, ...]
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class Read:
    """A piece of this party's own data: ``port(*args)`` of its source. Not in the transcript."""

    port: str
    args: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """Progress: counts only, never a value."""

    stage: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Fork:
    """Runs the branches side by side; answered with the tuple of their results."""

    branches: tuple[Generator[Effect, Any, Any], ...]


Effect = Send | Receive | Draw | Compute | Read | Report | Fork
Steps = Generator[Effect, Any, R]


def send(to: str, lane: str, message: Message) -> Steps[None]:
    yield Send(to, lane, message)


def receive(sender: str, lane: str, kind: type[M]) -> Steps[M]:
    message: M = yield Receive(sender, lane, kind)
    return message


def draw(count: int) -> Steps[bytes]:
    drawn: bytes = yield Draw(count)
    return drawn


def compute(call: Callable[..., R], *args: Any) -> Steps[R]:
    result: R = yield Compute(call, args)
    return result


def compute_fresh(call: Callable[..., R], *args: Any) -> Steps[R]:
    result: R = yield Compute(call, args, fresh=True)
    return result


def read(port: str, *args: Any) -> Steps[Any]:
    return (yield Read(port, args))


def report(stage: str, done: int, total: int) -> Steps[None]:
    yield Report(stage, done, total)


def fork(*branches: Steps[Any]) -> Steps[tuple[Any, ...]]:
    results: tuple[Any, ...] = yield Fork(branches)
    return results


def each(branches: Sequence[Steps[R]]) -> Steps[tuple[R, ...]]:
    """:func:`fork` over branches of one result type."""
    results: tuple[R, ...] = yield Fork(tuple(branches))
    return results
