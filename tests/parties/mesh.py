"""Nodes of several parties in one event loop: the real services over real TLS on loopback.

    async def scenario(mesh):
        bank, acme = await mesh.nodes("bank", "acme")
        ...
    run(tmp_path, scenario)

Every message between two nodes passes ``mesh.tape`` and, before it, ``mesh.tamper``: both sit
behind TLS and before the service, so a test sees and forges what a node would.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from mpc.signing import sign
from parties import coordinator, links, node
from parties.client import Client
from parties.config import DatasetEntry, add_dataset
from parties.gate import PROPOSAL_LABEL
from parties.home import Home, init_node
from parties.node import Node
from parties.operator_service import OperatorService
from parties.operators import Guard
from parties.peer_service import PeerService
from parties.requests import Query, parse_query
from parties.results import from_arrow
from parties.rpc.v1.operator_pb2 import JobResponse
from parties.rpc.v1.operator_pb2_grpc import add_OperatorServicer_to_server
from parties.rpc.v1.peer_pb2 import ProposeRequest
from parties.rpc.v1.peer_pb2_grpc import PeerStub, add_PeerServicer_to_server
from parties.rules import POLICY_TOML, Rule, add_rule
from parties.store import ENDED
from parties.tls import SERVER_OPTIONS, peer_of, server_credentials
from parties.workers import Workers
from protocols.errors import Refused
from protocols.plan import Plan

Tamper = Callable[["Passing"], Awaitable[list[Any]]]
SECONDS = 20.0
"""Longer than anything here takes, so that what hangs fails."""


@dataclass(frozen=True)
class Passing:
    """One message on its way, as it arrives at ``to``."""

    sender: str
    to: str
    method: str
    message: Any

    @property
    def content(self) -> str:
        """Which kind of message a link carries."""
        return str(self.message.WhichOneof("content")) if self.method == "Link" else ""


class SharedWorkers(Workers):
    """One pool of processes for all nodes of a test run: starting some takes seconds."""

    def close(self) -> None:
        """They serve the next node."""


WORKERS = SharedWorkers(2)


class Recording(PeerService):
    """The service, with all that comes and goes shown to the mesh."""

    def __init__(self, node: Node, mesh: Mesh) -> None:
        super().__init__(node)
        self._mesh, self._name, self._trust = mesh, node.me, node.trust

    async def _unary(self, method: str, request: Message, context: Any) -> Any:
        try:
            caller = peer_of(context, self._trust).name
        except Refused:
            return await getattr(super(), method)(request, context)
        (request,) = await self._mesh.pass_on(Passing(caller, self._name, method, request))
        answer = await getattr(super(), method)(request, context)
        (answer,) = await self._mesh.pass_on(Passing(self._name, caller, method, answer))
        return answer

    async def Describe(self, request: Any, context: Any) -> Any:
        return await self._unary("Describe", request, context)

    async def Propose(self, request: Any, context: Any) -> Any:
        return await self._unary("Propose", request, context)

    async def Start(self, request: Any, context: Any) -> Any:
        return await self._unary("Start", request, context)

    async def Withdraw(self, request: Any, context: Any) -> Any:
        return await self._unary("Withdraw", request, context)

    async def Link(self, request_iterator: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        caller = ""
        with contextlib.suppress(Refused):
            caller = peer_of(context, self._trust).name

        async def arriving() -> AsyncIterator[Any]:
            async for message in request_iterator:
                for each in await self._mesh.pass_on(Passing(caller, self._name, "Link", message)):
                    yield each

        async with contextlib.aclosing(super().Link(arriving(), context)) as leaving:
            async for message in leaving:
                for each in await self._mesh.pass_on(Passing(self._name, caller, "Link", message)):
                    yield each


class Party:
    """One party: its directory, its node, and its people at the node's socket."""

    def __init__(self, home: Home, mesh: Mesh) -> None:
        self.home, self._mesh = home, mesh
        self.name = home.settings().name
        self.node: Node
        self._servers: list[grpc.aio.Server] = []
        self._client: Client | None = None

    async def start(self, *, serving: bool = True) -> None:
        """``serving`` false leaves the node deaf: the test speaks for it."""
        self.node = Node(self.home)
        self.node.workers = WORKERS
        if not serving:
            return
        partners = grpc.aio.server(options=SERVER_OPTIONS)
        add_PeerServicer_to_server(Recording(self.node, self._mesh), partners)
        credentials = server_credentials(self.node.identity, self.node.trust)
        partners.add_secure_port(self.home.settings().listen, credentials)
        operators = grpc.aio.server()
        guard = Guard(self.name, self.home.operators_toml, time.time)
        add_OperatorServicer_to_server(OperatorService(self.node, guard), operators)
        address = self.home.claim_socket()
        address.unlink(missing_ok=True)
        operators.add_insecure_port(f"unix:{address}")
        self._servers = [partners, operators]
        for server in self._servers:
            await server.start()
        self._client = Client.open(self.home.directory)

    async def stop(self) -> None:
        if self._client is not None:
            self._client.__exit__(None, None, None)
            self._client = None
        await self.node.close()
        await asyncio.gather(*(server.stop(None) for server in self._servers))
        self._servers = []

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    def dataset(self, name: str, csv: str, keys: tuple[str, ...] = ("id",), **more: Any) -> Path:
        path = self.home.directory / f"{name}.csv"
        path.write_text(csv, "utf-8")
        add_dataset(self.home.datasets_toml, DatasetEntry(name, path.name, keys, **more))
        return path

    def allow(self, dataset: str, protocol: str, party: str, **more: Any) -> None:
        add_rule(self.home.policy_toml, Rule(dataset, protocol, party, **more))

    def deny_all(self) -> None:
        self.home.policy_toml.write_text(POLICY_TOML)

    async def ask(self, method: str, *arguments: Any) -> Any:
        """A call of an operator: a method of :class:`parties.client.Client`."""
        assert self._client is not None
        return await asyncio.to_thread(getattr(self._client, method), *arguments)

    async def job(self, job: str) -> JobResponse:
        (found,) = await self.ask("jobs", job)
        return found  # type: ignore[no-any-return]

    async def until(self, job: str, *states: str) -> JobResponse:
        """``job`` once it is in one of ``states``, and that must be where it ends or waits."""
        async with asyncio.timeout(SECONDS):
            while True:
                known = self.node.store.get(job)
                if known is not None and known.state in states:
                    return await self.job(job)
                assert known is None or known.state not in ENDED, f"{known.state}: {known.message}"
                changed = self.node.progress_of(job).changed
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), 0.05)

    async def end(self, job: str) -> JobResponse:
        return await self.until(job, *ENDED)

    async def result(self, job: str) -> dict[str, list[Any]]:
        return from_arrow(await self.ask("result", job))

    def stub(self, to: Party) -> PeerStub:
        """Calls to another node, in this party's name."""
        return PeerStub(self.node.channel(to.home.card()))

    @property
    def secret(self) -> bytes:
        return self.node.identity.signing_secret.expose()


