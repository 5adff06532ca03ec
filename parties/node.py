"""The party node: what is shared by the services that partners and operators call."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mpc.secret import Secret
from mpc.wire.v1.session_pb2 import Acceptance
from parties import results
from parties.cards import Card
from parties.config import DatasetEntry, parse_datasets
from parties.data_errors import DataError
from parties.datasets import Engine
from parties.errors import ConfigError
from parties.home import Home
from parties.keyfiles import Passphrase
from parties.logs import log
from parties.offers import Offers
from parties.rules import Policy, parse_policy
from parties.running import Completed, Running
from parties.sources import LocalData, open_dataset
from parties.status import exit_code, public_code, status_of
from parties.store import (
    ACCEPTED,
    CANCELLED,
    DONE,
    FAILED,
    REFUSED,
    RUNNING,
    WAITING,
    Job,
    Store,
    load_result,
    save_result,
)
from parties.tls import open_channel
from parties.tomlfile import Watched
from parties.workers import Workers
from protocols.catalog import checked
from protocols.errors import Cancelled, Misuse, Refused, SessionError
from protocols.handshake import accept, open_session
from protocols.plan import Plan
from protocols.role import Report

LINGER_SECONDS = 30.0
"""How long an ended session still answers a peer whose stream broke at the very end."""
FAREWELL_SECONDS = 3.0
"""How long a node that stops waits for its peers to hear of it."""


@dataclass
class Accepted:
    """A plan this node has said yes to, and the secret behind its acceptance."""

    plan: Plan
    acceptance: Acceptance
    session_secret: Secret[bytes]


@dataclass
class Progress:
    """Of a running job, for its watchers: counts only."""

    stage: str = ""
    done: int = 0
    total: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def report(self, stage: str, done: int = 0, total: int = 0) -> None:
        self.stage, self.done, self.total = stage, done, total
        self.tell()

    def tell(self) -> None:
        """Wakes whoever waits, and starts a new wait."""
        self.changed.set()
        self.changed = asyncio.Event()


class Node:
    """One party's state. Everything happens in one event loop; heavy work does not."""

    def __init__(self, home: Home, passphrase: Passphrase = None) -> None:
        self.home = home
        self.settings = home.settings()
        self.identity = home.identity(passphrase)
        self.me = self.settings.name
        self.trust = home.store()
        self.started = time.time()
        self.workers = Workers(self.settings.workers)
        self.engine = Engine(temporary=home.state / "spill")
        self.offers = Offers(home.directory, self.engine)
        self.store = Store(home.state / "jobs.sqlite")
        self._policy = Watched(home.policy_toml, lambda t: parse_policy(t, home.policy_toml))
        self._datasets = Watched(
            home.datasets_toml, lambda t: parse_datasets(t, home.datasets_toml)
        )
        self._channels: dict[str, tuple[Card, Any]] = {}
        self.accepted: dict[bytes, Accepted] = {}
        self.sessions: dict[bytes, Running] = {}
        self.running: dict[str, Running] = {}
        self.progress: dict[str, Progress] = {}
        self.session_opened = asyncio.Event()
        self.draining = False
        self.tasks: dict[str, asyncio.Task[Any]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._end_stale_jobs()

    @property
    def results(self) -> Path:
        return self.home.state / "results"

    @property
    def policy(self) -> Policy:
        return self._policy.get()

    @property
    def datasets(self) -> Mapping[str, DatasetEntry]:
        return self._datasets.get()

    def _end_stale_jobs(self) -> None:
        """What ran when the node last stopped cannot go on: its session's secrets are gone.

        Other parties' plans that wait here, for our people or for their start, still can.
        """
        for job in self.store.in_state(WAITING, ACCEPTED, RUNNING):
            if job.state == RUNNING or job.querier == self.me:
                self.fail_job(job, Cancelled("node-restarted"))

    def busy_for(self, querier: str) -> bool:
        """Whether there are as many sessions as node.toml allows; one querier gets half of them."""
        most = self.settings.limits.sessions
        its = [r for r in self.running.values() if r.session.plan.querier == querier]
        return len(self.running) >= most or len(its) >= max(1, most // 2)

    def spawn(self, coroutine: Any) -> asyncio.Task[Any]:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def channel(self, card: Card) -> Any:
        """The one channel to a partner, made anew when its card has changed."""
        known = self._channels.get(card.name)
        if known is None or known[0] != card:
            if known is not None:
                self.spawn(known[1].close())
            known = (card, open_channel(self.identity, card))
            self._channels[card.name] = known
        return known[1]

    # Jobs

    def job(self, identifier: str) -> Job:
        """By its id or the start of one; ``Misuse`` where there is none, or more than one."""
        found = self.store.starting_with(identifier) if identifier else []
        if len(found) != 1:
            code = "job-unknown" if not found else "job-ambiguous"
            raise Misuse(code, f"no job {identifier!r}" if not found else f"several {identifier!r}")
        return found[0]

    def set_state(self, job: Job, state: str, **changes: Any) -> Job:
        if state in (DONE, FAILED, REFUSED, CANCELLED):
            changes.setdefault("ended", time.time())
        job = self.store.update(job, state=state, **changes)
        log("job", job=job.id, state=state, code=job.code)
        self.progress_of(job.id).tell()
        return job

    def progress_of(self, job: str) -> Progress:
        return self.progress.setdefault(job, Progress())

    def fail_job(self, job: Job, error: BaseException) -> Job:
        """The end of a job without a result, in words for our own operators."""
        status = status_of(error)
        state = FAILED
        if isinstance(error, Refused):
            state = REFUSED
        elif isinstance(error, Cancelled):
            state = CANCELLED
        message = f"{error}: {status.text}" if isinstance(error, SessionError) else status.text
        hint = status.remedy
        if isinstance(error, ConfigError | DataError):
            message, hint = str(error), ""
        elif isinstance(error, Misuse) and str(error) != error.code:
            message = str(error)
        elif isinstance(error, Cancelled) and error.by:
            message = f"{error.by} ended the session: {error.code}: {status.text}"
            hint = f"its people see why under the same job, {job.id}"
        if hint:
            message += f"; {hint}"
        self.accepted.pop(job.plan_hash, None)
        code = public_code(error)
        summary = {"exit_code": exit_code(error)}
        return self.set_state(job, state, code=code, message=message, summary=summary)

    def drop_strangers(self) -> None:
        """Ends sessions with a party that is trusted no longer: revocation bites at once."""
        for running in list(self.running.values()):
            for peer in running.session.others:
                card = self.trust.cards().get(peer)
                key = running.session.plan.signing_key(peer)
                if card is None or card.signing_key != key or not card.is_current():
                    running.fail(Refused(self.me, "peer-unknown", peer))

    def end_idle(self) -> None:
        for running in list(self.running.values()):
            running.end_if_idle()

    def expire(self, now: float) -> None:
        """Ends the jobs of plans that have expired before they began."""
        for job in self.store.in_state(WAITING, ACCEPTED):
            if now > Plan.parse(job.plan).message.expires:
                self.fail_job(job, Cancelled("plan-expired"))

    def accept(self, plan: Plan) -> Acceptance:
        """Our yes, the same one for as long as the session has not begun."""
        known = self.accepted.get(plan.hash)
        if known is None:
            secret, nonce = os.urandom(32), os.urandom(32)
            signing = self.identity.signing_secret.expose()
            known = Accepted(plan, accept(plan, signing, nonce, secret), Secret(secret))
            self.accepted[plan.hash] = known
        return known.acceptance

    # Sessions

    def begin(self, job: Job, acceptances: list[Acceptance], model: bytes | None = None) -> Running:
        """Opens the session that ``acceptances`` make and lets our role go; peers may connect."""
        accepted = self.accepted.pop(job.plan_hash)
        plan = accepted.plan
        spec, params = checked(plan)
        session = open_session(plan, self.me, accepted.session_secret.expose(), acceptances)
        brings = plan.message.parties[plan.position(self.me)].input
        dataset = open_dataset(self.datasets[brings.dataset], self.home.directory)
        cards = {name: self.trust.get(name) for name in session.others}  # or there is no session
        data = LocalData(dataset, plan, self.me, self.engine, model)
        limits = self.settings.limits
        progress = self.progress_of(job.id)

        def report(effect: Report) -> None:
            progress.report(effect.stage, effect.done, effect.total)

        running = Running(
            session, spec, params, data.ports, self.identity, self.workers,
            limits.handshake_seconds, report, limits.window, limits.idle_seconds,
        )  # fmt: skip
        self.sessions[session.id] = running
        self.running[job.id] = running
        self.session_opened.set()
        self.session_opened = asyncio.Event()
        for peer, link in running.links.items():
            if plan.position(self.me) < plan.position(peer):
                self.spawn(link.dial(self.channel(cards[peer])))
        self.spawn(self._see_through(job, running, data))
        return running

    async def _see_through(self, job: Job, running: Running, data: LocalData) -> None:
        began = time.monotonic()
        job = self.set_state(job, RUNNING)
        try:
            completed = await running.run(self.settings.limits.job_seconds)
            await self._release(job, running, completed, data, time.monotonic() - began)
        except SessionError as error:
            self.fail_job(job, error)
        except Exception as error:
            running.fail(Misuse("internal-error"))
            log("internal-error", job=job.id, error=type(error).__name__)
            ours = isinstance(error, DataError | ConfigError)
            self.fail_job(job, Misuse("local-data", str(error)) if ours else error)
        finally:
            self.running.pop(job.id, None)
            await self._linger(running)

    async def _release(
        self, job: Job, running: Running, completed: Completed, data: LocalData, seconds: float
    ) -> None:
        """Everything durable first; then the job is done, and its result there to fetch."""
        plan = running.session.plan
        spec, params = checked(plan)
        table = spec.table(completed.result, params)
        for peer, (ours, theirs) in completed.receipts.items():
            self.store.add_receipt(job.id, peer, ours, theirs)
        has_result = self.me in spec.output_to(plan, params)
        if has_result:
            encoded = await asyncio.to_thread(results.to_arrow, table, data)
            await asyncio.to_thread(save_result, self.results, job.id, encoded)
        summary = {
            "notes": {name: _plain(value) for name, value in table.notes.items()},
            "input": data.counts,
            "result": has_result,
            "seconds": round(seconds, 3),
            "traffic": {
                peer: {"sent": each.sent, "received": each.received}
                for peer, each in completed.traffic.items()
            },
            "session": running.session.id.hex(),
        }
        self.set_state(job, DONE, summary=summary)

    async def _linger(self, running: Running) -> None:
        closed = asyncio.gather(*(link.closed() for link in running.links.values()))
        with suppress(TimeoutError):
            await asyncio.wait_for(closed, LINGER_SECONDS)
        self.sessions.pop(running.session.id, None)

    def result(self, job: Job) -> bytes:
        data = load_result(self.results, job.id) if job.state == DONE else None
        if data is None:
            raise Misuse("no-result", f"job {job.id} has no result for this party")
        return data

    async def close(self) -> None:
        """Sessions under way are called off, so that their peers know."""
        self.draining = True
        for running in list(self.running.values()):
            running.cancel("shutdown")
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=FAREWELL_SECONDS)
        for _, channel in self._channels.values():
            await channel.close()
        self.workers.close()
        self.store.close()


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
