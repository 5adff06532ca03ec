"""The querier's part around a session: from a request to a plan that every party has accepted."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

import grpc

from mpc.signing import sign
from mpc.wire.v1.session_pb2 import Acceptance
from parties.cards import Card
from parties.errors import ConfigError
from parties.gate import PROPOSAL_LABEL
from parties.logs import log
from parties.node import Node
from parties.offers import find_card, offer_of
from parties.requests import Query, make_plan
from parties.rpc.v1 import peer_pb2
from parties.rpc.v1.peer_pb2_grpc import PeerStub
from parties.sources import read_model
from parties.status import plain_code
from parties.store import ACCEPTED, Job, job_of
from protocols.errors import LinkLost, PeerFault, Refused, SessionError
from protocols.handshake import check_acceptance
from protocols.plan import Plan
from protocols.spec import Offer

R = TypeVar("R")
POLL_SECONDS = 1.0
WITHDRAW_SECONDS = 5.0


async def call(node: Node, card: Card, method: Callable[[PeerStub], Awaitable[R]]) -> R:
    """One call to a partner; ``LinkLost`` or ``Refused`` in place of gRPC's own errors."""
    try:
        return await method(PeerStub(node.channel(card)))
    except grpc.aio.AioRpcError as error:
        if error.code() == grpc.StatusCode.UNAUTHENTICATED:
            raise Refused(card.name, "peer-unknown") from None
        if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
            raise LinkLost(card.name, _why_unavailable(error)) from None
        if error.code() in _REFUSALS:
            raise Refused(card.name, plain_code(error.details() or "", "refused")) from None
        raise PeerFault(card.name, "call-failed") from None


_REFUSALS = (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.FAILED_PRECONDITION)


def _why_unavailable(error: grpc.aio.AioRpcError) -> str:
    """gRPC's text tells a wrong certificate from a closed door; it names no data."""
    details = (error.details() or "").lower()
    if "certificate" in details or "handshake" in details or "ssl" in details:
        return "peer-certificate"
    return "peer-down"


async def describe(node: Node, name: str) -> peer_pb2.DescribeResponse:
    """What partner ``name`` lets us know of its datasets."""
    card = node.trust.get(name)
    if not card.is_current():
        raise Refused(node.me, "peer-expired", name)
    timeout = node.settings.limits.handshake_seconds
    return await call(
        node, card, lambda stub: stub.Describe(peer_pb2.DescribeRequest(), timeout=timeout)
    )


async def resolve(node: Node, query: Query, model: bytes) -> Plan:
    """The plan proper of a request, from what every party offers just now."""
    mine = node.datasets.get(query.mine)
    if mine is None:
        listed = ", ".join(node.datasets) or "none yet"
        raise ConfigError(
            f"this node has no dataset {query.mine!r}",
            remedy=f"it has {listed}; add one with: jointcredit data add",
        )
    if node.me in query.theirs:
        raise ConfigError(f"{node.me} is this node itself", remedy="name the other parties")
    own = await asyncio.to_thread(node.offers.card, mine, node.policy, None)
    assert own is not None  # for ourselves there is always one
    theirs = await asyncio.gather(
        *(_offer(node, name, dataset, query.protocol) for name, dataset in query.theirs.items())
    )
    keys = {name: node.trust.get(name).signing_key for name in query.theirs}
    keys[node.me] = node.identity.signing_key
    document = read_model(model) if model else None
    now = int(time.time())
    return make_plan(query, offer_of(node.me, own), theirs, keys, document, now, os.urandom(16))


async def _offer(node: Node, name: str, dataset: str, family: str) -> Offer:
    described = await describe(node, name)
    card = find_card(described.datasets, dataset)
    if card is None or family not in card.protocols:
        raise Refused(name, "policy-none", f"no dataset {dataset} for {family} that we may use")
    return offer_of(name, card)


def new_job(node: Node, plan: Plan) -> Job:
    job = job_of(plan, node.me, time.time())
    node.store.add(job)
    log("submitted", job=job.id, protocol=plan.protocol)
    return job


