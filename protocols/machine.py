"""The machine: the only thing that steps a role. Frames in, actions out, no IO.

A role and its forked branches are fibers. ``run`` steps every fiber that can go on and returns what
the driver has to do: put frames and credits on the wire, carry out jobs (randomness, heavy work,
local data), show progress, take the result. The driver answers with ``deliver``, ``answer`` and
``fail``. Nothing a machine emits depends on the order in which the driver does so: fibers share
nothing but lanes, and a lane has one writer and one reader.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, assert_never, cast

from mpc.errors import Malformed
from mpc.wire import decode, encode, kind_name
from mpc.wire.v1.session_pb2 import Credit, Frame
from protocols.errors import Cancelled, Misuse, PeerFault, SessionError, blame
from protocols.frames import LANE_NAME, MOST_PAYLOAD, WINDOW, Lanes
from protocols.role import Compute, Draw, Effect, Fork, Read, Receive, Report, Send, Steps
from protocols.session import Session

R = TypeVar("R")

Path = tuple[int, ...]
Ticket = tuple[Path, int]
"""Which fiber asked, and at which of its steps: the same in every schedule and every replay."""


@dataclass(frozen=True)
class Job:
    """Work for the driver, which then calls ``answer(ticket, …)`` or ``fail(ticket, …)``."""

    ticket: Ticket
    effect: Draw | Compute | Read


@dataclass(frozen=True)
class Finished(Generic[R]):
    """The role has returned. Nothing of ``result`` may be released before the peers' receipts."""

    result: R


Action = Frame | Credit | Job | Report | Finished[R]


class _Fiber:
    """One generator being stepped."""

    def __init__(self, path: Path, steps: Steps[Any], parent: _Fiber | None) -> None:
        self.path = path
        self.steps = steps
        self.parent = parent
        self.step = 0
        self.effect: Effect | None = None
        self.results: list[Any] = []  # of its branches, while it waits for them
        self.missing = 0
        self.branches: list[_Fiber] = []
        self.joined = False

    def inherits(self, other: _Fiber) -> bool:
        """Whether the lanes of ``other`` may be used here: it waits for this fiber, or whoever
        waited for it has gone on. Having ended is not enough: when a branch ends beside this one
        depends on what arrives first."""
        ancestor = self.parent
        while ancestor is not None:
            if ancestor is other:
                return True
            ancestor = ancestor.parent
        return other.joined


