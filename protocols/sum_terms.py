"""The terms of sum.paillier: what a plan may say, and who learns what from it."""

from __future__ import annotations

from mpc.errors import Malformed
from mpc.wire import decode
from mpc.wire.v1.sum_paillier_pb2 import SumPaillierParameters
from protocols.plan import Plan
from protocols.spec import Learned, Reveal

QUERIER, AGGREGATOR, CONTRIBUTOR = "querier", "aggregator", "contributor"
MOST_CONTRIBUTORS = 50


def parse(data: bytes) -> SumPaillierParameters:
    """Strictly; ``Malformed`` for values that the protocol does not take."""
    params = decode(SumPaillierParameters, data)
    if params.key_bits not in (2048, 3072, 4096):
        raise Malformed("sum-key-bits")
    if params.value_bits != 64:
        raise Malformed("sum-value-bits")
    if params.decimals > 18:
        raise Malformed("sum-decimals")
    return params


def check(plan: Plan, params: SumPaillierParameters) -> None:
    members = contributors(plan)
    if plan.with_role(QUERIER) != plan.names[:1]:
        raise Malformed("sum-parties")
    if plan.with_role(AGGREGATOR) != plan.names[1:2]:
        raise Malformed("sum-parties")
    if plan.with_role(CONTRIBUTOR) != plan.names[2:]:
        raise Malformed("sum-parties")
    if not 2 <= len(members) <= MOST_CONTRIBUTORS:
        raise Malformed("sum-contributors")
    if not 1 <= params.floor <= len(members):
        raise Malformed("sum-floor")
    for party in plan.message.parties:
        if len(party.input.columns) != (party.role != QUERIER):
            raise Malformed("sum-columns")


def contributors(plan: Plan) -> tuple[str, ...]:
    """Everyone but the querier; the aggregator first. Positions here are the mask roster's."""
    return plan.names[1:]


def output_to(plan: Plan, params: SumPaillierParameters) -> tuple[str, ...]:
    return (plan.querier,)


def cohort(plan: Plan, params: SumPaillierParameters) -> int:
    """How many contributors stand behind every total."""
    return params.floor


def reveals(plan: Plan, params: SumPaillierParameters) -> tuple[Reveal, ...]:
    querier, members = plan.querier, contributors(plan)
    most, floor = plan.max_rows(querier), params.floor
    count_text = (
        f"for each of its at most {most:,} keys, how many of the {len(members)} contributors "
        "hold it, also below the floor"
    )
    total_text = f"for each key that at least {floor} contributors hold, the exact total"
    total_caution = (
        "in league with all contributors but one it learns that one's amounts"
        if floor > 1
        else "with a floor of 1 a total may be one contributor's own amount"
    )
    list_text = f"the querier's key list, at most {most:,} keys"
    list_caution = "as good as readable: whoever guesses an identifier can test it"
    passed_text = f"which of these keys at least {floor} contributors hold"
    passed_caution = "one that does not hold such a key learns that others do"
    found = [
        Reveal(querier, Learned.CONTRIBUTORS, members, count_text, "0, or all, says it of each"),
        Reveal(querier, Learned.TOTALS, members, total_text, total_caution),
    ]
    for name in members:
        found.append(Reveal(name, Learned.KEY_LIST, (querier,), list_text, list_caution))
        found.append(Reveal(name, Learned.KEYS_PASSED, members, passed_text, passed_caution))
    return tuple(found)
