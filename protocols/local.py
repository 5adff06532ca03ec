"""All parties of a plan in one process: real machines, real handshake, simulated links.

With the default schedule it is the shortest way to run a protocol (examples, benchmarks, tests).
With a seeded one it is the fault simulator: it picks the next event among all that could happen,
delivers frames twice, cuts links, and kills parties, which then come back from their journals.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from mpc.hashing import labelled_hash
from mpc.signing import public_key
from mpc.wire.v1.session_pb2 import Credit, Frame
from protocols.catalog import checked
from protocols.errors import Misuse, SessionError
from protocols.frames import WINDOW
from protocols.handshake import accept, check_receipt, make_receipt, open_session
from protocols.machine import Action, Finished, Job, Machine, Ticket
from protocols.plan import Plan
from protocols.role import Compute, Draw, Read
from protocols.session import Session

Source = Mapping[str, Callable[..., Any]]
"""A party's own data: what ``Read(port, args)`` calls."""


class Schedule(Protocol):
    """Who decides what happens next. Only the order and the faults: never a value."""

    def pick(self, choices: int) -> int:
        """One of ``range(choices)``."""

    def fault(self) -> str:
        """``""``, or what befalls the event: ``"duplicate"``, ``"cut"`` or ``"crash"``."""


class InOrder:
    """No faults, always the oldest event."""

    def pick(self, choices: int) -> int:
        return 0

    def fault(self) -> str:
        return ""


@dataclass
class _Node:
    """One party: its machine, and the journal from which it can come back."""

    name: str
    session: Session
    source: Source
    machine: Machine[Any]
    journal: list[Frame | Credit] = field(default_factory=list)
    answers: dict[Ticket, Any] = field(default_factory=dict)
    sent: dict[tuple[int, str, int], bytes] = field(default_factory=dict)
    finished: Finished[Any] | None = None
    crashes: int = 0


@dataclass(frozen=True)
class Outcome:
    """What every party got, and how much passed from one to the other."""

    results: Mapping[str, Any]
    bytes_sent: Mapping[tuple[str, str], int]
    frames: tuple[Frame, ...]
    crashes: int


