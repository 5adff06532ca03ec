"""Whether this node takes part in a plan: the checks that no policy can waive, then the policy."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass

from mpc.errors import Malformed
from mpc.normalise import key_rule
from mpc.signing import verify
from parties.cards import Card
from parties.config import DatasetEntry
from parties.policy import Decision, Proposal, decide
from parties.rules import Policy
from parties.trust import TrustStore
from protocols.catalog import checked
from protocols.errors import Refused
from protocols.plan import Plan
from protocols.spec import AnySpec, Learned

MOST_VALID_SECONDS = 31 * 24 * 3600
CLOCK_SKEW_SECONDS = 300
PROPOSAL_LABEL = "proposal"


@dataclass(frozen=True)
class Admitted:
    """A plan that is well-formed, current, and among parties whom this node knows."""

    plan: Plan
    spec: AnySpec
    params: object
    entry: DatasetEntry
    proposal: Proposal


def admit(
    raw: bytes,
    signature: bytes,
    caller: Card,
    me: str,
    my_key: bytes,
    trust: TrustStore,
    datasets: Mapping[str, DatasetEntry],
    now: float,
) -> Admitted:
    """Raises ``Refused`` with the check that failed; the policy has not been asked yet."""

    def refuse(code: str, rule: str = "") -> Refused:
        return Refused(me, code, rule)

    try:
        plan = Plan.parse(raw)
        checked(plan)
    except Malformed as error:
        raise refuse("plan-malformed", error.code) from error
    if me not in plan.names or plan.signing_key(me) != my_key:
        raise refuse("plan-not-ours")
    if caller.name != plan.querier or caller.signing_key != plan.signing_key(plan.querier):
        raise refuse("plan-not-yours")
    try:
        verify(caller.signing_key, signature, PROPOSAL_LABEL, plan.hash)
    except Malformed as error:
        raise refuse("plan-signature") from error
    return standing(plan, me, trust, datasets, now)


def standing(
    plan: Plan,
    me: str,
    trust: TrustStore,
    datasets: Mapping[str, DatasetEntry],
    now: float,
) -> Admitted:
    """The part of :func:`admit` that can change between a plan's acceptance and its start."""

    def refuse(code: str, rule: str = "") -> Refused:
        return Refused(me, code, rule)

    spec, params = checked(plan)
    cards = trust.cards()
    for name in plan.names:
        # A querier that could name strangers would add puppets until only one party is real.
        if name != me and (name not in cards or cards[name].signing_key != plan.signing_key(name)):
            raise refuse("party-not-trusted", name)
    _check_dates(plan, now, refuse("plan-expired"), refuse("plan-dates"))
    entry = datasets.get(plan.message.parties[plan.position(me)].input.dataset)
    if entry is None:  # told apart from a dataset that the caller may not use by nobody
        raise refuse("policy-none", "policy")
    return Admitted(plan, spec, params, entry, _proposal(plan, spec, params, me, entry))


def _check_dates(plan: Plan, now: float, expired: Refused, dates: Refused) -> None:
    created, expires = plan.message.created, plan.message.expires
    if now > expires:
        raise expired
    if created > now + CLOCK_SKEW_SECONDS or expires - created > MOST_VALID_SECONDS:
        raise dates


def _proposal(plan: Plan, spec: AnySpec, params: object, me: str, entry: DatasetEntry) -> Proposal:
    brings = plan.message.parties[plan.position(me)].input
    return Proposal(
        me=me,
        parties=plan.names,
        protocol=plan.protocol,
        dataset=brings.dataset,
        keys=tuple(brings.keys),
        own_keys=entry.keys,
        columns=tuple(brings.columns),
        max_rows=tuple(plan.max_rows(name) for name in plan.names),
        learners=frozenset(spec.output_to(plan, params)),
        purpose=plan.message.purpose,
        reveal=_reveal(spec, plan, params),
        cohort=spec.cohort(plan, params),
    )


def _reveal(spec: AnySpec, plan: Plan, params: object) -> str:
    """What of an intersection comes out, in the policy's word for it."""
    kinds = {reveal.what for reveal in spec.reveals(plan, params)}
    if spec.family != "psi":
        return ""
    return "rows" if Learned.MATCHED_ROWS in kinds else "count"


def judge(policy: Policy, admitted: Admitted, now: float, used_today: int) -> Decision:
    """The owner's policy on an admitted plan; then whether its terms fit the dataset."""
    moment = datetime.datetime.fromtimestamp(now, datetime.UTC)
    decision = decide(policy, admitted.proposal, moment, used_today)
    plan, entry = admitted.plan, admitted.entry
    brings = plan.message.parties[plan.position(admitted.proposal.me)].input
    rule = ",".join(each.spec for each in key_rule(entry.normalizer, len(entry.keys)))
    if decision.verdict != "refuse" and brings.normalizer != rule:
        text = f"the dataset's normalizer is {rule}"
        return Decision("refuse", decision.rule, "normalizer-differs", text, text)
    return decision