class Machine(Generic[R]):
    """Steps one party's role in one session."""

    def __init__(self, session: Session, role: Steps[R], window: int = WINDOW) -> None:
        self._session = session
        self._me = session.plan.position(session.me)
        self._lanes = {
            peer: Lanes(session.id, self._me, session.plan.position(peer), window)
            for peer in session.others
        }
        self._root = _Fiber((), role, None)
        self._live: dict[Path, _Fiber] = {(): self._root}
        self._ready: deque[tuple[_Fiber, Any, BaseException | None]] = deque(
            [(self._root, None, None)]
        )
        self._jobs: dict[Ticket, _Fiber] = {}
        self._owners: dict[tuple[str, str, bool], _Fiber] = {}
        self._receivers: dict[tuple[str, str], _Fiber] = {}
        self._senders: dict[tuple[str, str], _Fiber] = {}
        self._actions: list[Action[R]] = []
        self._ended: SessionError | None = None
        self._finished = False

    def deliver(self, received: Frame | Credit) -> None:
        """A frame or credit from the wire. Raises ``PeerFault`` for what may not be."""
        if self._ended is not None:
            return
        names = self._session.plan.names
        if received.sender >= len(names) or names[received.sender] not in self._lanes:
            raise self._end(Misuse("frame-from-nobody"))
        peer = names[received.sender]
        try:
            with blame(peer):
                if isinstance(received, Credit):
                    self._credited(peer, received)
                elif self._lanes[peer].deliver(received):
                    if self._finished:
                        raise Malformed("frame-after-the-end")
                    self._received(peer, received.lane)
        except SessionError as error:
            self._end(error)
            raise

    def answer(self, ticket: Ticket, value: Any) -> None:
        """What a job came to."""
        fiber = self._jobs.pop(ticket, None)
        if fiber is not None:  # an answer to a session that has ended is no news
            self._ready.append((fiber, value, None))

    def fail(self, ticket: Ticket, error: BaseException) -> None:
        """Why a job came to nothing: raised inside the role, where it asked."""
        fiber = self._jobs.pop(ticket, None)
        if fiber is not None:
            self._ready.append((fiber, None, error))

    def run(self) -> list[Action[R]]:
        """Steps until every fiber waits. Once an error has ended the session, raises that."""
        if self._ended is not None:
            raise self._ended
        try:
            while self._ready:
                self._step(*self._ready.popleft())
        except SessionError as error:
            self._end(error)
            raise
        except Malformed as error:  # a role that let it through has not said whose it is
            raise self._end(Misuse(error.code)) from error
        except Exception as error:
            # The text may hold values: the type alone goes on, the driver keeps the traceback.
            raise self._end(Misuse("internal-error", type(error).__name__)) from error
        actions, self._actions = self._actions, []
        return actions

    def cancel(self, code: str, by: str = "") -> None:
        """Ends the session from outside; every branch is closed."""
        if self._ended is None:
            self._end(Cancelled(code, by))

    def resend(self, peer: str) -> Sequence[Frame | Credit]:
        """For a new connection to ``peer``: what it may not have."""
        return tuple(self._lanes[peer].resend())

    def digest(self, peer: str) -> bytes:
        """Of the transcript with ``peer``; meaningful once the role has finished."""
        return self._lanes[peer].digest()

    def _end(self, error: SessionError) -> SessionError:
        if self._ended is None:
            self._ended = error
            self._ready.clear()
            self._jobs.clear()
            for fiber in sorted(self._live.values(), key=lambda f: f.path, reverse=True):
                fiber.steps.close()
            self._live.clear()
        return self._ended

    def _step(self, fiber: _Fiber, value: Any, error: BaseException | None) -> None:
        fiber.effect = None
        try:
            effect = fiber.steps.send(value) if error is None else fiber.steps.throw(error)
        except StopIteration as stop:
            self._return(fiber, stop.value)
            return
        fiber.effect = effect
        fiber.step += 1
        match effect:
            case Send():
                self._claim(fiber, effect.to, effect.lane, writing=True)
                if self._lanes[effect.to].outgoing(effect.lane).open:
                    self._send(fiber, effect)
                else:
                    self._senders[effect.to, effect.lane] = fiber
            case Receive():
                self._claim(fiber, effect.sender, effect.lane, writing=False)
                if self._lanes[effect.sender].incoming(effect.lane).waiting:
                    self._receive(fiber, effect)
                else:
                    self._receivers[effect.sender, effect.lane] = fiber
            case Draw() | Compute() | Read():
                ticket = (fiber.path, fiber.step)
                self._jobs[ticket] = fiber
                self._actions.append(Job(ticket, effect))
            case Report():
                self._actions.append(effect)
                self._ready.append((fiber, None, None))
            case Fork():
                self._fork(fiber, effect)
            case _:
                assert_never(effect)

    def _return(self, fiber: _Fiber, value: Any) -> None:
        del self._live[fiber.path]
        parent = fiber.parent
        if parent is None:
            for peer, lanes in self._lanes.items():
                if lanes.unread():
                    raise PeerFault(peer, "frame-unread")
            self._finished = True
            self._actions.append(Finished(cast(R, value)))
            return
        parent.results[fiber.path[-1]] = value
        parent.missing -= 1
        if not parent.missing:
            for branch in parent.branches:
                branch.joined = True
            self._ready.append((parent, tuple(parent.results), None))

    def _fork(self, fiber: _Fiber, effect: Fork) -> None:
        fiber.results = [None] * len(effect.branches)
        fiber.missing = len(effect.branches)
        fiber.branches = []
        if not effect.branches:
            self._ready.append((fiber, (), None))
        for index, branch in enumerate(effect.branches):
            child = _Fiber((*fiber.path, fiber.step, index), branch, fiber)
            self._live[child.path] = child
            fiber.branches.append(child)
            self._ready.append((child, None, None))

    def _claim(self, fiber: _Fiber, peer: str, lane: str, *, writing: bool) -> None:
        if peer not in self._lanes or not LANE_NAME.fullmatch(lane):
            raise Misuse("no-such-lane", f"{lane} with {peer}")
        owner = self._owners.setdefault((peer, lane, writing), fiber)
        if owner is not fiber:
            if not fiber.inherits(owner):
                raise Misuse("lane-shared", f"{lane} with {peer} has two owners")
            self._owners[peer, lane, writing] = fiber

    def _send(self, fiber: _Fiber, effect: Send) -> None:
        payload = encode(effect.message)
        if len(payload) > MOST_PAYLOAD:
            raise Misuse("payload-too-large", f"{effect.lane}: {len(payload)} bytes")
        frame = self._lanes[effect.to].frame(effect.lane, kind_name(effect.message), payload)
        self._actions.append(frame)
        self._ready.append((fiber, None, None))

    def _credited(self, peer: str, credit: Credit) -> None:
        self._lanes[peer].credit(credit)
        fiber = self._senders.get((peer, credit.lane))
        if fiber is not None and self._lanes[peer].outgoing(credit.lane).open:
            del self._senders[peer, credit.lane]
            self._send(fiber, cast(Send, fiber.effect))

    def _receive(self, fiber: _Fiber, effect: Receive) -> None:
        lanes = self._lanes[effect.sender]
        frame = lanes.incoming(effect.lane).take()
        with blame(effect.sender):
            if frame.kind != kind_name(effect.kind):
                raise Malformed("unexpected-kind")
            message = decode(effect.kind, frame.payload)
        self._actions.append(lanes.credit_for(effect.lane))
        self._ready.append((fiber, message, None))

    def _received(self, peer: str, lane: str) -> None:
        fiber = self._receivers.pop((peer, lane), None)
        if fiber is not None:
            self._receive(fiber, cast(Receive, fiber.effect))
