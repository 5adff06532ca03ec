"""THE table: every public code, with its exit code, gRPC status, text and remedy.

A code is a fixed public word. A peer is told the code and nothing else; people get its text. To
add one, add a line. What is missing here gets a safe generic answer by the kind of error it came
with, so that a protocol's own codes (``point-not-canonical``, …) need no line unless their text
would help somebody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Final

from grpc import StatusCode

from mpc.errors import Malformed
from parties.data_errors import DataError
from parties.errors import ConfigError
from protocols.errors import Cancelled, LinkLost, Misuse, PeerFault, Refused

MOST_CODE: Final = 40  # characters


class Exit(IntEnum):
    """Exit codes of the command line."""

    DONE = 0
    OTHER = 1
    LOCAL = 2
    REFUSED = 3
    PEER = 4
    LINK = 5
    WAITING = 6


@dataclass(frozen=True)
class Status:
    """``text`` may be shown to anybody; ``remedy`` is for this node's own people."""

    exit: Exit
    grpc: StatusCode
    text: str
    remedy: str


_UNKNOWN: Final = Status(
    Exit.OTHER, StatusCode.INTERNAL, "the session failed", "see this node's log for the job"
)
_POLICY: Final = (Exit.REFUSED, StatusCode.PERMISSION_DENIED)
_IDENTITY: Final = (Exit.REFUSED, StatusCode.UNAUTHENTICATED)
_PEER: Final = (Exit.PEER, StatusCode.INVALID_ARGUMENT)
_LOCAL: Final = (Exit.LOCAL, StatusCode.FAILED_PRECONDITION)
_FAILED: Final = (Exit.OTHER, StatusCode.INTERNAL)
_LINK: Final = (Exit.LINK, StatusCode.UNAVAILABLE)
_ASK: Final = "ask that party's owner to allow it, or change the query"
_RELEASE: Final = "bring both sides to one release"

