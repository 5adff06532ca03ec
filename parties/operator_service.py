"""What the party's own people may ask of their node, over its Unix socket, every request signed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from mpc.errors import Malformed
from parties import __version__
from parties.coordinator import coordinate, describe, new_job, resolve
from parties.data_errors import DataError
from parties.errors import ConfigError
from parties.explain import disclosure
from parties.logs import log
from parties.node import Node
from parties.operators import Guard
from parties.requests import parse_query
from parties.rpc.v1 import operator_pb2 as pb
from parties.rpc.v1.operator_pb2_grpc import OperatorServicer
from parties.status import exit_code, grpc_status, public_code, status_of
from parties.store import ACCEPTED, CANCELLED, REFUSED, RUNNING, WAITING, Job
from protocols.errors import Misuse, SessionError
from protocols.plan import Plan

R = TypeVar("R")
PIECE_BYTES = 1 << 20


class OperatorService(OperatorServicer):
    """The ``Operator`` service of one node."""

    def __init__(self, node: Node, guard: Guard) -> None:
        self._node, self._guard = node, guard

    async def Status(self, request: pb.StatusRequest, context: Any) -> pb.StatusResponse:
        async def answer(_: str) -> pb.StatusResponse:
            node = self._node
            states = [job.state for job in node.store.all()]
            return pb.StatusResponse(
                name=node.me,
                version=__version__,
                listen=node.settings.listen,
                signing_key=node.identity.signing_key,
                trusted=len(node.trust.cards()),
                datasets=len(node.datasets),
                jobs_running=states.count(RUNNING),
                jobs_waiting=states.count(WAITING),
                started=int(node.started),
            )

        return await self._answered("Status", request, context, answer)

    async def Partner(self, request: pb.PartnerRequest, context: Any) -> pb.PartnerResponse:
        async def answer(_: str) -> pb.PartnerResponse:
            described = await describe(self._node, request.party)
            return pb.PartnerResponse(description=described.SerializeToString())

        return await self._answered("Partner", request, context, answer)

    async def Explain(self, request: pb.SubmitRequest, context: Any) -> pb.ExplainResponse:
        async def answer(_: str) -> pb.ExplainResponse:
            query = parse_query(request.request)
            plan = await resolve(self._node, query, request.model)
            return pb.ExplainResponse(plan=plan.raw)

        return await self._answered("Explain", request, context, answer)

    async def Submit(self, request: pb.SubmitRequest, context: Any) -> pb.SubmitResponse:
        async def answer(operator: str) -> pb.SubmitResponse:
            node = self._node
            if node.draining or node.busy_for(node.me):
                raise Misuse("draining" if node.draining else "busy")
            query = parse_query(request.request)
            plan = await resolve(node, query, request.model)
            job = new_job(node, plan)
            log("submit", operator=operator, job=job.id)
            node.tasks[job.id] = node.spawn(coordinate(node, job, plan, request.model))
            return pb.SubmitResponse(job=job.id)

        return await self._answered("Submit", request, context, answer)

    async def Jobs(self, request: pb.JobsRequest, context: Any) -> pb.JobsResponse:
        async def answer(_: str) -> pb.JobsResponse:
            node = self._node
            jobs = [node.job(request.job)] if request.job else node.store.all()
            return pb.JobsResponse(jobs=[self._shown(job) for job in jobs])

        return await self._answered("Jobs", request, context, answer)

    async def Approve(self, request: pb.DecisionRequest, context: Any) -> pb.JobResponse:
        async def answer(operator: str) -> pb.JobResponse:
            job = self._awaiting(request.job)
            log("approve", operator=operator, job=job.id)
            return self._shown(self._node.set_state(job, WAITING, approved_by=operator))

        return await self._answered("Approve", request, context, answer)

    async def Deny(self, request: pb.DecisionRequest, context: Any) -> pb.JobResponse:
        async def answer(operator: str) -> pb.JobResponse:
            job = self._awaiting(request.job)
            log("deny", operator=operator, job=job.id)
            text = f"denied by {operator}" + (f": {request.reason}" if request.reason else "")
            job = self._node.set_state(job, REFUSED, code="approval-denied", message=text)
            return self._shown(job)

        return await self._answered("Deny", request, context, answer)

    def _awaiting(self, identifier: str) -> Job:
        """A plan of somebody else's that waits for our people."""
        job = self._node.job(identifier)
        if job.state != WAITING or Plan.parse(job.plan).querier == self._node.me:
            raise Misuse("job-not-waiting", f"job {job.id} does not wait for an approval here")
        return job

    async def Cancel(self, request: pb.DecisionRequest, context: Any) -> pb.JobResponse:
        async def answer(operator: str) -> pb.JobResponse:
            node = self._node
            job = node.job(request.job)
            log("cancel", operator=operator, job=job.id)
            if job.id in node.running:
                node.running[job.id].cancel("cancelled-by-operator")
                await asyncio.sleep(0)
            elif job.state in (WAITING, ACCEPTED):
                node.accepted.pop(job.plan_hash, None)
                task = node.tasks.pop(job.id, None)
                if task is not None:
                    task.cancel()
                text = f"cancelled by {operator}"
                node.set_state(job, CANCELLED, code="cancelled-by-operator", message=text)
            else:
                raise Misuse("job-ended", f"job {job.id} has ended: {job.state}")
            return self._shown(node.job(job.id))

        return await self._answered("Cancel", request, context, answer)

    async def Watch(self, request: pb.WatchRequest, context: Any) -> AsyncIterator[pb.JobResponse]:
        await self._verified("Watch", request, context)
        node = self._node
        try:
            identifier = node.job(request.job).id
        except SessionError as error:
            await self._abort(context, error)
            return
        while True:
            changed = node.progress_of(identifier).changed
            job = node.job(identifier)
            yield self._shown(job)
            if job.has_ended:
                return
            await changed.wait()

    async def Result(
        self, request: pb.ResultRequest, context: Any
    ) -> AsyncIterator[pb.ResultPiece]:
        await self._verified("Result", request, context)
        try:
            data = self._node.result(self._node.job(request.job))
        except SessionError as error:
            await self._abort(context, error)
            return
        for start in range(0, len(data), PIECE_BYTES):
            yield pb.ResultPiece(data=data[start : start + PIECE_BYTES])

    def _shown(self, job: Job) -> pb.JobResponse:
        plan = Plan.parse(job.plan)
        progress = self._node.progress_of(job.id)
        return pb.JobResponse(
            job=job.id,
            protocol=plan.protocol,
            role=job.role,
            parties=plan.names,
            state=job.state,
            stage=progress.stage,
            done=progress.done,
            total=progress.total,
            code=job.code,
            message=job.message,
            created=int(job.created),
            ended=int(job.ended or 0),
            disclosure=_disclosure(plan),
            summary=json.dumps(job.summary),
            exit_code=int(job.summary.get("exit_code", 0)),
        )

    async def _verified(self, method: str, request: Any, context: Any) -> str:
        try:
            return self._guard.verify(method, request, context.invocation_metadata()).name
        except (SessionError, ConfigError) as error:
            log("operator-refused", method=method, code=public_code(error))
            await self._abort(context, error)
            raise

    async def _answered(
        self, method: str, request: Any, context: Any, answer: Callable[[str], Awaitable[R]]
    ) -> R:
        operator = await self._verified(method, request, context)
        try:
            return await answer(operator)
        except Exception as error:
            if not isinstance(error, SessionError | ConfigError | DataError):
                log("internal-error", method=method, error=type(error).__name__)
            await self._abort(context, error)
            raise

    async def _abort(self, context: Any, error: Exception) -> None:
        """Our own people get the text too, and the exit code, as JSON in the status details."""
        if isinstance(error, ConfigError | DataError):
            text = str(error)
        else:
            status = status_of(error)
            text = f"{error}: {status.text}" if isinstance(error, SessionError) else status.text
            if isinstance(error, Misuse) and str(error) != error.code:
                text = str(error)
            text += f"; {status.remedy}" if status.remedy else ""
        details = {"code": public_code(error), "exit": exit_code(error), "text": text}
        await context.abort(grpc_status(error), json.dumps(details))


def _disclosure(plan: Plan) -> str:
    """Also of a plan from an earlier release, whose protocol this one may not know any more."""
    try:
        return disclosure(plan)
    except Malformed as error:
        return f"{plan.protocol} revision {plan.message.revision}, unknown here: {error.code}"
