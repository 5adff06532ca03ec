"""The terms of score.weights: what a plan may say, what it costs, who learns what from it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mpc.ckks.parameters import Parameters, plan_parameters
from mpc.errors import Malformed
from mpc.linear_model import Feature, logistic, parse_model, why_not
from mpc.wire import decode, encode
from mpc.wire.v1.score_weights_pb2 import Feature as FeatureTerms
from mpc.wire.v1.score_weights_pb2 import HolderFeatures, ScoreWeightsParameters
from protocols.errors import Misuse
from protocols.match import SECONDS_AN_ITEM
from protocols.plan import Plan
from protocols.spec import (
    SECONDS_A_PARTY,
    Cost,
    Draft,
    Learned,
    Offer,
    Request,
    Reveal,
    Table,
    option,
)

QUERIER, HOLDER = "querier", "holder"
MOST_LOGIT_BITS = 16
MOST_UNIT_BITS = 128
SECONDS_A_VALUE = 1e-6
"""Of one core, for reading and multiplying one value of one row; see benchmarks/README.md."""


@dataclass(frozen=True)
class Scores:
    """``rows``: positions among the querier's distinct identifiers, int64, ascending, with
    float64 ``logits`` for them; ``left_out`` of its identifiers are not at every holder.
    ``None`` at a holder, which learns no score. The errors are the proven bounds."""

    rows: NDArray[np.int64] | None
    logits: NDArray[np.float64] | None
    scored: int
    left_out: int
    logit_error: float
    score_error: float


def draft(request: Request) -> Draft:
    if request.model is None:
        raise Misuse("score-model", "score needs a model: --model MODEL.json")
    try:
        model = parse_model(request.model)
    except Malformed as error:
        raise Misuse("score-model", why_not(error)) from error
    offers = {offer.party: offer for offer in (request.mine, *request.theirs)}
    for feature in model.features:
        if feature.party not in offers:
            listed = ", ".join(offers)
            text = f"the model names party {feature.party!r}; this query is among {listed}"
            raise Misuse("score-model", text)
        _check_offered(feature, offers[feature.party])
    for offer in request.theirs:
        if not model.of(offer.party):
            text = f"the model has no feature of {offer.party}: leave it out of --with"
            raise Misuse("score-model", text)
    slopes = sum(abs(f.slope) for f in model.features if f.party != request.mine.party)
    params = ScoreWeightsParameters(
        holders=[
            HolderFeatures(features=[_feature_terms(f) for f in model.of(offer.party)])
            for offer in request.theirs
        ],
        statistical_bits=option(request, "statistical_bits", 40),
        logit_bits=max(1, math.ceil(math.log2(slopes))) if slopes else 1,
    )
    columns = tuple(
        tuple(f.column for f in model.of(offer.party)) for offer in (request.mine, *request.theirs)
    )
    roles = (QUERIER, *[HOLDER] * len(request.theirs))
    return Draft(roles, columns, encode(params), option(request, "min_rows", 1))


def _check_offered(feature: Feature, offer: Offer) -> None:
    if feature.dataset not in ("", offer.dataset):
        text = (
            f"the model is for {offer.party}'s dataset {feature.dataset!r}, the query for "
            f"{offer.dataset!r}"
        )
        raise Misuse("score-model", text)
    if feature.column not in offer.columns:
        text = f"{offer.party} offers no column {feature.column!r} of {offer.dataset} for score"
        raise Misuse("score-column", text)


def _feature_terms(feature: Feature) -> FeatureTerms:
    terms = FeatureTerms(column=feature.column, unit_bits=feature.unit_bits)
    if feature.clip is not None:
        terms.clipped = True
        terms.low, terms.high = feature.clip
    return terms


def parse(data: bytes) -> ScoreWeightsParameters:
    """Strictly; ``Malformed`` for values that the protocol does not take."""
    params = decode(ScoreWeightsParameters, data)
    if not 40 <= params.statistical_bits <= 64:
        raise Malformed("statistical-bits")
    if not 1 <= params.logit_bits <= MOST_LOGIT_BITS:
        raise Malformed("score-logit-bits")
    for holder in params.holders:
        for feature in holder.features:
            numbers = (feature.low, feature.high)
            if not all(map(math.isfinite, numbers)) or feature.low > feature.high:
                raise Malformed("score-clip")
            if not feature.clipped and numbers != (0.0, 0.0):
                raise Malformed("score-clip")
            if not -MOST_UNIT_BITS <= feature.unit_bits <= MOST_UNIT_BITS:
                raise Malformed("score-unit")
            if feature.clipped and max(map(abs, numbers)) > 2.0**feature.unit_bits:
                raise Malformed("score-unit")
    return params


def check(plan: Plan, params: ScoreWeightsParameters) -> None:
    if plan.with_role(QUERIER) != plan.names[:1] or plan.with_role(HOLDER) != plan.names[1:]:
        raise Malformed("score-parties")
    if len(params.holders) != len(holders(plan)):
        raise Malformed("score-holders")
    for party, holder in zip(plan.message.parties[1:], params.holders, strict=True):
        if not holder.features:
            raise Malformed("score-holders")
        if [feature.column for feature in holder.features] != list(party.input.columns):
            raise Malformed("score-columns")
    try:
        proven(plan, params)
    except ValueError as error:
        raise Malformed("score-not-provable") from error


def holders(plan: Plan) -> tuple[str, ...]:
    """Everyone but the querier. Positions here are the mask roster's."""
    return plan.names[1:]