TABLE: Final[Mapping[str, Status]] = MappingProxyType(
    {
        # A policy said no. The codes of parties.policy.decide.
        "policy-none": Status(*_POLICY, "no policy line allows this", _ASK),
        "policy-keys": Status(*_POLICY, "other key columns than the dataset's", "use its keys"),
        "policy-columns": Status(*_POLICY, "a column is not allowed", _ASK),
        "policy-learners": Status(
            *_POLICY, "somebody would learn a result who may not", "change who gets the result"
        ),
        "policy-reveal": Status(*_POLICY, "this much may not be revealed", "reveal less"),
        "policy-beside": Status(*_POLICY, "not beside these parties", "change the parties"),
        "policy-purpose": Status(*_POLICY, "not for this purpose", _ASK),
        "policy-cohort": Status(
            *_POLICY,
            "the group is too small",
            "sum: more contributors, a higher --floor; psi, score: --min-rows",
        ),
        "policy-rows": Status(*_POLICY, "the sets are too large", "lower max_rows in the plan"),
        "policy-expired": Status(*_POLICY, "the permission has expired", _ASK),
        "policy-budget": Status(
            Exit.REFUSED, StatusCode.RESOURCE_EXHAUSTED, "no queries left today", "after 0:00 UTC"
        ),
        "policy-approval": Status(
            Exit.WAITING,
            StatusCode.FAILED_PRECONDITION,
            "waiting for approval",
            "one of the owner's approvers runs: jobs approve",
        ),
        "policy-broken": Status(
            *_POLICY, "the policy cannot be read", "that party runs: policy check"
        ),
        "own-query": Status(*_POLICY, "proposed in our own name", "submit it at our own node"),
        # A plan that no policy gets to see.
        "plan-malformed": Status(*_POLICY, "the plan is not well formed", _RELEASE),
        "plan-not-ours": Status(*_POLICY, "the plan does not name that party", "compare cards"),
        "plan-not-yours": Status(*_POLICY, "the caller is not the plan's querier", _RELEASE),
        "plan-signature": Status(*_POLICY, "the plan is not signed by its querier", _RELEASE),
        "plan-dates": Status(*_POLICY, "the plan's dates make no sense", "compare both clocks"),
        "plan-expired": Status(*_POLICY, "the plan has expired", "submit the query again"),
        "plan-unknown": Status(
            Exit.REFUSED, StatusCode.NOT_FOUND, "no such plan", "submit the query again"
        ),
        "plan-used": Status(*_POLICY, "the plan ran before", "submit the query again"),
        "party-not-trusted": Status(
            *_POLICY, "a party of the plan is not known there", "all exchange cards: node trust"
        ),
        "normalizer-differs": Status(
            *_POLICY, "the datasets are normalised differently", "agree on one, then: data add"
        ),
        "draining": Status(
            Exit.LINK, StatusCode.UNAVAILABLE, "the node is shutting down", "try again later"
        ),
        "busy": Status(
            Exit.LINK, StatusCode.RESOURCE_EXHAUSTED, "the node has all it can do", "try later"
        ),
        "approval-denied": Status(*_POLICY, "an approver said no", "ask that party's approver"),
        "approval-expired": Status(
            *_POLICY, "nobody approved in time", "ask that party's approver, submit it again"
        ),
        # Who is there?
        "peer-unknown": Status(
            *_IDENTITY, "the caller is not a trusted party", "exchange cards: node card, node trust"
        ),
        "peer-expired": Status(
            *_IDENTITY, "the certificate has expired", "renew it and hand out the new card"
        ),
        "tls-version": Status(*_IDENTITY, "the connection is older than TLS 1.3", "update it"),
        "operator-unsigned": Status(
            *_IDENTITY, "the request is not signed by an operator", "use the jointcredit command"
        ),
        "operator-unknown": Status(
            *_IDENTITY, "no such operator, or the signature does not fit", "see operators.toml"
        ),
        "operator-time": Status(
            *_IDENTITY, "signed too long ago or too far ahead", "check the clocks, then try again"
        ),
        "operator-replay": Status(*_IDENTITY, "the request was seen before", "ask again"),
        "operator-role": Status(
            *_POLICY, "the operator's roles do not cover this", "see roles in operators.toml"
        ),
        "operator-busy": Status(
            Exit.REFUSED, StatusCode.RESOURCE_EXHAUSTED, "too many requests", "wait two minutes"
        ),
        # A peer did what the protocol does not allow.
        "bad-signature": Status(*_PEER, "a signature does not fit", "compare fingerprints again"),
        "not-canonical": Status(*_PEER, "bytes in a second encoding", "update both sides"),
        "unparsable": Status(*_PEER, "bytes that are no such message", "update both sides"),
        "wrong-session": Status(*_PEER, "a message of another session", "run the query again"),
        "transcript-differs": Status(
            *_PEER,
            "the parties saw different messages",
            "keep both nodes' state; compare the receipts",
        ),
        "window-exceeded": Status(*_PEER, "more messages than agreed", "report it to that party"),
        # Our own side.
        "config": Status(*_LOCAL, "a local file or argument is wrong", "see the message"),
        "local-data": Status(
            *_LOCAL, "a dataset cannot be used as it is", "correct it, submit again"
        ),
        "rows-outside-plan": Status(
            *_LOCAL, "a dataset is larger or smaller than the plan says", "submit the query again"
        ),
        "worker-died": Status(
            *_FAILED, "a worker process died", "it may have run out of memory; see the log"
        ),
        **dict.fromkeys(
            (
                "internal-error",
                "deadlock",
                "frame-from-nobody",
                "lane-shared",
                "no-such-lane",
                "replay-differs",
            ),
            Status(*_FAILED, "the node failed", "see its log; report the bug"),
        ),
        **dict.fromkeys(
            ("job-unknown", "job-ambiguous", "no-result", "job-not-waiting", "job-ended"),
            Status(*_LOCAL, "no such thing to do with that job", "see: jobs list"),
        ),
        # The way between.
        "peer-down": Status(
            *_LINK,
            "the party cannot be reached",
            "is its node running, its card current, and does it trust ours?",
        ),
        "peer-certificate": Status(
            *_LINK,
            "the connection was made, but not with the pinned certificate",
            "exchange cards again: node card, node trust",
        ),
        "peer-refused": Status(
            *_LINK, "the party does not let us connect", "does it still trust our card?"
        ),
        "session-unknown": Status(*_LINK, "the party's node was restarted", "run the query again"),
        "link-lost": Status(*_LINK, "the connection broke", "run the query again"),
        "idle": Status(*_LINK, "nobody said anything for too long", "see [limits] in node.toml"),
        "deadline": Status(
            Exit.LINK,
            StatusCode.DEADLINE_EXCEEDED,
            "the deadline passed",
            "see [limits] in node.toml",
        ),
        # Called off.
        "cancelled": Status(Exit.OTHER, StatusCode.CANCELLED, "called off", "submit it again"),
        "shutdown": Status(
            Exit.LINK, StatusCode.CANCELLED, "the node was shut down", "start it, submit again"
        ),
        "node-restarted": Status(
            Exit.LINK, StatusCode.CANCELLED, "the node was stopped meanwhile", "submit it again"
        ),
        "cancelled-by-operator": Status(
            Exit.OTHER, StatusCode.CANCELLED, "called off by an operator", "submit it again"
        ),
        "withdrawn": Status(
            Exit.OTHER, StatusCode.CANCELLED, "withdrawn by the querier", "nothing to do"
        ),
    }
)

