"""The fault simulator with windows to look in and to reach in: what tests add to ``Network``."""

from __future__ import annotations

import hashlib
import pickle
import random
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from mpc.wire.v1.session_pb2 import Credit, Frame
from protocols.errors import SessionError
from protocols.local import InOrder, Network, Schedule, Source
from protocols.machine import Job, Machine
from protocols.plan import Plan
from protocols.role import Compute, Draw, Steps
from protocols.session import Session

MOST_WINDOW = 8
RECEIPTS = "receipts"

Tamper = Callable[[Frame | Credit], Iterable[Frame | Credit]]
"""What arrives instead of a frame or a credit."""
Wrap = Callable[[str, Steps[Any]], Steps[Any]]
"""What a party, given by name, runs instead of its role."""

_computed: dict[bytes, bytes] = {}
"""Results of pure work. Runs with the same coins repeat it, thousands of times in a test."""
_MOST_COMPUTED = 1000


class Seeded:
    """Any order of events, and every kind of fault now and then."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def pick(self, choices: int) -> int:
        return self._random.randrange(choices)

    def fault(self) -> str:
        faults, weights = ("", "duplicate", "cut", "crash"), (85, 7, 4, 4)
        return self._random.choices(faults, weights)[0]


class FaultAt(InOrder):
    """The oldest event first, and one fault, at event number ``event``."""

    def __init__(self, event: int, fault: str) -> None:
        self._left, self._fault = event, fault

    def fault(self) -> str:
        self._left -= 1
        return self._fault if self._left == -1 else ""


class Simulation(Network):
    """A network whose coins are reproducible, and whose links and roles a test can tamper with.

    A party's coins depend on ``coins`` (one number for one set of coins), on where in its role it
    draws, and on how often it has drawn there: two runs see the same ones in whatever order things
    happen, but a party that drew again after a crash, for want of a journal, would see others.

    ``where`` is the party that was at work when an error came up, or ``RECEIPTS``; ``events`` is
    how many there were. Errors of party ``hostile`` itself end nothing: its peers are being tested.
    """

    def __init__(
        self,
        plan: Plan,
        secrets: Mapping[str, bytes],
        sources: Mapping[str, Source],
        *,
        coins: int = 0,
        schedule: Schedule | None = None,
        window: int = MOST_WINDOW,
        tamper: Tamper | None = None,
        wrap: Wrap | None = None,
        hostile: str = "",
    ) -> None:
        self.where = ""
        self.events = 0
        self._coins, self._drawn = coins, dict[object, int]()
        self._tamper, self._wrap, self._hostile = tamper, wrap, hostile
        super().__init__(plan, secrets, sources, self._handshake_coins, schedule, window)

    def go(self, events: int) -> None:
        """Starts all parties, and stops after so many events."""
        for node in self.nodes.values():
            self._advance(node)
        for _ in range(events):
            self._event()

    def under_way(self) -> list[tuple[str, Job]]:
        """The jobs whose answers are outstanding, and whose they are."""
        return list(self._jobs)

    def _toss(self, place: object, count: int) -> bytes:
        self._drawn[place] = self._drawn.get(place, 0) + 1
        name = f"test coins {self._coins} {place} {self._drawn[place]}"
        return hashlib.shake_256(name.encode()).digest(count)

    def _handshake_coins(self, count: int) -> bytes:
        return self._toss("handshake", count)

    def _new_machine(self, session: Session) -> Machine[Any]:
        role = self._spec.role(session, self._params)
        if self._wrap is not None:
            role = self._wrap(session.me, role)
        return Machine(session, role, self._window)

    def _event(self) -> None:
        self.events += 1
        super()._event()

    def _deliver(self, link: tuple[str, str], fault: str) -> None:
        self.where = link[1]
        try:
            if self._tamper is None:
                super()._deliver(link, fault)
                return
            node = self.nodes[self.where]
            for received in self._tamper(self._links[link].popleft()):
                node.machine.deliver(received)
                self._advance(node)
        except SessionError:
            if self.where != self._hostile:
                raise

    def _advance(self, node: Any) -> None:
        self.where = node.name
        try:
            super()._advance(node)
        except SessionError:
            if self.where != self._hostile:
                raise

    def _work(self, node: Any, machine: Machine[Any], job: Job) -> None:
        effect = job.effect
        if isinstance(effect, Draw):
            value = self._toss((node.name, job.ticket), effect.count)
            node.answers[job.ticket] = value
            machine.answer(job.ticket, value)
        elif isinstance(effect, Compute) and not effect.fresh:
            try:
                machine.answer(job.ticket, _compute(effect))
            except Exception as error:
                machine.fail(job.ticket, error)
        else:
            super()._work(node, machine, job)

    def _exchange_receipts(self) -> None:
        self.where = RECEIPTS
        super()._exchange_receipts()


def _compute(effect: Compute) -> Any:
    """Through pickle both ways, as a worker process would have it."""
    question = pickle.dumps((effect.call, effect.args))
    name = hashlib.sha256(question).digest()
    if name not in _computed:
        call, args = pickle.loads(question)
        _computed[name] = pickle.dumps(call(*args))
        if len(_computed) > _MOST_COMPUTED:
            del _computed[next(iter(_computed))]
    return pickle.loads(_computed[name])
