"""psi.ecdh: which of the querier's identifiers another party also holds, or only how many.

Adversary: semi-honest parties; every message is validated. Both learn the other's set size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpc.curve25519 import POINT_BYTES, tag_bytes
from mpc.errors import Malformed
from mpc.wire import decode, encode
from mpc.wire.v1.psi_ecdh_pb2 import PsiEcdhParameters
from protocols.errors import Misuse
from protocols.match import SECONDS_AN_ITEM, Matches, Terms, match
from protocols.plan import Plan
from protocols.role import Steps, read
from protocols.session import Session
from protocols.spec import (
    SECONDS_A_PARTY,
    Adversary,
    Cost,
    Draft,
    Learned,
    Request,
    Reveal,
    Spec,
    Table,
    option,
)

QUERIER, HOLDER = "querier", "holder"
_REVEALS = {"rows": PsiEcdhParameters.REVEAL_ROWS, "count": PsiEcdhParameters.REVEAL_COUNT}


@dataclass(frozen=True)
class Intersection:
    """``rows``: ascending positions among this party's distinct identifiers, int64, if learnt."""

    rows: NDArray[np.int64] | None
    count: int | None
    peer_rows: int


def draft(request: Request) -> Draft:
    if len(request.theirs) != 1:
        raise Misuse("psi-parties", "psi is between two parties: name one with --with")
    reveal = option(request, "reveal", "rows", tuple(_REVEALS))
    to = option(request, "to", "me", ("me", "both"))
    params = PsiEcdhParameters(
        reveal=_REVEALS[reveal],
        to_both=to == "both",
        statistical_bits=option(request, "statistical_bits", 40),
    )
    min_rows = option(request, "min_rows", 1)
    return Draft((QUERIER, HOLDER), ((), ()), encode(params), min_rows)


def parse(data: bytes) -> PsiEcdhParameters:
    """Strictly; ``Malformed`` for values that the protocol does not take."""
    params = decode(PsiEcdhParameters, data)
    if params.reveal not in (PsiEcdhParameters.REVEAL_ROWS, PsiEcdhParameters.REVEAL_COUNT):
        raise Malformed("psi-reveal")
    if not 40 <= params.statistical_bits <= 128:
        raise Malformed("statistical-bits")
    return params


def check(plan: Plan, params: PsiEcdhParameters) -> None:
    if len(plan.names) != 2 or plan.with_role(QUERIER) != plan.names[:1]:
        raise Malformed("psi-parties")
    if plan.with_role(HOLDER) != plan.names[1:]:
        raise Malformed("psi-parties")
    if any(party.input.columns for party in plan.message.parties):
        raise Malformed("psi-columns")


def party(session: Session, params: PsiEcdhParameters) -> Steps[Intersection]:
    """Either party's part: the construction is symmetric but for who learns."""
    (peer,) = session.others
    items: NDArray[np.uint8] = yield from read("items")
    learners = output_to(session.plan, params)
    terms = Terms(
        i_learn=session.me in learners,
        peer_learns=peer in learners,
        order_kept=params.reveal == PsiEcdhParameters.REVEAL_ROWS,
        statistical_bits=params.statistical_bits,
    )
    matches: Matches = yield from match(session, peer, items, terms)
    rows = None if matches.rows is None else np.sort(matches.rows)
    return Intersection(rows, matches.count, matches.peer_rows)


def output_to(plan: Plan, params: PsiEcdhParameters) -> tuple[str, ...]:
    return plan.names if params.to_both else (plan.querier,)


def reveals(plan: Plan, params: PsiEcdhParameters) -> tuple[Reveal, ...]:
    found: list[Reveal] = []
    for me, peer in (plan.names, plan.names[::-1]):
        bound = f"at most {plan.max_rows(peer):,}"
        text = f"how many distinct identifiers {peer} brought ({bound})"
        found.append(Reveal(me, Learned.SET_SIZE, (peer,), text))
        if me not in output_to(plan, params):
            continue
        if params.reveal == PsiEcdhParameters.REVEAL_ROWS:
            text = f"which of its own identifiers {peer} also holds"
            caution = "each of them is shown to be on the other's list"
            found.append(Reveal(me, Learned.MATCHED_ROWS, (peer,), text, caution))
        else:
            text = f"how many of its own identifiers {peer} also holds, not which"
            caution = (
                f"{me} brings at least {plan.min_rows(me):,}; over a single identifier a count "
                "tells whether it is there, and invented ones can make up the number"
            )
            found.append(Reveal(me, Learned.MATCHED_COUNT, (peer,), text, caution))
    return tuple(found)


def cohort(plan: Plan, params: PsiEcdhParameters) -> int:
    """The fewest identifiers that the querier may ask about."""
    return plan.min_rows(plan.querier)


def cost(plan: Plan, params: PsiEcdhParameters) -> Cost:
    rows = [plan.max_rows(name) for name in plan.names]
    width = tag_bytes(rows[0], rows[1], params.statistical_bits)
    echoed = sum(rows) if params.to_both else rows[0]
    seconds = len(rows) * SECONDS_A_PARTY + sum(rows) * SECONDS_AN_ITEM
    return Cost(POINT_BYTES * sum(rows) + width * echoed, seconds)


def table(result: Intersection, params: PsiEcdhParameters) -> Table:
    notes = {"peer_rows": result.peer_rows, "matched": result.count or 0}
    if result.rows is None:
        return Table(None, {"count": [result.count]}, notes)
    return Table(result.rows.tolist(), {}, notes)


SPEC = Spec(
    name="psi.ecdh",
    revision=1,
    summary="private set intersection by X25519 Diffie-Hellman",
    adversary=Adversary.SEMI_HONEST,
    options=frozenset({"reveal", "to", "min_rows", "statistical_bits"}),
    draft=draft,
    parse=parse,
    check=check,
    roles={QUERIER: party, HOLDER: party},
    reveals=reveals,
    output_to=output_to,
    cohort=cohort,
    cost=cost,
    table=table,
)
