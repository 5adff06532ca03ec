"""One session at this node: steps the machine, does its jobs, ends with receipts or an error."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mpc.wire.v1.session_pb2 import Credit, Frame, Receipt
from parties.data_errors import DataError
from parties.errors import ConfigError
from parties.identity import Identity
from parties.links import Link, Received, Traffic
from parties.rpc.v1.peer_pb2 import Abort
from parties.status import plain_code
from parties.workers import Workers
from protocols.errors import Cancelled, Misuse, PeerFault, SessionError
from protocols.handshake import check_receipt, make_receipt
from protocols.machine import Finished, Job, Machine
from protocols.role import Compute, Draw, Read, Report
from protocols.session import Session
from protocols.spec import AnySpec


@dataclass(frozen=True)
class Completed:
    """What a session came to: the role's result, and both sides' signed receipts by peer."""

    result: Any
    receipts: Mapping[str, tuple[bytes, bytes]]
    traffic: Mapping[str, Traffic]


class Running:
    """Lives in the event loop. ``source`` answers reads of this party's own data, in threads."""

    def __init__(
        self,
        session: Session,
        spec: AnySpec,
        params: object,
        source: Mapping[str, Callable[..., Any]],
        identity: Identity,
        workers: Workers,
        patience: float,
        on_report: Callable[[Report], None],
        window: int,
        idle: float,
    ) -> None:
        self.session = session
        self._source, self._identity, self._workers = source, identity, workers
        self._on_report = on_report
        self._idle = idle
        self._heard = time.monotonic()
        self._machine: Machine[Any] = Machine(session, spec.role(session, params), window)
        self._tasks: set[asyncio.Task[None]] = set()
        self._finished: Finished[Any] | None = None
        self._ours: dict[str, Receipt] = {}
        self._theirs: dict[str, Receipt] = {}
        self._agreed: set[str] = set()
        self._aborted_by: set[str] = set()
        self.outcome: asyncio.Future[Completed] = asyncio.get_running_loop().create_future()
        self.links = {
            peer: Link(peer, session.id, patience, self._received, self._from_the_start, self.fail)
            for peer in session.others
        }

    async def run(self, job_seconds: float) -> Completed:
        """Lets the role go; the session's outcome, or the ``SessionError`` that ended it."""
        self._advance()
        try:
            async with asyncio.timeout(job_seconds):
                return await asyncio.shield(self.outcome)
        except TimeoutError:
            self.fail(Cancelled("deadline"))
            return await self.outcome
        except asyncio.CancelledError:
            self.fail(Cancelled("shutdown"))
            raise

    def end_if_idle(self) -> None:
        """Calls the session off when nobody has said anything for long, nor is work under way."""
        if not self._tasks and time.monotonic() - self._heard > self._idle:
            self.fail(Cancelled("idle"))

    def cancel(self, code: str, by: str = "") -> None:
        self.fail(Cancelled(code, by))

    def fail(self, error: SessionError) -> None:
        """Ends the session: every peer gets the code, and nothing is released."""
        if self.outcome.done():
            return
        self.outcome.set_exception(error)
        self._machine.cancel(error.code)
        for task in self._tasks:
            task.cancel()
        for peer, link in self.links.items():
            origin = error.by if isinstance(error, Cancelled) else ""
            farewell = Abort(code=error.code, origin=origin)
            link.close(None if peer in self._aborted_by else farewell)

    def _from_the_start(self, peer: str) -> list[Frame | Credit | Receipt]:
        """What a new stream to ``peer`` begins with."""
        again: list[Frame | Credit | Receipt] = list(self._machine.resend(peer))
        if peer in self._ours:
            again.append(self._ours[peer])
        return again

    def _received(self, peer: str, message: Received) -> None:
        if self.outcome.done():
            return
        self._heard = time.monotonic()
        try:
            match message:
                case Receipt():
                    if self._theirs.setdefault(peer, message) != message:
                        raise PeerFault(peer, "receipt-twice")
                    self._agree(peer)
                case Abort():
                    self._aborted_by.add(peer)
                    others = self.session.others
                    by = message.origin if message.origin in others else peer
                    raise Cancelled(plain_code(message.code, "peer-aborted"), by=by)
                case _:
                    if self.session.plan.names[message.sender : message.sender + 1] != (peer,):
                        raise PeerFault(peer, "wrong-party")
                    self._machine.deliver(message)
        except SessionError as error:
            self.fail(error)
            return
        self._advance()

    def _advance(self) -> None:
        if self.outcome.done():
            return
        try:
            actions = self._machine.run()
        except SessionError as error:
            self.fail(error)
            return
        for action in actions:
            match action:
                case Frame() | Credit():
                    self.links[self.session.plan.names[action.receiver]].send(action)
                case Job():
                    task = asyncio.create_task(self._carry_out(action))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
                case Report():
                    self._on_report(action)
                case Finished():
                    self._finish(action)

    async def _carry_out(self, job: Job) -> None:
        effect = job.effect
        try:
            match effect:
                case Draw():
                    value: Any = os.urandom(effect.count)
                case Compute():
                    value = await self._workers.run(effect.call, *effect.args)
                case Read():
                    value = await asyncio.to_thread(self._source[effect.port], *effect.args)
        except (DataError, ConfigError) as error:
            self._machine.fail(job.ticket, Misuse("local-data", str(error)))
        except Exception as error:
            self._machine.fail(job.ticket, error)
        else:
            self._machine.answer(job.ticket, value)
        self._advance()

    def _finish(self, finished: Finished[Any]) -> None:
        self._finished = finished
        secret = self._identity.signing_secret.expose()
        for peer, link in self.links.items():
            digest = self._machine.digest(peer)
            self._ours[peer] = make_receipt(self.session, peer, digest, secret)
            link.send(self._ours[peer])
        for peer in tuple(self._theirs):
            try:
                self._agree(peer)
            except SessionError as error:
                self.fail(error)

    def _agree(self, peer: str) -> None:
        """Both receipts in hand: do they say the same? When all do, the result is out."""
        if self._finished is None:
            return
        theirs = self._theirs[peer]
        check_receipt(self.session, peer, self._machine.digest(peer), theirs)
        self._agreed.add(peer)
        if self._agreed == set(self.links) and not self.outcome.done():
            receipts = {
                name: (self._ours[name].SerializeToString(), self._theirs[name].SerializeToString())
                for name in self.links
            }
            traffic = {name: link.traffic for name, link in self.links.items()}
            self.outcome.set_result(Completed(self._finished.result, receipts, traffic))
            for link in self.links.values():
                link.close()
