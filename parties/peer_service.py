"""What partners' nodes may call. Who calls is read from the pinned certificate on every call."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

import grpc

from parties import links
from parties.cards import Card
from parties.errors import ConfigError
from parties.gate import Admitted, admit, judge, standing
from parties.logs import log
from parties.node import Node
from parties.rpc.v1 import peer_pb2
from parties.rpc.v1.peer_pb2_grpc import PeerServicer
from parties.rules import Policy, family
from parties.status import grpc_status, public_code
from parties.store import ACCEPTED, CANCELLED, ENDED, REFUSED, RUNNING, WAITING, Job, job_of
from parties.tls import peer_of
from protocols.errors import PeerFault, Refused, SessionError
from protocols.plan import Plan

R = TypeVar("R")
MOST_OPEN_PLANS = 100
"""Plans of one party that wait for an approval, or for their start."""
SECONDS_A_DAY = 86400


class PeerService(PeerServicer):
    """The ``Peer`` service of one node."""

    def __init__(self, node: Node) -> None:
        self._node = node

    async def Describe(
        self, request: peer_pb2.DescribeRequest, context: Any
    ) -> peer_pb2.DescribeResponse:
        async def answer(caller: Card) -> peer_pb2.DescribeResponse:
            node = self._node
            return await asyncio.to_thread(
                node.offers.all_for, node.datasets, self._policy, caller.name
            )

        return await self._answered("Describe", context, answer)

    @property
    def _policy(self) -> Policy:
        """Until its owner has mended it, a policy that cannot be read permits nothing."""
        try:
            return self._node.policy
        except ConfigError as error:
            raise Refused(self._node.me, "policy-broken") from error

    async def Propose(
        self, request: peer_pb2.ProposeRequest, context: Any
    ) -> peer_pb2.ProposeResponse:
        async def answer(caller: Card) -> peer_pb2.ProposeResponse:
            try:
                return self._propose(request, caller)
            except Refused as error:
                log("refused", peer=caller.name, code=error.code, rule=error.rule)
                refusal = peer_pb2.Refusal(code=error.code, rule=error.rule)
                return peer_pb2.ProposeResponse(refused=refusal)

        return await self._answered("Propose", context, answer)

    def _propose(self, request: peer_pb2.ProposeRequest, caller: Card) -> peer_pb2.ProposeResponse:
        node, now = self._node, time.time()
        if node.draining:
            raise Refused(node.me, "draining")
        admitted = admit(
            request.plan, request.signature, caller, node.me, node.identity.signing_key,
            node.trust, node.datasets, now,
        )  # fmt: skip
        plan, asked = admitted.plan, admitted.proposal
        job = node.store.by_plan(plan.hash)
        if job is not None and job.state in (*ENDED, RUNNING):
            # Where people here ended it, or its time did, the querier is told that.
            said_why = job.state in (REFUSED, CANCELLED)
            raise Refused(node.me, job.code if said_why else "plan-used")
        must_approve = self._judge(admitted, now)
        job = job or self._new_job(plan, now)
        if must_approve and not job.approved_by:
            return peer_pb2.ProposeResponse(pending=peer_pb2.Pending())
        # Durable before the yes leaves: a plan counts once, however often it is proposed.
        kind = family(plan.protocol)
        node.store.spend(plan.hash, caller.name, asked.dataset, kind, now)
        if job.state != ACCEPTED:
            node.set_state(job, ACCEPTED)
        return peer_pb2.ProposeResponse(accepted=node.accept(plan))

    def _judge(self, admitted: Admitted, now: float) -> bool:
        """Whether our people must say yes; raises ``Refused`` where the policy says no.

        Asked at every proposal and once more at the start: a line withdrawn meanwhile counts,
        whoever had approved, and whatever had been accepted.
        """
        node, plan, asked = self._node, admitted.plan, admitted.proposal
        midnight, kind = now - now % SECONDS_A_DAY, family(plan.protocol)
        spent = node.store.spent_since(plan.querier, asked.dataset, kind, midnight, plan.hash)
        decision = judge(self._policy, admitted, now, spent)
        if decision.verdict == "refuse":
            raise Refused(node.me, decision.code, decision.public)
        return decision.verdict == "approve"

    def _new_job(self, plan: Plan, now: float) -> Job:
        node = self._node
        open_jobs = [j for j in node.store.in_state(WAITING, ACCEPTED) if j.querier == plan.querier]
        if node.busy_for(plan.querier) or len(open_jobs) >= MOST_OPEN_PLANS:
            raise Refused(node.me, "busy")
        job = job_of(plan, node.me, now)
        node.store.add(job)
        log("proposed", job=job.id, peer=job.querier, role=job.role)
        return job

    async def Start(self, request: peer_pb2.StartRequest, context: Any) -> peer_pb2.StartResponse:
        async def answer(caller: Card) -> peer_pb2.StartResponse:
            node = self._node
            accepted = node.accepted.get(request.plan_hash)
            job = node.store.by_plan(request.plan_hash)
            try:
                if accepted is None or job is None or job.state != ACCEPTED:
                    raise Refused(node.me, "plan-unknown")
                if caller.signing_key != accepted.plan.signing_key(accepted.plan.querier):
                    raise Refused(node.me, "plan-not-yours")
                if node.busy_for(caller.name):
                    raise Refused(node.me, "busy")
                self._stands(job, accepted.plan)
                try:
                    node.begin(job, list(request.acceptances))
                except PeerFault as error:
                    node.fail_job(job, error)
                    raise Refused(node.me, error.code, error.culprit) from error
            except Refused as error:
                refusal = peer_pb2.Refusal(code=error.code, rule=error.rule)
                return peer_pb2.StartResponse(refused=refusal)
            return peer_pb2.StartResponse(started=peer_pb2.Started())

        return await self._answered("Start", context, answer)

    def _stands(self, job: Job, plan: Plan) -> None:
        """Ends ``job`` with the ``Refused`` of a plan that would not be accepted any more."""
        node, now = self._node, time.time()
        try:
            admitted = standing(plan, node.me, node.trust, node.datasets, now)
            if self._judge(admitted, now) and not job.approved_by:
                raise Refused(node.me, "policy-approval")
        except Refused as error:
            node.fail_job(job, error)
            raise

    async def Withdraw(
        self, request: peer_pb2.WithdrawRequest, context: Any
    ) -> peer_pb2.WithdrawResponse:
        async def answer(caller: Card) -> peer_pb2.WithdrawResponse:
            node = self._node
            job = node.store.by_plan(request.plan_hash)
            if job is not None and job.querier == caller.name and job.state in (WAITING, ACCEPTED):
                node.accepted.pop(job.plan_hash, None)
                text = f"withdrawn by {caller.name}"
                node.set_state(job, CANCELLED, code="withdrawn", message=text)
            return peer_pb2.WithdrawResponse()

        return await self._answered("Withdraw", context, answer)

    async def Link(
        self, request_iterator: AsyncIterator[peer_pb2.LinkMessage], context: Any
    ) -> AsyncIterator[peer_pb2.LinkMessage]:
        caller = await self._caller("Link", context)
        link = await self._link_of(caller, request_iterator, context)
        stream = link.connect()
        reader = asyncio.create_task(self._read(link, request_iterator))
        cleanly = False
        try:
            async for message in stream.messages():
                yield message
            # The dialler closes first; what it still has to say is heard.
            await reader
            cleanly = True
        finally:
            reader.cancel()
            link.disconnected(stream, cleanly=cleanly)

    async def _link_of(
        self, caller: Card, messages: AsyncIterator[peer_pb2.LinkMessage], context: Any
    ) -> links.Link:
        """The link that this stream is for, by its first message."""
        node = self._node
        try:
            async with asyncio.timeout(node.settings.limits.handshake_seconds):
                first = await anext(aiter(messages), None)
        except TimeoutError:
            first = None
        if first is None or first.WhichOneof("content") != "open":
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "link-not-opened")
            raise AssertionError("unreachable")
        session_id = first.open.session_id
        deadline = time.monotonic() + node.settings.limits.handshake_seconds
        while session_id not in node.sessions:
            # The querier's start may still be on its way, if we have said yes to something.
            left = deadline - time.monotonic()
            if not node.accepted or left <= 0:
                await context.abort(grpc.StatusCode.NOT_FOUND, "session-unknown")
            with suppress(TimeoutError):
                await asyncio.wait_for(node.session_opened.wait(), min(left, 1.0))
        running = node.sessions[session_id]
        plan = running.session.plan
        link = running.links.get(caller.name)
        if (
            link is None
            or plan.signing_key(caller.name) != caller.signing_key
            or plan.position(caller.name) > plan.position(node.me)
        ):
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "link-not-yours")
            raise AssertionError("unreachable")
        link.receive(first)
        return link

    async def _read(self, link: links.Link, messages: AsyncIterator[peer_pb2.LinkMessage]) -> None:
        async for message in messages:
            link.receive(message)

    async def _answered(
        self, method: str, context: Any, answer: Callable[[Card], Awaitable[R]]
    ) -> R:
        """``answer``, or the status of the error it met: a code, never our text."""
        caller = await self._caller(method, context)
        try:
            return await answer(caller)
        except Exception as error:
            if not isinstance(error, SessionError):
                log("internal-error", method=method, error=type(error).__name__)
            await context.abort(grpc_status(error), public_code(error))
            raise

    async def _caller(self, method: str, context: Any) -> Card:
        try:
            return peer_of(context, self._node.trust)
        except Refused as error:
            log("stranger", method=method, code=error.code)
            await context.abort(grpc_status(error), error.code)
            raise
