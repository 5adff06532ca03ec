"""What a party's own people ask of their running node: over its Unix socket, every call signed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import grpc
from google.protobuf.message import Message

from parties.errors import ConfigError
from parties.home import Home
from parties.keyfiles import Passphrase
from parties.operators import OperatorKey
from parties.rpc.v1 import operator_pb2 as pb
from parties.rpc.v1.operator_pb2_grpc import OperatorStub
from parties.rpc.v1.peer_pb2 import DescribeResponse
from parties.status import Exit
from protocols.plan import Plan

ASK_SECONDS: Final = 30.0
RESOLVE_SECONDS: Final = 300.0
"""For calls in which the node asks its partners, and counts rows that it has not counted yet."""
MOST_ANSWER_BYTES: Final = 64 << 20


class NodeError(Exception):
    """The node answered with an error: its public code, the command line's exit code, a line."""

    def __init__(self, code: str, exit_code: int, text: str) -> None:
        self.code = code
        self.exit_code = exit_code
        super().__init__(text)


class Client:
    """One operator at one node. Every method raises ``NodeError`` for what the node refuses, and
    ``ConfigError`` where no node answers."""

    def __init__(self, home: Home, key: OperatorKey) -> None:
        self._home, self._key = home, key
        self.node = home.settings().name
        self._channel = grpc.insecure_channel(
            f"unix:{home.socket()}",
            options=[
                ("grpc.max_receive_message_length", MOST_ANSWER_BYTES),
                ("grpc.enable_http_proxy", 0),
            ],
        )
        self._stub = OperatorStub(self._channel)

    @classmethod
    def open(
        cls, directory: Path | str, operator: str | None = None, passphrase: Passphrase = None
    ) -> Client:
        """As ``operator``, or as the only one whose key is in the node's directory."""
        home = Home.open(directory)
        return cls(home, home.operator(operator, passphrase))

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._channel.close()

    def status(self) -> pb.StatusResponse:
        answer: pb.StatusResponse = self._ask("Status", pb.StatusRequest())
        return answer

    def partner(self, party: str) -> DescribeResponse:
        """The datasets that ``party`` lets this node know of."""
        request = pb.PartnerRequest(party=party)
        answer: pb.PartnerResponse = self._ask("Partner", request, RESOLVE_SECONDS)
        return DescribeResponse.FromString(answer.description)

    def explain(self, request: str, model: bytes = b"") -> Plan:
        """The plan proper that a PLAN.toml text would become now; it is proposed to nobody."""
        submitted = pb.SubmitRequest(request=request, model=model)
        answer: pb.ExplainResponse = self._ask("Explain", submitted, RESOLVE_SECONDS)
        return Plan.parse(answer.plan)

    def submit(self, request: str, model: bytes = b"") -> str:
        """Starts a query; its job's id."""
        submitted = pb.SubmitRequest(request=request, model=model)
        answer: pb.SubmitResponse = self._ask("Submit", submitted, RESOLVE_SECONDS)
        return answer.job

    def jobs(self, job: str = "") -> list[pb.JobResponse]:
        """All of them, the latest first; or the one whose id starts with ``job``."""
        answer: pb.JobsResponse = self._ask("Jobs", pb.JobsRequest(job=job))
        return list(answer.jobs)

    def approve(self, job: str) -> pb.JobResponse:
        answer: pb.JobResponse = self._ask("Approve", pb.DecisionRequest(job=job))
        return answer

    def deny(self, job: str, reason: str = "") -> pb.JobResponse:
        answer: pb.JobResponse = self._ask("Deny", pb.DecisionRequest(job=job, reason=reason))
        return answer

    def cancel(self, job: str) -> pb.JobResponse:
        answer: pb.JobResponse = self._ask("Cancel", pb.DecisionRequest(job=job))
        return answer

    def watch(self, job: str, seconds: float | None = None) -> Iterator[pb.JobResponse]:
        """The job now and at every change until it has ended; ``deadline`` after ``seconds``."""
        yield from self._stream("Watch", pb.WatchRequest(job=job), seconds)

    def result(self, job: str) -> bytes:
        """An ended job's result, as ``parties.results`` reads it."""
        pieces = self._stream("Result", pb.ResultRequest(job=job), None)
        return b"".join(piece.data for piece in pieces)

    def _ask(self, method: str, request: Message, seconds: float = ASK_SECONDS) -> Any:
        metadata = self._key.metadata(self.node, method, request, time.time())
        try:
            return getattr(self._stub, method)(request, metadata=metadata, timeout=seconds)
        except grpc.RpcError as error:
            raise self._said(error, begun=False) from None

    def _stream(self, method: str, request: Message, seconds: float | None) -> Iterator[Any]:
        metadata = self._key.metadata(self.node, method, request, time.time())
        call = getattr(self._stub, method)(request, metadata=metadata, timeout=seconds)
        begun = False
        try:
            for message in call:
                begun = True
                yield message
        except grpc.RpcError as error:
            raise self._said(error, begun) from None
        finally:
            call.cancel()

    def _said(self, error: Any, begun: bool) -> Exception:
        """gRPC's error in the node's own words, or in ours where it is not the node that speaks."""
        told = _details(error.details())
        if told is not None:
            return told
        where = self._home.directory
        if error.code() == grpc.StatusCode.UNAVAILABLE and not begun:
            start = f"start it: jointcredit node serve {where}"
            return ConfigError("the node is not running", where=where, remedy=start)
        if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
            text = f"{where}: no answer in time; the job itself goes on"
            return NodeError("deadline", Exit.LINK, text)
        if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
            text = f"{where}: the node stopped; start it: jointcredit node serve {where}"
            return NodeError("link-lost", Exit.LINK, text)
        text = f"{where}: the node failed ({error.code().name.lower()}); see its log"
        return NodeError("internal-error", Exit.OTHER, text)


def _details(text: str | None) -> NodeError | None:
    """The node's own status details: ``{"code": …, "exit": …, "text": …}``."""
    try:
        told = json.loads(text or "")
        return NodeError(str(told["code"]), int(told["exit"]), str(told["text"]))
    except (ValueError, KeyError, TypeError):
        return None