class Network:
    """Runs one plan among machines of this process until every role has returned."""

    def __init__(
        self,
        plan: Plan,
        secrets: Mapping[str, bytes],
        sources: Mapping[str, Source],
        entropy: Callable[[int], bytes],
        schedule: Schedule | None = None,
        window: int = WINDOW,
    ) -> None:
        """``secrets`` are the parties' Ed25519 secret keys, ``entropy(n)`` n fresh random bytes."""
        self._plan, self._secrets, self._entropy = plan, secrets, entropy
        self._schedule = schedule or InOrder()
        self._window = window
        spec, self._params = checked(plan)
        self._spec = spec
        self._links: dict[tuple[str, str], deque[Frame | Credit]] = {}
        self._jobs: deque[tuple[str, Job]] = deque()
        self.frames: list[Frame] = []
        sessions = self._handshake()
        self.nodes = {
            name: _Node(name, session, sources[name], self._new_machine(session))
            for name, session in sessions.items()
        }

    def _handshake(self) -> dict[str, Session]:
        session_secrets = {name: self._entropy(32) for name in self._plan.names}
        acceptances = [
            accept(self._plan, self._secrets[name], self._entropy(32), session_secrets[name])
            for name in self._plan.names
        ]
        return {
            name: open_session(self._plan, name, session_secrets[name], acceptances)
            for name in self._plan.names
        }

    def _new_machine(self, session: Session) -> Machine[Any]:
        return Machine(session, self._spec.role(session, self._params), self._window)

    def run(self) -> Outcome:
        """Raises the first ``SessionError`` that any party meets."""
        for node in self.nodes.values():
            self._advance(node)
        while any(node.finished is None for node in self.nodes.values()) or self._in_flight():
            self._event()
        self._exchange_receipts()
        sizes: dict[tuple[str, str], int] = {}
        for frame in self.frames:
            link = (self._plan.names[frame.sender], self._plan.names[frame.receiver])
            sizes[link] = sizes.get(link, 0) + frame.ByteSize()
        results = {name: node.finished.result for name, node in self.nodes.items() if node.finished}
        crashes = sum(node.crashes for node in self.nodes.values())
        return Outcome(results, sizes, tuple(self.frames), crashes)

    def _in_flight(self) -> bool:
        return any(self._links.values()) or bool(self._jobs)

    def _event(self) -> None:
        links = [link for link in sorted(self._links) if self._links[link]]
        choices = len(links) + len(self._jobs)
        if not choices:
            raise Misuse("deadlock", "every party waits and nothing is under way")
        index = self._schedule.pick(choices)
        fault = self._schedule.fault()
        if index < len(links):
            self._deliver(links[index], fault)
        else:
            self._carry_out(index - len(links), fault)

    def _deliver(self, link: tuple[str, str], fault: str) -> None:
        sender, receiver = link
        if fault == "cut":
            self._cut(sender, receiver)
            return
        received = self._links[link].popleft()
        if fault == "duplicate":
            self._links[link].appendleft(received)
        node = self.nodes[receiver]
        node.journal.append(received)
        node.machine.deliver(received)
        self._advance(node)
        if fault == "crash":
            self._crash(node)

    def _carry_out(self, index: int, fault: str) -> None:
        name, job = self._jobs[index]
        node = self.nodes[name]
        if fault == "crash":
            self._crash(node)  # the job is lost, and asked for again
            return
        del self._jobs[index]
        self._work(node, node.machine, job)
        self._advance(node)

    def _work(self, node: _Node, machine: Machine[Any], job: Job) -> None:
        effect = job.effect
        try:
            match effect:
                case Draw():
                    value: Any = self._entropy(effect.count)
                case Compute():
                    value = effect.call(*effect.args)
                case Read():
                    value = node.source[effect.port](*effect.args)
        except Exception as error:
            machine.fail(job.ticket, error)
            return
        if isinstance(effect, Draw) or (isinstance(effect, Compute) and effect.fresh):
            node.answers[job.ticket] = value
        machine.answer(job.ticket, value)

    def _advance(self, node: _Node) -> None:
        for action in node.machine.run():
            self._do(node, action)

    def _do(self, node: _Node, action: Action[Any]) -> None:
        match action:
            case Frame():
                self._put(node, action)
            case Credit():
                self._link(node.name, action.receiver).append(action)
            case Job():
                self._jobs.append((node.name, action))
            case Finished():
                node.finished = action
            case _:
                pass  # progress

    def _link(self, sender: str, receiver: int) -> deque[Frame | Credit]:
        return self._links.setdefault((sender, self._plan.names[receiver]), deque())

    def _put(self, node: _Node, frame: Frame) -> None:
        """Puts a frame on its link; the same place of a lane never carries two different frames."""
        place = (frame.receiver, frame.lane, frame.sequence)
        digest = labelled_hash("sent", frame.SerializeToString(deterministic=True))
        if place not in node.sent:  # in a replay too: a crash may have lost work before it left
            self.frames.append(frame)
        if node.sent.setdefault(place, digest) != digest:
            raise Misuse("replay-differs", f"{node.name} on {frame.lane}")
        self._link(node.name, frame.receiver).append(frame)

    def _cut(self, first: str, second: str) -> None:
        """The connection drops with all that is under way on it; a new one is made."""
        for a, b in ((first, second), (second, first)):
            self._links[a, b] = deque(self.nodes[a].machine.resend(b))

    def _crash(self, node: _Node) -> None:
        """Kills the process; what it journalled brings the next one to the same place."""
        node.crashes += 1
        node.finished = None
        self._jobs = deque((name, job) for name, job in self._jobs if name != node.name)
        node.machine.cancel("crash")
        node.machine = self._new_machine(node.session)
        journal, node.journal = node.journal, []
        self._replay(node)
        for received in journal:
            node.journal.append(received)
            node.machine.deliver(received)
            self._replay(node)
        for peer in node.session.others:
            self._cut(node.name, peer)

    def _replay(self, node: _Node) -> None:
        """Goes on as far as journalled answers and repeatable work carry."""
        waiting: deque[Job] = deque()
        while True:
            for action in node.machine.run():
                if isinstance(action, Job):
                    waiting.append(action)
                elif isinstance(action, Frame):
                    self._put(node, action)
                elif isinstance(action, Finished):
                    node.finished = action
            if not waiting:
                return
            job = waiting.popleft()
            drawn = isinstance(job.effect, Draw) or getattr(job.effect, "fresh", False)
            if not drawn:
                self._work(node, node.machine, job)
            elif job.ticket in node.answers:
                node.machine.answer(job.ticket, node.answers[job.ticket])
            else:
                self._jobs.append((node.name, job))

    def _exchange_receipts(self) -> None:
        for name, node in self.nodes.items():
            for peer in node.session.others:
                digest = node.machine.digest(peer)
                receipt = make_receipt(node.session, peer, digest, self._secrets[name])
                other = self.nodes[peer]
                check_receipt(other.session, name, other.machine.digest(name), receipt)


def run_local(
    plan: Plan,
    secrets: Mapping[str, bytes],
    sources: Mapping[str, Source],
    entropy: Callable[[int], bytes],
) -> Outcome:
    """Runs ``plan`` once, in order and without faults."""
    for name in plan.names:
        if public_key(secrets[name]) != plan.signing_key(name):
            raise Misuse("other-key", f"the secret of {name} does not fit the plan")
    return Network(plan, secrets, sources, entropy).run()


__all__ = ["InOrder", "Network", "Outcome", "Schedule", "SessionError", "Source", "run_local"]
