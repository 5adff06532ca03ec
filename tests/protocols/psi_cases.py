"""psi.ecdh: rows or their number, to the querier or to both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mpc.wire.v1.psi_ecdh_pb2 import PsiEcdhParameters
from protocols import psi_ecdh
from protocols.spec import Learned
from tests.protocols.case import Case, Run, build_plan, digests, shuffled, suppliers


def psi_cases() -> Iterator[Case]:
    for reveal, by_name in ((1, "rows"), (2, "count")):
        for to_both, to in ((False, "to-one"), (True, "to-both")):
            yield Case(
                name=f"psi-{by_name}-{to}",
                protocol=psi_ecdh.SPEC.name,
                make=lambda variant, r=reveal, b=to_both: psi_run(variant, reveal=r, to_both=b),
                plain=psi_plain,
                plausible=psi_plausible,
                conveys=_psi_conveys(by_name, to_both),
                malleable=frozenset({"points", "echo"}),
                unattributed=frozenset(),
                small={"protocols.stream.BLOCK_BYTES": 128, "protocols.match.CHUNK": 2},
            )


def psi_run(
    variant: int = 0, *, reveal: int = 1, to_both: bool = True, mine: int = 9, theirs: int = 7
) -> Run:
    """Sizes are the same in every variant; how many identifiers are common is not."""
    common = suppliers("common", variant, 3 + variant % 3)
    data = {
        "bank": shuffled(common + suppliers("bank", variant, mine - len(common)), variant),
        "firm": shuffled(common + suppliers("firm", variant, theirs - len(common)), variant + 1),
    }
    return psi_run_of(data, reveal=reveal, to_both=to_both)


def psi_run_of(data: Mapping[str, Sequence[str]], *, reveal: int, to_both: bool) -> Run:
    params = PsiEcdhParameters(reveal=reveal, to_both=to_both, statistical_bits=40)  # type: ignore[arg-type]
    parties = [("bank", "querier", 20, ()), ("firm", "holder", 20, ())]
    plan, secrets = build_plan(psi_ecdh.SPEC.name, params, parties)
    expected = {}
    for me, peer in (("bank", "firm"), ("firm", "bank")):
        rows = [row for row, item in enumerate(data[me]) if item in set(data[peer])]
        learns = to_both or me == "bank"
        rows_known = rows if learns and reveal == PsiEcdhParameters.REVEAL_ROWS else None
        expected[me] = (rows_known, len(rows) if learns else None, len(data[peer]))
    sources = {name: {"items": lambda n=name: digests(data[n])} for name in data}
    return Run(plan, secrets, sources, expected, data)


def psi_plain(result: psi_ecdh.Intersection) -> Any:
    rows = None if result.rows is None else result.rows.tolist()
    return rows, result.count, result.peer_rows


def psi_plausible(expected: Any, plain: Any) -> bool:
    """The peer can but withhold some of its items, by sending others in their place."""
    rows, count, peer_rows = plain
    if (rows is None, count is None) != (expected[0] is None, expected[1] is None):
        return False
    if rows is not None and not set(rows) <= set(expected[0]):
        return False
    return (count is None or count <= expected[1]) and peer_rows == expected[2]


def _psi_conveys(by_name: str, to_both: bool) -> dict[tuple[str, str], Learned | None]:
    matched = {"rows": Learned.MATCHED_ROWS, "count": Learned.MATCHED_COUNT}[by_name]
    found: dict[tuple[str, str], Learned | None] = {}
    for role, learns in (("querier", True), ("holder", to_both)):
        found[role, "size"] = Learned.SET_SIZE
        found[role, "points"] = None
        if learns:
            found[role, "echo"] = matched
    return found
