"""A querier that tells each contributor something else.

Every pair's receipts agree, for what each was told it was told. With lists that nobody else's data
fit, one contributor's part was all that the sums held: its own indicators, and its own amounts for
keys that all contributors have, whatever the floor.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from mpc.wire.v1.session_pb2 import Block
from protocols import sum_paillier
from protocols.errors import PeerFault
from protocols.role import Effect, Send, Steps, report
from tests.protocols.adversary import changed, rewriting
from tests.protocols.case import Run
from tests.protocols.sum_cases import sum_run_of
from tests.sim.simulation import Simulation

VICTIM = "beta"
KEYS = ["held by all 1", "held by all 2", "held by none 1", "held by none 2"]
AMOUNTS: Mapping[str, int] = {"alpha": 1_00, VICTIM: 20_00, "gamma": 300_00}


def the_run() -> Run:
    ledgers = {name: dict.fromkeys(KEYS[:2], own) for name, own in AMOUNTS.items()}
    return sum_run_of(KEYS, ledgers, 3)


def other(message: Block, lane: str) -> Block:
    """As well-formed as ``message``, and about keys that nobody has."""
    told = np.frombuffer(message.data, np.uint8)
    flipped = told ^ 0x0F if lane == "passing" else told[::-1]
    made: Block = changed(message, data=flipped.tobytes())
    return made


def lying(lane: str) -> Simulation:
    """A run in which the querier tells everybody but the victim something else."""
    run = the_run()

    def lie(effect: Effect) -> Effect:
        if not isinstance(effect, Send) or (effect.lane, effect.to == VICTIM) != (lane, False):
            return effect
        if isinstance(effect.message, Block):
            return Send(effect.to, lane, other(effect.message, lane))
        return effect

    def wrap(name: str, steps: Steps[Any]) -> Steps[Any]:
        return rewriting(steps, lie) if name == "bank" else steps

    return Simulation(run.plan, run.secrets, run.sources, wrap=wrap)


@pytest.mark.parametrize("lane", ["keys", "passing"])
def test_a_querier_that_tells_contributors_apart_learns_nothing(lane: str) -> None:
    with pytest.raises(PeerFault) as fault:
        lying(lane).run()
    # The aggregator compares what contributors were told: the querier lied, or one of them does.
    assert (fault.value.culprit, fault.value.code) == ("bank+beta", "told-differently")


@pytest.mark.parametrize("lane", ["keys", "passing"])
def test_nor_with_an_aggregator_that_looks_away(lane: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sum_paillier, "_compare", lambda session, told: report("compared", 1, 1))
    with pytest.raises(PeerFault) as fault:
        lying(lane).run()
    # Masks are named after what was said, and do not cancel. Whose doing, the sums cannot tell.
    assert fault.value.culprit == "+".join(AMOUNTS)


def test_told_alike_they_all_count() -> None:
    run = the_run()
    outcome = Simulation(run.plan, run.secrets, run.sources).run()
    assert outcome.results["bank"].totals == (321_00, 321_00, None, None)
