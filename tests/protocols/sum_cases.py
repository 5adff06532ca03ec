"""sum.paillier: two and three contributors, floors of two and three, amounts of either sign."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mpc.packing import Packing
from mpc.wire.v1.sum_paillier_pb2 import SumPaillierParameters
from protocols import sum_paillier, sum_terms
from protocols.local import Source
from protocols.plan import Plan
from protocols.spec import Learned
from tests.protocols.case import Case, Run, build_plan, digests, suppliers


def sum_cases() -> Iterator[Case]:
    for name, floor, members in (
        ("sum-floor-2", 2, ("alpha", "beta", "gamma")),
        ("sum-floor-3", 3, ("alpha", "beta", "gamma")),
        ("sum-nothing-passes", 2, ("alpha", "beta")),
    ):
        yield Case(
            name=name,
            protocol=sum_paillier.SPEC.name,
            make=lambda variant, n=name, f=floor, m=members: sum_run(variant, n, f, m),
            plain=sum_plain,
            plausible=sum_plausible,
            conveys={
                ("querier", "indicators"): Learned.CONTRIBUTORS,
                ("querier", "amounts"): Learned.TOTALS,
                **{
                    (role, lane): what
                    for role in ("aggregator", "contributor")
                    for lane, what in (
                        ("modulus", None),
                        ("keys", Learned.KEY_LIST),
                        ("passing", Learned.KEYS_PASSED),
                    )
                },
                ("aggregator", "indicators"): None,
                ("aggregator", "amounts"): None,
                ("aggregator", "told"): None,  # a hash of what it was told itself
            },
            malleable=frozenset({"keys", "passing", "indicators", "amounts"}),
            unattributed=frozenset({"indicators", "amounts"}),
            small={
                "protocols.sum_passes.BLOCK": 1,
                "protocols.stream.BLOCK_BYTES": 64,
                "protocols.sum_terms.layouts": narrow_layouts,
            },
        )


def sum_run(variant: int, name: str, floor: int, members: Sequence[str]) -> Run:
    """Seven keys, of which the first three are held by all, by two, by none, and so on."""
    keys = suppliers("key", variant, 7)
    held_by = [members, members[:2], (), members[1:], members[:1], members, members[-1:]]
    if name == "sum-nothing-passes":
        held_by = [members[:1] if number % 2 else () for number in range(7)]
    coins = random.Random(f"{name} {variant}")
    ledgers: dict[str, dict[str, int]] = {member: {} for member in members}
    for key, holders in zip(keys, held_by, strict=True):
        for member in holders:
            ledgers[member][key] = coins.randrange(-(1 << 62), 1 << 62)
    for member in members:  # what nobody asked about
        for extra in suppliers(member, variant, 2 + variant):
            ledgers[member][extra] = coins.randrange(-(1 << 63), 1 << 63)
    return sum_run_of(keys, ledgers, floor)


def sum_run_of(keys: Sequence[str], ledgers: Mapping[str, Mapping[str, int]], floor: int) -> Run:
    params = SumPaillierParameters(key_bits=2048, floor=floor, value_bits=64, decimals=2)
    roles = ["aggregator"] + ["contributor"] * (len(ledgers) - 1)
    parties: list[tuple[str, str, int, Sequence[str]]] = [("bank", "querier", 20, ())]
    parties += [(name, role, 20, ("amount",)) for name, role in zip(ledgers, roles, strict=True)]
    plan, secrets = build_plan(sum_paillier.SPEC.name, params, parties)

    counts = Counter(key for ledger in ledgers.values() for key in ledger)
    totals = [
        sum(ledger.get(key, 0) for ledger in ledgers.values()) if counts[key] >= floor else None
        for key in keys
    ]
    passed = sum(total is not None for total in totals)
    expected: dict[str, Any] = {name: (None, None, len(keys), passed) for name in ledgers}
    expected["bank"] = ([counts[key] for key in keys], totals, len(keys), passed)

    sources: dict[str, Source] = {"bank": {"items": lambda: digests(keys)}}
    for name, ledger in ledgers.items():
        table = digests(tuple(ledger)), np.array(list(ledger.values()), dtype=np.int64)
        sources[name] = {"amounts": lambda decimals, table=table: table}
    identifiers = {"bank": keys, **{name: tuple(ledger) for name, ledger in ledgers.items()}}
    amounts_in_clear = {name: tuple(ledger.values()) for name, ledger in ledgers.items()}
    return Run(plan, secrets, sources, expected, identifiers, amounts_in_clear)


def sum_plain(result: sum_paillier.Sums) -> Any:
    counts = None if result.contributors is None else result.contributors.tolist()
    totals = None if result.totals is None else list(result.totals)
    return counts, totals, result.keys, result.passed


def sum_plausible(expected: Any, plain: Any) -> bool:
    """A contributor can lie about any of its amounts, and about which keys it holds."""
    return len(plain) == len(expected) and plain[2] == expected[2]


_layouts = sum_terms.layouts


def narrow_layouts(plan: Plan, params: SumPaillierParameters) -> dict[str, Packing]:
    """Three values in a ciphertext, so that seven keys take several."""
    layouts = _layouts(plan, params)
    return {step: replace(layout, slots=3) for step, layout in layouts.items()}
