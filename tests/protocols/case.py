"""What a case of the conformance suite is, and what all of them are built from."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpc.items import item_digests
from mpc.normalise import key_rule
from mpc.signing import public_key
from mpc.wire import Message, encode
from mpc.wire.v1.plan_pb2 import Input, Party
from mpc.wire.v1.plan_pb2 import Plan as PlanMessage
from protocols.local import Source
from protocols.plan import Plan
from protocols.spec import Learned
from tests.sim.simulation import Simulation


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
    ``unattributed`` are those where a lie shows first at a third party, which cannot tell whose it
    was: a part of a sum, or a list that all should have been told alike.

    ``small`` are constants of the protocol's files, made small so that small data takes many
    frames.
    """

    name: str
    protocol: str
    make: Callable[[int], Run]
    plain: Callable[[Any], Any]
    plausible: Callable[[Any, Any], bool]
    conveys: Mapping[tuple[str, str], Learned | None]
    malleable: frozenset[str]
    unattributed: frozenset[str]
    small: Mapping[str, Any]


def simulate(run: Run, **options: Any) -> Simulation:
    """All parties of ``run`` in the fault simulator, not yet started."""
    return Simulation(run.plan, run.secrets, run.sources, **options)


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
        expires=1_000_000,
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
