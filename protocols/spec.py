"""What every protocol states about itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

from protocols.errors import Misuse
from protocols.plan import Plan
from protocols.role import Steps
from protocols.session import Session

P = TypeVar("P")
R = TypeVar("R")


class Learned(StrEnum):
    """Kinds of things that a party can come to know."""

    SET_SIZE = "set-size"
    MATCHED_ROWS = "matched-rows"
    MATCHED_COUNT = "matched-count"
    KEY_LIST = "key-list"
    KEYS_PASSED = "keys-passed"
    CONTRIBUTORS = "contributors-per-key"
    TOTALS = "totals"
    FEATURE_NAMES = "feature-names"
    PARTIAL_LOGIT = "partial-logit"
    SUMMED_LOGIT = "summed-logit"


@dataclass(frozen=True)
class Reveal:
    """``who`` learns ``what`` about ``of``'s records; ``text`` says it to people, sizes included.

    ``caution`` is what a compliance officer must weigh, empty where there is nothing to.
    """

    who: str
    what: Learned
    of: tuple[str, ...]
    text: str
    caution: str = ""


@dataclass(frozen=True)
class Offer:
    """What one party brings, as far as the querier knows it before the plan is made.

    ``columns`` are those that its policy shows to the querier; ``max_rows`` bounds its distinct
    identifiers.
    """

    party: str
    dataset: str
    keys: tuple[str, ...]
    normalizer: str
    columns: tuple[str, ...]
    max_rows: int


@dataclass(frozen=True)
class Request:
    """A query as its user put it: ``options`` by name, as the command line or PLAN.toml has them.

    ``model`` is the querier's model file, parsed from JSON, and stays with the querier.
    """

    mine: Offer
    theirs: tuple[Offer, ...]
    options: Mapping[str, Any]
    model: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Draft:
    """What a protocol makes of a request: one role and one tuple of columns a party, the
    querier's first, in the plan's order."""

    roles: tuple[str, ...]
    columns: tuple[tuple[str, ...], ...]
    parameters: bytes
    min_rows: int = 1


@dataclass(frozen=True)
class Table:
    """A result to write out: ``rows`` are positions among the party's own distinct identifiers,
    whose key columns the node puts first; ``None`` for a result that has no keys. Numbers are
    exact: ``int``, ``Decimal`` or, for scores alone, ``float``; ``None`` is an empty cell.
    """

    rows: Sequence[int] | None
    columns: Mapping[str, Sequence[Any]]
    notes: Mapping[str, int | float | str]


SECONDS_A_PARTY = 0.5
"""Of one core, to start a party's processes and read its data; see benchmarks/README.md."""


@dataclass(frozen=True)
class Cost:
    """What a run takes at the plan's upper bounds: all bytes on all links, and the seconds of
    one core of an ordinary machine, within a factor of two or so, over all parties."""

    bytes: int
    core_seconds: float


class Adversary(StrEnum):
    """Against whom a protocol holds. Messages are validated whatever the model."""

    SEMI_HONEST = "semi-honest"


@dataclass(frozen=True)
class Spec(Generic[P, R]):
    """A protocol: its roles and all that a node, a policy and ``explain`` must know of it.

    ``draft`` turns a request into parameters and raises ``Misuse`` for what its user got wrong;
    ``options`` are those it takes. ``parse`` is strict on the plan's parameter bytes, ``check`` on
    parties, roles, inputs and parameters together; both raise ``Malformed``. ``output_to`` names
    who gets a result, ``table`` lays it out; ``cohort`` is what a policy's ``min_cohort`` bounds.
    """

    name: str
    revision: int
    summary: str
    adversary: Adversary
    options: frozenset[str]
    draft: Callable[[Request], Draft]
    parse: Callable[[bytes], P]
    check: Callable[[Plan, P], None]
    roles: Mapping[str, Callable[[Session, P], Steps[R]]]
    reveals: Callable[[Plan, P], tuple[Reveal, ...]]
    output_to: Callable[[Plan, P], tuple[str, ...]]
    cohort: Callable[[Plan, P], int]
    cost: Callable[[Plan, P], Cost]
    table: Callable[[R, P], Table]

    @property
    def family(self) -> str:
        """The part of the name that policies speak of: psi, sum, score."""
        return self.name.partition(".")[0]

    def role(self, session: Session, params: P) -> Steps[R]:
        return self.roles[session.plan.role(session.me)](session, params)


AnySpec = Spec[Any, Any]


def option(request: Request, name: str, default: Any, allowed: Sequence[Any] | None = None) -> Any:
    """One option of the type of ``default``; ``Misuse`` names what is allowed."""
    value = request.options.get(name, default)
    if type(value) is not type(default):
        raise Misuse("bad-option", f"{name} takes a {type(default).__name__}, not {value!r}")
    if allowed is not None and value not in allowed:
        listed = ", ".join(str(each) for each in allowed)
        raise Misuse("bad-option", f"{name} is one of {listed}, not {value!r}")
    return value
