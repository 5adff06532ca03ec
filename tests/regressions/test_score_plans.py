"""What a plan for scoring may hold, and what its parties are told of it."""

from __future__ import annotations

import numpy as np
import pytest

from mpc.errors import Malformed
from mpc.wire import encode
from mpc.wire.v1.score_weights_pb2 import Feature, HolderFeatures, ScoreWeightsParameters
from protocols import score_terms
from protocols.spec import Learned
from tests.protocols.score_cases import COLUMNS, score_run_of
from tests.sim.simulation import Simulation


@pytest.mark.parametrize("bits", [2**31 - 1, 129, -129, -(2**31)])
def test_a_unit_out_of_range_is_malformed_and_no_overflow(bits: int) -> None:
    feature = Feature(column="income", clipped=True, low=0, high=1, unit_bits=bits)
    params = ScoreWeightsParameters(
        statistical_bits=40, logit_bits=4, holders=[HolderFeatures(features=[feature])]
    )
    with pytest.raises(Malformed) as fault:
        score_terms.parse(encode(params))
    assert fault.value.code == "score-unit"


def test_one_of_several_holders_can_be_singled_out_and_is_told() -> None:
    """An honest run under weights of the querier's choice, which no mask can tell from others."""
    coins = np.random.default_rng(1)
    rows = ["one", "two", "three"]
    values = {
        party: {row: coins.integers(0, 16, 2).astype(float) for row in rows}
        for party in ("bank", "victim", "other")
    }
    weights = {"bank": (0.0, 0.0), "victim": (1.0, 16.0), "other": (0.0, 0.0)}
    features = [
        {
            "party": party,
            "column": column,
            "weight": weight,
            "mean": 0.0,
            "scale": 1.0,
            "clip": [0.0, 16.0],
        }
        for party, both in weights.items()
        for column, weight in zip(COLUMNS, both, strict=True)
    ]
    run = score_run_of({"bias": 0.0, "features": features}, values)
    result = Simulation(run.plan, run.secrets, run.sources).run().results["bank"]
    for row, logit in zip(result.rows, result.logits, strict=True):
        low, high = round(logit) % 16, round(logit) // 16
        assert [low, high] == values["victim"][rows[row]].tolist()

    params = score_terms.parse(run.plan.message.parameters)
    told = score_terms.reveals(run.plan, params)
    (caution,) = (each.caution for each in told if each.what is Learned.SUMMED_LOGIT)
    assert "zeros for all holders but one" in caution
