"""Nobody is sent more than the protocol says it reveals."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mpc.wire.v1.session_pb2 import Block
from protocols.catalog import checked
from protocols.role import Effect, Receive, Steps, draw, read, receive, send
from protocols.session import Session
from protocols.stream import receive_vector, send_vector
from tests.protocols.adversary import observing
from tests.protocols.case import Case, digests, simulate, suppliers
from tests.protocols.leaks import leaks
from tests.protocols.toy import install
from tests.sim.simulation import Simulation

pytestmark = pytest.mark.conformance


def test_no_secret_of_another_party_arrives_in_any_plain_shape(case: Case) -> None:
    """Not even those that a result will name: results come of points, tags and ciphertexts."""
    for variant in range(3):
        run = case.make(variant)
        outcome = simulate(run, coins=variant).run()
        for to, name in enumerate(run.plan.names):
            others = [peer for peer in run.plan.names if peer != name]
            identifiers = {item for peer in others for item in run.identifiers[peer]}
            amounts = {amount for peer in others for amount in run.amounts.get(peer, ())}
            assert identifiers
            assert leaks(outcome.frames, to, identifiers, amounts) == set()


def test_every_lane_conveys_something_that_reveals_names(case: Case) -> None:
    """What a role asks its machine to receive is declared in its case, and revealed by its plan."""
    run = case.make(0)
    spec, params = checked(run.plan)
    received: dict[str, set[str]] = {name: set() for name in run.plan.names}

    def note(name: str, effect: Effect) -> None:
        if isinstance(effect, Receive):
            received[name].add(effect.lane)

    simulate(run, wrap=observing(note)).run()
    for name, lanes in received.items():
        allowed = {reveal.what for reveal in spec.reveals(run.plan, params) if reveal.who == name}
        for lane in lanes:
            conveyed = case.conveys[run.plan.role(name), lane]  # KeyError: a lane nobody declared
            assert conveyed is None or conveyed in allowed, f"{name} on {lane}"


def test_only_those_who_are_said_to_get_a_result_get_one(case: Case) -> None:
    run = case.make(0)
    spec, params = checked(run.plan)
    results = simulate(run).run().results
    for name in run.plan.names:
        columns = spec.table(results[name], params).columns
        values = [value for column in columns.values() for value in column if value is not None]
        rows = spec.table(results[name], params).rows
        learns = name in spec.output_to(run.plan, params)
        assert learns or not (values or rows), name


PLANTED: dict[str, Callable[[str], bytes]] = {
    "identifier as utf-8": str.encode,
    "identifier as utf-16-le": lambda item: item.encode("utf-16-le"),
    "identifier as utf-8 hex": lambda item: item.encode().hex().encode(),
    "identifier as utf-8 base64 at 1": lambda item: base64.b64encode(b"x" + item.encode()),
    "identifier as sha256": lambda item: hashlib.sha256(item.encode()).digest(),
    "identifier as sha1": lambda item: hashlib.sha1(item.encode()).digest()[:12],
    "identifier as md5 HEX": lambda item: hashlib.md5(item.encode()).hexdigest().upper().encode(),
    "identifier as own digest": lambda item: digests([item]).tobytes(),
    "identifier as own digest reversed": lambda item: digests([item]).tobytes()[::-1],
    "amount as little-endian": lambda item: (-(7**20)).to_bytes(8, "little", signed=True),
    "amount as big-endian magnitude": lambda item: (7**20).to_bytes(8, "big"),
    "amount as decimal": lambda item: str(-(7**20)).encode(),
    "amount as protobuf zigzag varint": lambda item: bytes(_zigzag(-(7**20))),
}


def _zigzag(amount: int) -> list[int]:
    value, encoded = -2 * amount - 1, []
    while value > 127:
        encoded.append(value % 128 + 128)
        value //= 128
    return [*encoded, value]


@pytest.mark.parametrize("shape", PLANTED)
def test_a_planted_leak_is_found(shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Among random bytes, and cut in two by the blocks it travels in."""
    items = suppliers("planted", 0, 5)

    def leaky(session: Session, params: Any) -> Steps[None]:
        item = yield from read("item")
        padding = yield from draw(40)
        secret = padding + PLANTED[shape](item) + padding
        vector = np.frombuffer(secret, dtype=np.uint8).reshape(-1, 1)
        yield from send_vector("peer", "data", vector)

    def peer(session: Session, params: Any) -> Steps[None]:
        yield from receive_vector("leaky", "data", 1, 80 + len(PLANTED[shape](items[2])))

    monkeypatch.setattr("protocols.stream.BLOCK_BYTES", 44)
    plan, secrets = install(monkeypatch, {"leaky": leaky, "peer": peer})
    sources = {"leaky": {"item": lambda: items[2]}, "peer": {}}
    frames = Simulation(plan, secrets, sources).run().frames
    assert len(frames) > 1
    assert f"{shape} on data from 0" in leaks(frames, 1, items, [-(7**20)])
    assert leaks(frames, 0, items, [-(7**20)]) == set()


def test_a_leak_in_a_field_that_nobody_looks_at_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def leaky(session: Session, params: Any) -> Steps[None]:
        yield from send("peer", "data", Block(first=7**20))

    def peer(session: Session, params: Any) -> Steps[None]:
        yield from receive("leaky", "data", Block)

    plan, secrets = install(monkeypatch, {"leaky": leaky, "peer": peer})
    frames = Simulation(plan, secrets, {"leaky": {}, "peer": {}}).run().frames
    assert leaks(frames, 1, [], [7**20]) == {"amount as protobuf varint on data from 0"}
