"""The data owner's policy: what may be computed on its data, and for whom. Deny by default.

policy.toml is a list of ``[[allow]]`` lines. A proposal is allowed by the first line whose every
condition it meets; where there is none, it is refused. Lines only ever permit: a narrow line takes
nothing back of what a wider one grants. Dates and days are UTC.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from parties.rules import (
    ANY,
    POLICY_TOML,
    Policy,
    Rule,
    add_rule,
    check_policy,
    family,
    parse_policy,
    read_policy,
)

__all__ = [
    "ANY",
    "POLICY_TOML",
    "Decision",
    "Policy",
    "Proposal",
    "Rule",
    "add_rule",
    "check_policy",
    "decide",
    "family",
    "parse_policy",
    "read_policy",
]


@dataclass(frozen=True)
class Proposal:
    """What a plan asks of this party, ``me``, and nothing that the policy has no say in.

    ``parties`` are in the plan's order, the querier first, and ``max_rows`` bounds each one's set
    in the same order. ``keys`` and ``columns`` are those of our own input, and ``own_keys`` the
    keys that datasets.toml gives that dataset. ``learners`` are all parties that learn an output;
    ``reveal`` says what of an intersection they learn. ``cohort`` is the smallest number of
    contributors behind a total, or of identifiers that the querier may ask about.
    """

    me: str
    parties: tuple[str, ...]
    protocol: str
    dataset: str
    keys: tuple[str, ...]
    own_keys: tuple[str, ...]
    columns: tuple[str, ...]
    max_rows: tuple[int, ...]
    learners: frozenset[str]
    purpose: str = ""
    reveal: str = ""
    cohort: int = 0

    def __post_init__(self) -> None:
        if len(self.parties) != len(self.max_rows) or self.me not in self.parties:
            raise ValueError("a proposal names its parties, me among them, and bounds each one")

    @property
    def querier(self) -> str:
        return self.parties[0]


@dataclass(frozen=True)
class Decision:
    """``rule`` counts the file's lines from 1: the one that allowed, or the nearest that did not.

    ``reason`` is for this party's own people; ``public`` is what the querier may be told. It names
    a line only if one names that querier (or any), this dataset and this protocol.
    """

    verdict: Literal["allow", "approve", "refuse"]
    rule: int | None
    code: str
    reason: str
    public: str


@dataclass(frozen=True)
class _Case:
    rule: Rule
    asked: Proposal
    today: datetime.date
    used_today: int


def _cohort(case: _Case) -> bool:
    asked, least = case.asked, case.rule.cohort
    if family(asked.protocol) == "sum":
        # A querier that contributes knows its own share: it hides nobody.
        return len(asked.parties) - 1 >= least and asked.cohort >= least
    return asked.cohort >= least


def _party(case: _Case) -> bool:
    return case.rule.party in (ANY, case.asked.querier)


def _learners(case: _Case) -> bool:
    known = {case.asked.me, case.asked.querier}
    return case.rule.party == ANY or case.asked.learners <= known


def _beside(case: _Case) -> bool:
    others = set(case.asked.parties) - {case.asked.me, case.asked.querier}
    return case.rule.beside is None or others <= set(case.rule.beside)


# In the order in which a refusal reports them: key of the line, code, whether it holds.
_CONDITIONS: Final[tuple[tuple[str, str, Callable[[_Case], bool]], ...]] = (
    ("dataset", "policy-none", lambda c: c.rule.dataset == c.asked.dataset),
    (
        "protocol",
        "policy-none",
        lambda c: c.rule.protocol in (c.asked.protocol, family(c.asked.protocol)),
    ),
    ("party", "policy-none", _party),
    # Matching on any other column would show that column's values to whoever guesses them.
    ("keys", "policy-keys", lambda c: c.asked.keys == c.asked.own_keys),
    ("columns", "policy-columns", lambda c: set(c.asked.columns) <= set(c.rule.columns)),
    ("learners", "policy-learners", _learners),
    ("reveal", "policy-reveal", lambda c: not c.rule.reveal or c.asked.reveal in c.rule.reveal),
    ("beside", "policy-beside", _beside),
    ("purpose", "policy-purpose", lambda c: c.rule.purpose in (None, c.asked.purpose)),
    ("min_cohort", "policy-cohort", _cohort),
    (
        "max_rows",
        "policy-rows",
        lambda c: c.rule.max_rows is None or max(c.asked.max_rows) <= c.rule.max_rows,
    ),
    ("expires", "policy-expired", lambda c: c.rule.expires is None or c.today <= c.rule.expires),
    (
        "per_day",
        "policy-budget",
        lambda c: c.rule.per_day is None or c.used_today < c.rule.per_day,
    ),
)
_NAMES_THE_QUERIER: Final = 3  # conditions that a line meets which is about this querier at all


def decide(policy: Policy, asked: Proposal, now: datetime.datetime, used_today: int) -> Decision:
    """Whether ``asked`` is allowed.

    ``used_today`` counts the plans of this querier on this dataset in this protocol family that
    were accepted since midnight UTC, whichever line let them through: rewording or reordering the
    file gives no fresh budget. A query of our own is refused here (``own-query``): submitting it
    is our consent, and nobody else may propose it in our name.
    """
    if asked.querier == asked.me:
        return Decision("refuse", None, "own-query", "proposed in our own name", "policy")
    today = now.astimezone(datetime.UTC).date()
    best, nearest = -1, 0
    for number, rule in enumerate(policy.rules, 1):
        met = _conditions_met(_Case(rule, asked, today, used_today))
        if met == len(_CONDITIONS):
            if rule.approval:
                return _decision("approve", number, "policy-approval", "approval")
            return _decision("allow", number, "policy-allows", "allows")
        if met > best:
            best, nearest = met, number
    if not nearest:
        return Decision("refuse", None, "policy-none", "policy: no line", "policy")
    key, code, _ = _CONDITIONS[best]
    decision = _decision("refuse", nearest, code, key)
    if best < _NAMES_THE_QUERIER:
        return Decision("refuse", nearest, code, decision.reason, "policy")
    return decision


def _conditions_met(case: _Case) -> int:
    """How many hold, in order, before the first that does not."""
    for met, (_, _, holds) in enumerate(_CONDITIONS):
        if not holds(case):
            return met
    return len(_CONDITIONS)


def _decision(
    verdict: Literal["allow", "approve", "refuse"], number: int, code: str, what: str
) -> Decision:
    reason = f"policy {number}: {what}"
    return Decision(verdict, number, code, reason, reason)
