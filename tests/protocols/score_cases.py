"""score.weights: one holder, two, and two that have no applicant in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mpc.linear_model import parse_model
from protocols import score_terms, score_weights
from protocols.local import Source
from protocols.spec import Learned, Offer, Request
from tests.protocols.case import Case, Run, build_plan, digests, shuffled, suppliers

COLUMNS = ("income", "arrears")


def score_cases() -> Iterator[Case]:
    for name, holders in (
        ("score-one-holder", ("shop",)),
        ("score-two-holders", ("shop", "telecom")),
        ("score-nobody-shared", ("shop", "telecom")),
    ):
        yield Case(
            name=name,
            protocol=score_weights.SPEC.name,
            make=lambda variant, n=name, h=holders: score_run(variant, n, h),
            plain=score_plain,
            plausible=score_plausible,
            conveys={
                **{
                    (role, lane): what
                    for role in ("querier", "holder")
                    for lane, what in (
                        ("size", Learned.SET_SIZE),
                        ("points", None),
                        ("echo", Learned.MATCHED_ROWS),
                    )
                },
                ("holder", "aligned"): Learned.MATCHED_ROWS,
                ("holder", "public-key"): None,
                ("holder", "weights"): None,
                ("querier", "scores"): (
                    Learned.PARTIAL_LOGIT if len(holders) == 1 else Learned.SUMMED_LOGIT
                ),
            },
            malleable=frozenset({"points", "echo", "aligned", "public-key", "weights", "scores"}),
            unattributed=frozenset({"scores"}),
            small={"protocols.stream.block_count": small_items_alone, "protocols.match.CHUNK": 2},
        )


def small_items_alone(width: int) -> int:
    """Points, tags and positions three to a block; keys and ciphertexts as ever."""
    return 3 if width in (4, 7, 32) else (256 << 10) // width


def score_run(variant: int, name: str, holders: Sequence[str]) -> Run:
    """Eight applicants; the first four are at every holder, the next one at the first alone."""
    applicants = suppliers("applicant", variant, 8)
    held = {holder: [*applicants[:4], *suppliers(holder, variant, 3)] for holder in holders}
    held[holders[0]][-1] = applicants[4]
    if name == "score-nobody-shared":
        held = {
            holder: [applicant, *suppliers(holder, variant, 6)]
            for holder, applicant in zip(holders, applicants, strict=False)
        }
    identifiers = {
        party: shuffled(items, variant) for party, items in {"bank": applicants, **held}.items()
    }
    coins = np.random.default_rng(variant)
    values = {
        party: {item: coins.uniform(-9, 9, size=2) for item in items}
        for party, items in identifiers.items()
    }
    features = [
        {
            "party": party,
            "column": column,
            "weight": coins.uniform(-1, 1),
            "mean": coins.uniform(-1, 1),
            "scale": 4.0,
            "clip": [-8.0, 8.0],
        }
        for party in identifiers
        for column in COLUMNS
    ]
    return score_run_of({"bias": 0.25, "features": features}, values)


def score_run_of(
    model: Mapping[str, Any], values: Mapping[str, Mapping[str, NDArray[np.float64]]]
) -> Run:
    """``values``: for each party, the querier first, two columns' values for each identifier."""
    offers = [Offer(party, "ledger", ("supplier",), "text/1", COLUMNS, 20) for party in values]
    draft = score_terms.draft(Request(offers[0], tuple(offers[1:]), {}, model))
    params = score_terms.parse(draft.parameters)
    parties = [
        (party, role, 20, columns)
        for party, role, columns in zip(values, draft.roles, draft.columns, strict=True)
    ]
    plan, secrets = build_plan(score_weights.SPEC.name, params, parties)

    mine = list(values["bank"])
    shared = [row for row, item in enumerate(mine) if all(item in held for held in values.values())]
    logits = [_logit(model, {p: held[mine[row]] for p, held in values.items()}) for row in shared]
    expected: dict[str, Any] = {
        party: (None, None, len(shared), len(held) - len(shared)) for party, held in values.items()
    }
    near = [pytest.approx(logit, abs=1e-4) for logit in logits]
    expected["bank"] = (shared, near, len(shared), len(mine) - len(shared))

    def source(held: Mapping[str, NDArray[np.float64]]) -> dict[str, Callable[..., Any]]:
        table = np.array(list(held.values()))
        return {
            "items": lambda: digests(tuple(held)),
            "features": lambda rows: table[rows].T,
        }

    sources: dict[str, Source] = {party: source(held) for party, held in values.items()}
    sources["bank"] = {**sources["bank"], "model": lambda: parse_model(model)}
    return Run(plan, secrets, sources, expected, {p: tuple(held) for p, held in values.items()})


def _logit(model: Mapping[str, Any], row: Mapping[str, NDArray[np.float64]]) -> float:
    logit: float = model["bias"]
    for feature in model["features"]:
        value = float(row[feature["party"]][COLUMNS.index(feature["column"])])
        low, high = feature["clip"]
        clipped = min(max(value, low), high)
        logit += feature["weight"] * (clipped - feature["mean"]) / feature["scale"]
    return logit


def score_plain(result: score_terms.Scores) -> Any:
    if result.rows is None or result.logits is None:
        return None, None, result.scored, result.left_out
    return result.rows.tolist(), result.logits.tolist(), result.scored, result.left_out


def score_plausible(expected: Any, plain: Any) -> bool:
    """A holder can lie about which rows it has and what stands in them."""
    if plain[0] is None:
        return expected[0] is None and plain[2] <= expected[2]
    return set(plain[0]) <= set(expected[0]) and len(plain[1]) == len(plain[0]) == plain[2]