def features_of(plan: Plan, params: ScoreWeightsParameters, name: str) -> list[FeatureTerms]:
    return list(params.holders[holders(plan).index(name)].features)


def most_rows(plan: Plan) -> int:
    return min(plan.max_rows(name) for name in plan.names)


def proven(plan: Plan, params: ScoreWeightsParameters) -> Parameters:
    """The encryption's parameters, from public terms alone; ``ValueError`` if none can do it."""
    widest = max(len(holder.features) for holder in params.holders)
    return _solved(
        widest, most_rows(plan), params.logit_bits, len(params.holders), params.statistical_bits
    )


@lru_cache(maxsize=64)
def _solved(features: int, rows: int, logit_bits: int, count: int, bits: int) -> Parameters:
    return plan_parameters(features, rows, 2.0**logit_bits, count, bits)


def output_to(plan: Plan, params: ScoreWeightsParameters) -> tuple[str, ...]:
    return (plan.querier,)


def cohort(plan: Plan, params: ScoreWeightsParameters) -> int:
    """The fewest identifiers that the querier may ask about."""
    return plan.min_rows(plan.querier)


def cost(plan: Plan, params: ScoreWeightsParameters) -> Cost:
    parameters = proven(plan, params)
    total, seconds = 0.0, len(plan.names) * SECONDS_A_PARTY
    for name, holder in zip(holders(plan), params.holders, strict=True):
        both = plan.max_rows(plan.querier) + plan.max_rows(name)
        width = len(holder.features)
        total += 42 * both + 4 * most_rows(plan)
        total += parameters.degree * 8 * (3 + 2 * width) + 16 * parameters.chunks * 8192
        seconds += both * SECONDS_AN_ITEM + most_rows(plan) * (width + 4) * SECONDS_A_VALUE
    return Cost(int(total), seconds)


def table(result: Scores, params: ScoreWeightsParameters) -> Table:
    notes = {
        "scored": result.scored,
        "left_out": result.left_out,
        "logit_error": result.logit_error,
        "score_error": result.score_error,
    }
    if result.rows is None or result.logits is None:
        return Table(None, {}, notes)
    columns = {"score": logistic(result.logits).tolist(), "logit": result.logits.tolist()}
    return Table(result.rows.tolist(), columns, notes)


def reveals(plan: Plan, params: ScoreWeightsParameters) -> tuple[Reveal, ...]:
    querier, others = plan.querier, holders(plan)
    found = []
    for name, holder in zip(others, params.holders, strict=True):
        bound = f"at most {plan.max_rows(name):,}"
        found.append(
            Reveal(querier, Learned.SET_SIZE, (name,), f"how many rows {name} brought ({bound})")
        )
        text = f"which of its own rows {name} also holds"
        found.append(Reveal(querier, Learned.MATCHED_ROWS, (name,), text))
        bound = f"at most {plan.max_rows(querier):,}"
        text = f"how many rows {querier} brought ({bound})"
        found.append(Reveal(name, Learned.SET_SIZE, (querier,), text))
        text = f"which of its own rows {querier} asks about, and which all holders share"
        caution = "each of these is shown to be a customer or applicant of the querier"
        known = (querier, *(other for other in others if other != name))
        found.append(Reveal(name, Learned.MATCHED_ROWS, known, text, caution))
        named = ", ".join(feature.column for feature in holder.features)
        text = f"that the model uses {named}, with their clips and bounds, not their weights"
        found.append(Reveal(name, Learned.FEATURE_NAMES, (querier,), text))
    if len(others) == 1:
        (count,) = (len(holder.features) for holder in params.holders)
        text = f"for each scored row, the part of the logit that {others[0]}'s columns make"
        caution = (
            f"one number out of {count} columns: over whole-number or category columns a single "
            f"one can tell their values; {count} of them for one row, under different models, "
            "always do"
        )
        found.append(Reveal(querier, Learned.PARTIAL_LOGIT, others, text, caution))
    else:
        text = f"for each scored row, the sum of the logit's parts of {', '.join(others)}"
        caution = (
            "its hidden weights decide what the sum holds: with zeros for all holders but one it "
            "is that one's part, and over whole-number or category columns a single number can "
            "tell their values; in league with all holders but one it learns that one's part too"
        )
        found.append(Reveal(querier, Learned.SUMMED_LOGIT, others, text, caution))
    return tuple(found)
