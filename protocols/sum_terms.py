"""The terms of sum.paillier: what a plan may say, and who learns what from it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from mpc.errors import Malformed
from mpc.money import from_minor_units
from mpc.packing import Packing
from mpc.wire import decode, encode
from mpc.wire.v1.sum_paillier_pb2 import SumPaillierParameters
from protocols.errors import Misuse
from protocols.plan import Plan
from protocols.spec import SECONDS_A_PARTY, Cost, Draft, Learned, Request, Reveal, Table, option

SECONDS_TO_ENCRYPT = 1.6e-3
SECONDS_TO_DECRYPT = 9e-3
SECONDS_A_TABLE = 0.5
"""Of one core at 3072 bits, the first two for one ciphertext, the last for a contributor's table
of powers; see benchmarks/README.md."""

QUERIER, AGGREGATOR, CONTRIBUTOR = "querier", "aggregator", "contributor"
MOST_CONTRIBUTORS = 50


@dataclass(frozen=True)
class Sums:
    """For each distinct key of the querier's list, in its order.

    ``contributors`` int64[n]; ``totals`` exact integers in minor units, ``None`` where withheld.
    A contributor's own result has neither, only how many keys were asked and how many passed.
    """

    contributors: NDArray[np.int64] | None
    totals: tuple[int | None, ...] | None
    keys: int
    passed: int


def draft(request: Request) -> Draft:
    others = len(request.theirs)
    if not 2 <= others <= MOST_CONTRIBUTORS:
        text = f"a sum takes 2 to {MOST_CONTRIBUTORS} contributors, not {others}: see --with"
        raise Misuse("sum-contributors", text)
    amount = option(request, "amount", "")
    if not amount:
        raise Misuse("sum-amount", "name the column to add up with --amount")
    for offer in request.theirs:
        if amount not in offer.columns:
            text = f"{offer.party} offers no column {amount!r} of {offer.dataset} for sum"
            raise Misuse("sum-amount", text)
    params = SumPaillierParameters(
        key_bits=option(request, "key_bits", 3072, (2048, 3072, 4096)),
        floor=option(request, "floor", min(3, others), range(1, others + 1)),
        value_bits=64,
        decimals=option(request, "decimals", 2, range(19)),
    )
    roles = (QUERIER, AGGREGATOR, *[CONTRIBUTOR] * (others - 1))
    columns = ((), *[(amount,)] * others)
    return Draft(roles, columns, encode(params), option(request, "min_rows", 1))


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


def layouts(plan: Plan, params: SumPaillierParameters) -> dict[str, Packing]:
    """How each of the two passes packs its values into plaintexts."""
    members = len(contributors(plan))
    return {
        "indicators": Packing.for_sum(params.key_bits, members, value_bits=1, signed=False),
        "amounts": Packing.for_sum(params.key_bits, members, value_bits=params.value_bits),
    }


def cost(plan: Plan, params: SumPaillierParameters) -> Cost:
    keys, members = plan.max_rows(plan.querier), len(contributors(plan))
    ciphertexts = sum(layout.plaintexts(keys) for layout in layouts(plan, params).values())
    width = params.key_bits // 4
    # The aggregator encrypts once more, to re-randomise; the sums alone are decrypted.
    seconds = ciphertexts * ((members + 1) * SECONDS_TO_ENCRYPT + SECONDS_TO_DECRYPT)
    seconds = (seconds + members * SECONDS_A_TABLE) * (params.key_bits / 3072) ** 2.5
    octets = (members * ciphertexts) * width + members * keys * 16
    return Cost(octets, seconds + len(plan.names) * SECONDS_A_PARTY)


def table(result: Sums, params: SumPaillierParameters) -> Table:
    notes = {"keys": result.keys, "passed": result.passed, "withheld": result.keys - result.passed}
    if result.totals is None or result.contributors is None:
        return Table(None, {}, notes)
    totals = [
        None if total is None else Decimal(from_minor_units(total, params.decimals))
        for total in result.totals
    ]
    columns = {"total": totals, "contributors": result.contributors.tolist()}
    return Table(range(result.keys), columns, notes)


def reveals(plan: Plan, params: SumPaillierParameters) -> tuple[Reveal, ...]:
    querier, members = plan.querier, contributors(plan)
    most, floor = plan.max_rows(querier), params.floor
    count_text = (
        f"for each of its at most {most:,} keys, how many of the {len(members)} contributors "
        "hold it, also below the floor"
    )
    total_text = f"for each key that at least {floor} contributors hold, the exact total"
    total_caution = (
        "it is trusted to name only keys that reached the floor, which nobody else can check; "
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
