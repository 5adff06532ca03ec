"""Nothing tells by its order which row of whose data it belongs to.

Each test looks at many sessions over the same four items, and at which place every one of them
took: all places equally often, up to what chance allows (a bound of five sigma, seeded coins).
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

from mpc.keyed_digests import DIGEST_BYTES, keyed_digests
from mpc.wire.v1.session_pb2 import Block
from protocols import match, sum_paillier
from protocols.errors import Misuse
from protocols.role import Compute, Effect, Read, Send
from tests.protocols.adversary import observing
from tests.protocols.case import Run, digests, simulate, suppliers
from tests.protocols.psi_cases import psi_run, psi_run_of
from tests.protocols.score_cases import score_run
from tests.protocols.sum_cases import sum_run_of

ROWS, COUNT = 1, 2
SESSIONS = 120
ITEMS = 4


@pytest.fixture(autouse=True)
def three_points_to_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protocols.stream.BLOCK_BYTES", 96)


def evenly_spread(places: Counter[tuple[int, int]]) -> bool:
    """Of (item, place)."""
    mean = SESSIONS / ITEMS
    allowed = 5 * (mean * (1 - 1 / ITEMS)) ** 0.5
    cells = [(item, place) for item in range(ITEMS) for place in range(ITEMS)]
    return all(abs(places[cell] - mean) < allowed for cell in cells)


def four_items(reveal: int) -> Run:
    data = {"bank": suppliers("bank", 0, ITEMS), "firm": suppliers("firm", 0, ITEMS)}
    return psi_run_of(data, reveal=reveal, to_both=True)


def test_points_leave_in_an_order_that_tells_nothing_of_the_rows() -> None:
    run = four_items(ROWS)
    items = [row.tobytes() for row in run.sources["bank"]["items"]()]
    places: Counter[tuple[int, int]] = Counter()

    def note(name: str, effect: Effect) -> None:
        if name == "bank" and isinstance(effect, Compute) and effect.call is match.blind:
            for place, row in enumerate(effect.args[0]):
                places[items.index(row.tobytes()), place] += 1

    for coins in range(SESSIONS):
        simulate(run, coins=coins, wrap=observing(note)).run()
    assert evenly_spread(places)


def echo_places(reveal: int, coins: int) -> list[int]:
    """For each of the bank's points, in the order sent, where its tag stands in the echo."""
    raised: list[bytes] = []
    echoed: list[bytes] = []

    def note(name: str, effect: Effect) -> None:
        if name != "firm":
            return
        if isinstance(effect, Compute) and effect.call is match.raise_and_tag:
            raised.extend(row.tobytes() for row in effect.call(*effect.args))
        if isinstance(effect, Send) and effect.lane == "echo":
            assert isinstance(effect.message, Block)
            rows = np.frombuffer(effect.message.data, np.uint8).reshape(-1, effect.message.width)
            echoed.extend(row.tobytes() for row in rows)

    simulate(four_items(reveal), coins=coins, wrap=observing(note)).run()
    return [echoed.index(tag) for tag in raised]


def test_an_echo_that_tells_rows_keeps_their_order() -> None:
    assert all(echo_places(ROWS, coins) == [0, 1, 2, 3] for coins in range(5))


def test_an_echo_that_tells_a_count_is_in_an_order_of_its_own() -> None:
    places: Counter[tuple[int, int]] = Counter()
    for coins in range(SESSIONS):
        places.update(enumerate(echo_places(COUNT, coins)))
    assert evenly_spread(places)


def test_a_counted_echo_leaves_only_when_all_points_are_in() -> None:
    """Piece by piece it would tell which rows a block's matches are among."""
    frames = simulate(psi_run(reveal=COUNT, mine=20)).run().frames
    last = max(i for i, f in enumerate(frames) if (f.sender, f.lane) == (0, "points"))
    first = min(i for i, f in enumerate(frames) if (f.sender, f.lane) == (1, "echo"))
    assert first > last


class _SeenEnoughError(Exception):
    """Ends a session early, where the rest of it would only cost time."""


def any_key(bits: int, seed: bytes) -> Any:
    return sum_paillier._Key(2 ** (bits - 1) + 1, b"")


def test_a_key_list_leaves_in_an_order_that_tells_nothing_of_the_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sum_paillier, "_make_key", any_key)
    keys = suppliers("key", 0, ITEMS)
    run = sum_run_of(keys, {"alpha": dict.fromkeys(keys, 1), "beta": dict.fromkeys(keys, 2)}, 2)
    places: Counter[tuple[int, int]] = Counter()
    for coins in range(SESSIONS):
        sent: list[bytes] = []

        def note(name: str, effect: Effect, sent: list[bytes] = sent) -> None:
            if isinstance(effect, Send) and (effect.to, effect.lane) == ("alpha", "keys"):
                block = effect.message
                if isinstance(block, Block):
                    sent.append(block.data)
                    raise _SeenEnoughError

        simulation = simulate(run, coins=coins, wrap=observing(note))
        with suppress(Misuse):
            simulation.run()
        key = simulation.nodes["bank"].session.public_key("key-list")
        (block,) = sent
        for item, digest in enumerate(keyed_digests(digests(keys), key)):
            places[item, block.index(digest.tobytes()) // DIGEST_BYTES] += 1
    assert evenly_spread(places)


def positions(effect: Send) -> Block | None:
    aligned = effect.lane == "aligned" and isinstance(effect.message, Block)
    return effect.message if aligned else None  # type: ignore[return-value]


def test_shared_rows_are_put_in_the_order_of_the_first_holders_tags() -> None:
    """And of nothing else: tags are random in every session, the querier's rows are not."""
    run = score_run(0, "score-two-holders", ("shop", "telecom"))
    orders = set()
    for coins in range(4):
        told: dict[str, list[int]] = {"shop": [], "telecom": []}
        read: dict[str, list[str]] = {}

        def note(name: str, effect: Effect, told: Any = told, read: Any = read) -> None:
            if isinstance(effect, Send) and (block := positions(effect)):
                told[effect.to].extend(np.frombuffer(block.data, "<u4").tolist())
            if name in told and isinstance(effect, Read) and effect.port == "features":
                read[name] = [run.identifiers[name][row] for row in effect.args[0]]

        simulate(run, coins=coins, wrap=observing(note)).run()
        assert told["shop"] == sorted(told["shop"])
        assert read["shop"] == read["telecom"]
        assert len(read["shop"]) == ITEMS
        orders.add(tuple(read["shop"]))
    assert len(orders) > 1