async def coordinate(node: Node, job: Job, plan: Plan, model: bytes) -> None:
    """Collects everyone's acceptance, begins the session here, and tells the others to begin."""
    others = [name for name in plan.names if name != node.me]
    try:
        node.progress_of(job.id).report("asking", 0, len(others))
        by_name = await _ask_all(node, job, plan, others)
        by_name[node.me] = node.accept(plan)
        acceptances = [by_name[name] for name in plan.names]
        job = node.set_state(job, ACCEPTED)
        running = node.begin(job, acceptances, model or None)
    except asyncio.CancelledError:
        await _withdraw(node, plan, others)
        raise
    except Exception as error:
        if not isinstance(error, SessionError):
            log("internal-error", job=job.id, error=type(error).__name__)
        node.fail_job(job, error)
        await _withdraw(node, plan, others)
        return
    for name in others:
        node.spawn(_start(node, running, plan, name, acceptances))


async def _ask_all(node: Node, job: Job, plan: Plan, others: list[str]) -> dict[str, Acceptance]:
    """Everyone's acceptance; the first refusal or fault ends the asking of all."""
    try:
        async with asyncio.TaskGroup() as group:
            asked = {n: group.create_task(_propose(node, job, plan, n)) for n in others}
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return {name: task.result() for name, task in asked.items()}


async def _withdraw(node: Node, plan: Plan, others: list[str]) -> None:
    """Tells whoever may have said yes that the plan is off; who does not hear lets it expire."""
    request = peer_pb2.WithdrawRequest(plan_hash=plan.hash)
    for name in others:
        with suppress(SessionError, ConfigError):
            card = node.trust.get(name)
            await call(node, card, lambda stub: stub.Withdraw(request, timeout=WITHDRAW_SECONDS))


async def _propose(node: Node, job: Job, plan: Plan, name: str) -> Acceptance:
    """Asks until there is an answer; approval at the other side may take people hours."""
    secret = node.identity.signing_secret.expose()
    request = peer_pb2.ProposeRequest(
        plan=plan.raw, signature=sign(secret, PROPOSAL_LABEL, plan.hash)
    )
    card = node.trust.get(name)
    timeout = node.settings.limits.handshake_seconds
    waiting = False
    while True:
        response = peer_pb2.ProposeResponse(pending=peer_pb2.Pending())
        try:
            response = await call(node, card, lambda stub: stub.Propose(request, timeout=timeout))
        except LinkLost:
            # People take their time, and their node may be restarted meanwhile.
            if not waiting:
                raise
        match response.WhichOneof("answer"):
            case "accepted":
                check_acceptance(plan, name, response.accepted)
                acceptance: Acceptance = response.accepted
                return acceptance
            case "refused" if waiting and response.refused.code == "draining":
                pass
            case "refused":
                raise Refused(
                    name,
                    plain_code(response.refused.code, "refused"),
                    _words(response.refused.rule),
                )
            case "pending":
                waiting = True
                node.progress_of(job.id).report(f"approval by {name}")
            case _:
                raise PeerFault(name, "answer-empty")
        if time.time() > plan.message.expires:
            raise Refused(name, "approval-expired")
        await asyncio.sleep(POLL_SECONDS)


async def _start(
    node: Node, running: Any, plan: Plan, name: str, acceptances: list[Acceptance]
) -> None:
    request = peer_pb2.StartRequest(plan_hash=plan.hash, acceptances=acceptances)
    timeout = node.settings.limits.handshake_seconds
    try:
        response = await call(
            node, node.trust.get(name), lambda stub: stub.Start(request, timeout=timeout)
        )
        if response.WhichOneof("answer") != "started":
            raise Refused(
                name, plain_code(response.refused.code, "refused"), _words(response.refused.rule)
            )
    except LinkLost:
        # It may have begun all the same: whether its link comes up tells.
        log("start-unanswered", peer=name)
    except SessionError as error:
        running.fail(error)


def _words(text: str) -> str:
    return text if len(text) <= 100 and text.isprintable() and text.isascii() else ""
