"""One function a protocol: small plans of it, the data, and what the plaintext oracle answers.

Everything in the conformance suite runs over ``CASES``. A new protocol joins it with one function
here that yields its cases, and one entry in ``_FAMILIES``.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpc.items import item_digests
from mpc.normalise import key_rule
from mpc.packing import Packing
from mpc.signing import public_key
from mpc.wire import Message, encode
from mpc.wire.v1.plan_pb2 import Input, Party
from mpc.wire.v1.plan_pb2 import Plan as PlanMessage
from mpc.wire.v1.psi_ecdh_pb2 import PsiEcdhParameters
from mpc.wire.v1.sum_paillier_pb2 import SumPaillierParameters
from protocols import psi_ecdh, sum_paillier, sum_terms
from protocols.local import Source
from protocols.plan import Plan
from protocols.spec import Learned


@dataclass(frozen=True)
class Run:
    """A plan with its parties' data. ``identifiers`` and ``amounts`` are the secrets in clear."""

    plan: Plan
    secrets: Mapping[str, bytes]
    sources: Mapping[str, Source]
    expected: Mapping[str, Any]
    identifiers: Mapping[str, Sequence[str]]
    amounts: Mapping[str, Sequence[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """One way to run one protocol.

    ``make(variant)`` gives other secret data of the same public sizes for every variant.
    ``plain`` turns a party's result into what the oracle gives. ``plausible(expected, plain)``
    holds for results that a peer could also bring about by lying about its own input.

    ``conveys`` says of every lane, by the receiver's role, what its messages tell the receiver, or
    ``None`` where they are indistinguishable from random to it. ``malleable`` are the lanes on
    which a peer can replace bytes by others that are as valid: it then has lied about its input.

    ``small`` are constants of the protocol's files, made small so that small data takes many
    frames. ``weight`` divides the number of seeds: a run costs about that many of psi's.
    """

    name: str
    protocol: str
    make: Callable[[int], Run]
    plain: Callable[[Any], Any]
    plausible: Callable[[Any, Any], bool]
    conveys: Mapping[tuple[str, str], Learned | None]
    malleable: frozenset[str]
    small: Mapping[str, Any]
    weight: int = 1


def signing_secret(name: str) -> bytes:
    return hashlib.sha256(f"test signing secret of {name}".encode()).digest()


def digests(identifiers: Sequence[str]) -> NDArray[np.uint8]:
    """What a node makes of a key column: uint8[n, 16]."""
    return item_digests(key_rule("text/1", 1), [identifiers]).digests


def build_plan(
    protocol: str, parameters: Message, parties: Sequence[tuple[str, str, int, Sequence[str]]]
) -> tuple[Plan, dict[str, bytes]]:
    """A plan of ``parties`` (name, role, most rows, columns), and their signing secrets."""
    message = PlanMessage(
        protocol=protocol,
        revision=1,
        parameters=encode(parameters),
        purpose="test",
        created=1,
        expires=2,
        nonce=bytes(16),
    )
    secrets = {}
    for name, role, most, columns in parties:
        secrets[name] = signing_secret(name)
        brings = Input(
            dataset="ledger",
            keys=["supplier"],
            normalizer="text/1",
            columns=columns,
            max_rows=most,
            min_rows=1,
        )
        key = public_key(secrets[name])
        message.parties.append(Party(name=name, signing_key=key, role=role, input=brings))
    return Plan.build(message), secrets


def suppliers(label: str, variant: int, count: int) -> list[str]:
    """Identifiers that are long and odd enough to be searched for."""
    return [f"supplier-{label}-{variant}-{number:03d}" for number in range(count)]


def shuffled(values: Sequence[str], seed: int) -> list[str]:
    mixed = list(values)
    random.Random(seed).shuffle(mixed)
    return mixed


# psi.ecdh


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


# sum.paillier


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
            },
            malleable=frozenset({"keys", "passing", "indicators", "amounts"}),
            small={
                "protocols.sum_paillier.BLOCK": 1,
                "protocols.stream.BLOCK_BYTES": 64,
                "protocols.sum_terms.layouts": narrow_layouts,
            },
            weight=5,
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


def sum_run_of(
    keys: Sequence[str], ledgers: Mapping[str, Mapping[str, int]], floor: int
) -> Run:
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
        amounts = np.array(list(ledger.values()), dtype=np.int64)
        sources[name] = {"amounts": lambda i=tuple(ledger), a=amounts: (digests(i), a)}
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


_FAMILIES = (psi_cases, sum_cases)
CASES = tuple(case for family in _FAMILIES for case in family())