@dataclass
class Mesh:
    directory: Path
    tape: list[Passing] = field(default_factory=list)
    tamper: Tamper | None = None
    parties: dict[str, Party] = field(default_factory=dict)

    async def nodes(
        self, *names: str, deaf: tuple[str, ...] = (), proxies: dict[str, int] | None = None,
        **limits: int,
    ) -> list[Party]:  # fmt: skip
        """Nodes that trust each other; ``limits`` as in node.toml. ``proxies`` are the ports at
        which partners reach a node, if not its own."""
        homes = {name: Home(self.directory / name) for name in names}
        cards = {}
        for (name, home), port in zip(homes.items(), free_ports(len(names)), strict=True):
            proxy = (proxies or {}).get(name)
            advertise = f"127.0.0.1:{proxy}" if proxy else None
            cards[name] = init_node(home.directory, name, f"127.0.0.1:{port}", advertise=advertise)
            text = home.node_toml.read_text()
            for key, value in limits.items():
                (line,) = [each for each in text.splitlines() if each.startswith(f"{key} =")]
                text = text.replace(line, f"{key} = {value}")
            home.node_toml.write_text(text)
        for name, home in homes.items():
            for other, card in cards.items():
                if other != name:
                    home.store().add(card)
        made = [Party(home, self) for home in homes.values()]
        for party in made:
            self.parties[party.name] = party
            await party.start(serving=party.name not in deaf)
        return made

    async def pass_on(self, passing: Passing) -> list[Any]:
        messages = [passing.message] if self.tamper is None else await self.tamper(passing)
        for message in messages:
            self.tape.append(Passing(passing.sender, passing.to, passing.method, message))
        return messages

    def received(self, name: str) -> bytes:
        """All that reached ``name``, in the order it came."""
        return b"".join(p.message.SerializeToString() for p in self.tape if p.to == name)


def run(directory: Path, scenario: Callable[[Mesh], Awaitable[None]]) -> None:
    """``scenario`` with a mesh whose nodes are stopped afterwards, whatever happens."""

    async def whole() -> None:
        mesh = Mesh(directory)
        async with AsyncExitStack() as after:
            after.push_async_callback(_stop_all, mesh)
            await scenario(mesh)

    asyncio.run(whole())


async def _stop_all(mesh: Mesh) -> None:
    mesh.tamper = None
    await asyncio.gather(*(party.stop() for party in mesh.parties.values()))


def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that waits before it tries again waits a moment only."""
    monkeypatch.setattr(coordinator, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(links, "RETRY_SECONDS", 0.02)
    monkeypatch.setattr(links, "MOST_RETRY_SECONDS", 0.1)
    monkeypatch.setattr(node, "FAREWELL_SECONDS", 0.3)


def query(protocol: str, mine: str, theirs: dict[str, str], **more: Any) -> str:
    """A PLAN.toml; ``more`` are options, or top-level keys."""
    top = {key: more.pop(key) for key in ("purpose", "valid_minutes", "model") if key in more}
    return Query(protocol, mine, theirs, options=more, **top).to_toml()


def free_ports(count: int) -> list[int]:
    """Of the loopback address; nobody listens there just now."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


def csv(header: str, *rows: str) -> str:
    return "\n".join((header, *rows)) + "\n"


async def ask(party: Party, text: str, model: bytes = b"") -> JobResponse:
    """A query of ``party``, to its end."""
    return await party.end(await party.ask("submit", text, model))


async def draft(querier: Party, text: str, **changes: Any) -> Plan:
    """The plan that ``text`` makes, with top-level fields of it changed."""
    plan = await coordinator.resolve(querier.node, parse_query(text), b"")
    message = type(plan.message).FromString(plan.raw)
    for key, value in changes.items():
        setattr(message, key, value)
    return Plan.build(message)


async def propose(
    sender: Party, to: Party, plan: Plan | bytes, signature: bytes | None = None
) -> Any:
    """The answer to a proposal in ``sender``'s name, which signs it as a querier does."""
    raw = plan if isinstance(plan, bytes) else plan.raw
    if signature is None:
        signature = sign(sender.secret, PROPOSAL_LABEL, sha256(raw).digest())
    return await sender.stub(to).Propose(ProposeRequest(plan=raw, signature=signature))


async def refusal(answer: Awaitable[Any]) -> tuple[str, str]:
    """Code and rule of an answer that must be a refusal."""
    answered = await answer
    assert answered.WhichOneof("answer") == "refused", answered
    return answered.refused.code, answered.refused.rule
