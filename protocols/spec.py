"""What every protocol states about itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

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


class Adversary(StrEnum):
    """Against whom a protocol holds. Messages are validated whatever the model."""

    SEMI_HONEST = "semi-honest"


@dataclass(frozen=True)
class Spec(Generic[P, R]):
    """A protocol: its roles and all that a node, a policy and ``explain`` must know of it.

    ``parse`` is strict on the plan's parameter bytes, ``check`` on parties, roles, inputs and
    parameters together; both raise ``Malformed``. ``output_to`` names who gets a result file.
    """

    name: str
    revision: int
    summary: str
    adversary: Adversary
    parse: Callable[[bytes], P]
    check: Callable[[Plan, P], None]
    roles: Mapping[str, Callable[[Session, P], Steps[R]]]
    reveals: Callable[[Plan, P], tuple[Reveal, ...]]
    output_to: Callable[[Plan, P], tuple[str, ...]]
    cohort: Callable[[Plan, P], int]

    @property
    def family(self) -> str:
        """The part of the name that policies speak of: psi, sum, score."""
        return self.name.partition(".")[0]

    def role(self, session: Session, params: P) -> Steps[R]:
        return self.roles[session.plan.role(session.me)](session, params)


AnySpec = Spec[Any, Any]
