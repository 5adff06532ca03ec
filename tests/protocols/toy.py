"""Protocols that exist for tests alone: the machine, the simulator and the leak test run them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from mpc.errors import Malformed
from mpc.wire.v1.psi_ecdh_pb2 import SetSize
from protocols import catalog
from protocols.plan import Plan
from protocols.role import Steps
from protocols.session import Session
from protocols.spec import Adversary, Cost, Draft, Reveal, Spec, Table
from tests.protocols.case import build_plan

Role = Callable[[Session, Any], Steps[Any]]


def toy_spec(
    name: str, roles: Mapping[str, Role], reveals: Sequence[Reveal] = ()
) -> Spec[Any, Any]:
    def parse(data: bytes) -> None:
        if data:
            raise Malformed("toy-parameters")

    return Spec(
        name=name,
        revision=1,
        summary="for tests",
        adversary=Adversary.SEMI_HONEST,
        options=frozenset(),
        draft=lambda request: Draft(tuple(roles), ((),) * len(roles), b""),
        parse=parse,
        check=lambda plan, params: None,
        roles=roles,
        reveals=lambda plan, params: tuple(reveals),
        output_to=lambda plan, params: plan.names,
        cohort=lambda plan, params: 1,
        cost=lambda plan, params: Cost(0, 0.0),
        table=lambda result, params: Table(None, {}, {}),
    )


def install(monkeypatch: pytest.MonkeyPatch, roles: Mapping[str, Role]) -> tuple[Plan, Any]:
    """Adds a protocol of these roles to the catalog; a plan of it, one party a role, and secrets.

    Parties are named as their roles are.
    """
    spec = toy_spec("toy.test", roles)
    others = (each for each in catalog.CATALOG if each.name != spec.name)
    monkeypatch.setattr(catalog, "CATALOG", (*others, spec))
    return build_plan(spec.name, SetSize(), [(role, role, 20, ()) for role in roles])
