"""Every protocol there is: adding one is a line here."""

from __future__ import annotations

from typing import Final

from mpc.errors import Malformed
from protocols import psi_ecdh, score_weights, sum_paillier
from protocols.plan import Plan
from protocols.spec import AnySpec

CATALOG: Final[tuple[AnySpec, ...]] = (psi_ecdh.SPEC, sum_paillier.SPEC, score_weights.SPEC)


def spec_of(plan: Plan) -> AnySpec:
    """The protocol of ``plan``, which must be ours to the revision."""
    for spec in CATALOG:
        if spec.name == plan.protocol:
            if spec.revision != plan.message.revision:
                raise Malformed("protocol-revision")
            return spec
    raise Malformed("protocol-unknown")


def checked(plan: Plan) -> tuple[AnySpec, object]:
    """The protocol and its parsed parameters; ``Malformed`` unless the plan is one it can run."""
    spec = spec_of(plan)
    params = spec.parse(plan.message.parameters)
    spec.check(plan, params)
    return spec, params