# For a code without a line: what the kind of error tells.
_BY_KIND: Final[tuple[tuple[type[Exception], Status], ...]] = (
    (Refused, Status(*_POLICY, "a party refused", _ASK)),
    (PeerFault, Status(*_PEER, "a peer broke the protocol", _RELEASE)),
    (Malformed, Status(*_PEER, "a message is malformed", _RELEASE)),
    (LinkLost, Status(*_LINK, "the link to a party was lost", "run the query again")),
    (Misuse, Status(*_LOCAL, "local input does not fit the plan", "see this node's message")),
    (DataError, TABLE["local-data"]),
    (ConfigError, TABLE["config"]),
    (Cancelled, TABLE["cancelled"]),
    (TimeoutError, TABLE["deadline"]),
    (ConnectionError, TABLE["link-lost"]),
)
# Which exit codes a kind of error can end with, the usual one first. A code may be a peer's word:
# it cannot turn a refusal or a fault into something else.
_EXITS: Final[tuple[tuple[type[Exception], tuple[Exit, ...]], ...]] = (
    (PeerFault, (Exit.PEER,)),
    (LinkLost, (Exit.LINK,)),
    (Refused, (Exit.REFUSED, Exit.WAITING, Exit.LINK)),
    (Cancelled, (Exit.OTHER, Exit.LINK)),
    (DataError, (Exit.LOCAL,)),
    (ConfigError, (Exit.LOCAL,)),
)


def status_of(error: BaseException) -> Status:
    """The line for an error: its code's, else its kind's, else "the session failed"."""
    code = getattr(error, "code", None)
    if isinstance(code, str) and code in TABLE:
        return TABLE[code]
    return next((status for kind, status in _BY_KIND if isinstance(error, kind)), _UNKNOWN)


def exit_code(error: BaseException) -> int:
    """The exit code that tells a script what ended the command."""
    code = status_of(error).exit
    for kind, exits in _EXITS:
        if isinstance(error, kind):
            return int(code if code in exits else exits[0])
    return int(code)


def public_code(error: BaseException) -> str:
    """The word a peer may be told: the error's code, or ``internal-error`` for any other error."""
    if isinstance(error, TimeoutError):
        return "deadline"
    if isinstance(error, DataError):
        return "local-data"
    code = getattr(error, "code", None)
    known = (Refused, PeerFault, Malformed, LinkLost, Misuse, Cancelled)
    return code if isinstance(error, known) and isinstance(code, str) else "internal-error"


def grpc_status(error: BaseException) -> StatusCode:
    """The status with which a call ends that met ``error``."""
    return status_of(error).grpc


def plain_code(code: str, otherwise: str) -> str:
    """A peer's word for a code, if it is a plain one: it goes into logs and onto terminals."""
    plain = code.isascii() and code.replace("-", "").isalnum() and len(code) <= MOST_CODE
    return code if plain else otherwise


def public_text(code: str) -> str:
    """One short line for people; safe for any code, a peer's invention included."""
    return TABLE.get(code, _UNKNOWN).text


def remedy(code: str) -> str:
    """What this node's people can do about it."""
    return TABLE.get(code, _UNKNOWN).remedy
