"""Plans: exactly one encoding, within bounds, hashed as they came."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest

from mpc.errors import Malformed
from mpc.wire import encode
from mpc.wire.v1.plan_pb2 import Plan as PlanMessage
from protocols.catalog import CATALOG, checked, spec_of
from protocols.plan import MOST_PLAN_BYTES, MOST_ROWS, Plan
from tests.protocols.adversary import UNKNOWN_FIELD
from tests.protocols.case import Case
from tests.protocols.cases import CASES
from tests.protocols.psi_cases import psi_run


def message() -> PlanMessage:
    copy = PlanMessage()
    copy.CopyFrom(psi_run().plan.message)
    return copy


def refusal(build: Callable[[], Any]) -> tuple[str, int | None]:
    with pytest.raises(Malformed) as malformed:
        build()
    return malformed.value.code, malformed.value.index


def test_a_plan_is_its_bytes() -> None:
    plan = Plan.build(message())
    assert plan.hash == sha256(plan.raw).digest()
    assert Plan.parse(plan.raw) == plan
    assert plan.names == ("bank", "firm")
    assert (plan.querier, plan.role("firm"), plan.with_role("holder")) == (
        "bank",
        "holder",
        ("firm",),
    )
    assert (plan.min_rows("bank"), plan.max_rows("firm")) == (1, 20)


def test_other_encodings_of_the_same_plan_are_refused() -> None:
    raw = encode(message())
    assert refusal(lambda: Plan.parse(raw + UNKNOWN_FIELD))[0] == "not-canonical"
    assert refusal(lambda: Plan.parse(raw[-18:] + raw[:-18]))[0] == "not-canonical"
    assert refusal(lambda: Plan.parse(raw[:-1]))[0] == "unparsable"
    assert refusal(lambda: Plan.parse(b"\xff" * 9))[0] == "unparsable"
    assert refusal(lambda: Plan.parse(b""))[0] == "plan-protocol"
    assert refusal(lambda: Plan.parse(bytes(MOST_PLAN_BYTES + 1)))[0] == "plan-too-large"


@pytest.mark.parametrize(
    ("code", "index", "change"),
    [
        ("plan-protocol", None, lambda m: m.__setattr__("protocol", "")),
        ("plan-protocol", None, lambda m: m.__setattr__("protocol", "psi")),
        ("plan-protocol", None, lambda m: m.__setattr__("protocol", "psi.ecdh\n")),
        ("plan-protocol", None, lambda m: m.__setattr__("protocol", "../psi.ecdh")),
        ("plan-parties", None, lambda m: m.parties.pop()),
        ("plan-parties", None, lambda m: m.parties.extend([m.parties[0]] * 63)),
        ("plan-nonce", None, lambda m: m.__setattr__("nonce", bytes(15))),
        ("plan-nonce", None, lambda m: m.__setattr__("nonce", b"")),
        ("plan-dates", None, lambda m: m.__setattr__("created", 0)),
        ("plan-dates", None, lambda m: m.__setattr__("created", -1)),
        ("plan-dates", None, lambda m: m.__setattr__("expires", m.created)),
        ("plan-purpose", None, lambda m: m.__setattr__("purpose", "x" * 201)),
        ("plan-purpose", None, lambda m: m.__setattr__("purpose", "\x1b[2J")),
        ("plan-purpose", None, lambda m: m.__setattr__("purpose", "loan\u202e")),
        ("plan-party-name", 1, lambda m: m.parties[1].__setattr__("name", "")),
        ("plan-party-name", 1, lambda m: m.parties[1].__setattr__("name", "Firm")),
        ("plan-party-name", 1, lambda m: m.parties[1].__setattr__("name", "firm+bank")),
        ("plan-party-name", 1, lambda m: m.parties[1].__setattr__("name", "f" * 40)),
        ("plan-party-key", 0, lambda m: m.parties[0].__setattr__("signing_key", bytes(31))),
        ("plan-party-role", 0, lambda m: m.parties[0].__setattr__("role", "")),
        ("plan-rows", 1, lambda m: m.parties[1].input.__setattr__("min_rows", 0)),
        ("plan-rows", 1, lambda m: m.parties[1].input.__setattr__("min_rows", 21)),
        ("plan-rows", 1, lambda m: m.parties[1].input.__setattr__("max_rows", MOST_ROWS + 1)),
        ("plan-rows", 0, lambda m: m.parties[0].ClearField("input")),
        ("plan-input", 0, lambda m: m.parties[0].input.__setattr__("dataset", "")),
        ("plan-input", 0, lambda m: m.parties[0].input.__setattr__("dataset", "a\0b")),
        ("plan-input", 0, lambda m: m.parties[0].input.__setattr__("normalizer", "")),
        ("plan-input", 0, lambda m: m.parties[0].input.keys.append("")),
        ("plan-input", 0, lambda m: m.parties[0].input.columns.append("x" * 201)),
        ("plan-columns", 0, lambda m: m.parties[0].input.ClearField("keys")),
        ("plan-columns", 0, lambda m: m.parties[0].input.keys.append("supplier")),
        ("plan-columns", 0, lambda m: m.parties[0].input.columns.extend(["a", "a"])),
        ("plan-columns", 0, lambda m: m.parties[0].input.columns.extend(map(str, range(1024)))),
        ("plan-party-twice", None, lambda m: m.parties[1].__setattr__("name", "bank")),
        (
            "plan-key-twice",
            None,
            lambda m: m.parties[1].__setattr__("signing_key", m.parties[0].signing_key),
        ),
        ("plan-keys-differ", None, lambda m: m.parties[1].input.keys.append("branch")),
        ("plan-keys-differ", None, lambda m: m.parties[1].input.__setattr__("normalizer", "raw/1")),
    ],
)
def test_a_plan_out_of_bounds_is_refused(
    code: str, index: int | None, change: Callable[[Any], Any]
) -> None:
    changed = message()
    change(changed)
    assert refusal(lambda: Plan.build(changed)) == (code, index)


def test_only_what_the_catalog_has_to_the_revision_can_run() -> None:
    for field, value, code in (
        ("revision", 0, "protocol-revision"),
        ("revision", 2, "protocol-revision"),
        ("protocol", "psi.ecdh2", "protocol-unknown"),
        ("protocol", "psi.rr22", "protocol-unknown"),
    ):
        changed = message()
        setattr(changed, field, value)
        assert refusal(lambda m=changed: spec_of(Plan.build(m))) == (code, None)


def test_names_in_the_catalog_are_well_formed_and_unique() -> None:
    assert len({spec.name for spec in CATALOG}) == len(CATALOG)
    for spec in CATALOG:
        assert spec.family + "." == spec.name[: len(spec.family) + 1]
        assert spec.revision >= 1


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_parameters_are_parsed_strictly(case: Case) -> None:
    plan = case.make(0).plan
    spec, params = checked(plan)
    raw = plan.message.parameters
    assert encode(params) == raw
    for other in (raw + UNKNOWN_FIELD, raw[:-1], b"\xff", b"", raw + raw):
        with pytest.raises(Malformed):
            spec.parse(other)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_roles_belong_to_their_places_and_nobody_is_missing(case: Case) -> None:
    """Whoever is in the plan in another role than the protocol has for that place is refused."""
    original = case.make(0).plan.message
    spec = spec_of(Plan.build(original))

    def check(change: Callable[[Any], Any]) -> str:
        other = PlanMessage()
        other.CopyFrom(original)
        change(other)
        return refusal(lambda: checked(Plan.build(other)))[0]

    for index, party in enumerate(original.parties):
        for role in {*spec.roles, "observer"} - {party.role}:
            assert check(lambda m, i=index, r=role: m.parties[i].__setattr__("role", r))
    assert check(lambda m: m.parties.insert(0, m.parties.pop()))
    assert check(lambda m: m.parties[-1].input.columns.append("a column too many"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_a_plan_reveals_is_said_in_terms_of_its_parties(case: Case) -> None:
    plan = case.make(0).plan
    spec, params = checked(plan)
    reveals = spec.reveals(plan, params)
    assert reveals
    for reveal in reveals:
        assert reveal.who in plan.names
        assert set(reveal.of) - {reveal.who}
        assert set(reveal.of) <= set(plan.names)
        assert reveal.text
    assert set(spec.output_to(plan, params)) <= set(plan.names)
    assert spec.cohort(plan, params) >= 1
    cost = spec.cost(plan, params)
    assert cost.bytes > 0
    assert cost.core_seconds > 0
