"""What was accepted is judged again when it starts.

A querier may sit on an acceptance for as long as its plan is valid, which can be a month. It began
all the same after the policy line behind it was withdrawn, had expired or had come to ask
for an approval, and however many sessions were under way.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mpc.signing import sign
from mpc.wire import encode
from mpc.wire.v1.plan_pb2 import Input, Party
from mpc.wire.v1.plan_pb2 import Plan as PlanMessage
from mpc.wire.v1.psi_ecdh_pb2 import PsiEcdhParameters
from mpc.wire.v1.session_pb2 import Acceptance
from parties import peer_service
from parties.config import DatasetEntry, add_dataset
from parties.gate import PROPOSAL_LABEL
from parties.home import Home, init_node
from parties.node import Node
from parties.peer_service import PeerService
from parties.rpc.v1.peer_pb2 import ProposeRequest, StartRequest
from parties.rules import Rule, add_rule
from parties.store import ACCEPTED, REFUSED
from protocols.handshake import accept
from protocols.plan import Plan

BANK, ACME = "bank", "acme"


def homes(directory: Path) -> tuple[Home, Home]:
    cards = [
        init_node(directory / name, name, f"127.0.0.1:{port}")
        for name, port in ((BANK, 7001), (ACME, 7002))
    ]
    bank, acme = (Home.open(directory / name) for name in (BANK, ACME))
    acme.store().add(cards[0])
    (acme.directory / "ledger.csv").write_text("supplier\none\ntwo\n")
    add_dataset(acme.datasets_toml, DatasetEntry("ledger", "ledger.csv", ("supplier",)))
    add_rule(acme.policy_toml, Rule("ledger", "psi", BANK))
    return bank, acme


def the_plan(bank: Home, acme: Home) -> Plan:
    params = PsiEcdhParameters(reveal=PsiEcdhParameters.REVEAL_ROWS, statistical_bits=40)
    now = int(time.time())
    message = PlanMessage(
        protocol="psi.ecdh", revision=1, parameters=encode(params), nonce=bytes(16),
        created=now, expires=now + 3600,
    )  # fmt: skip
    for home, role in ((bank, "querier"), (acme, "holder")):
        brings = Input(
            dataset="ledger", keys=["supplier"], normalizer="text/1", min_rows=1, max_rows=16
        )
        card = home.card()
        message.parties.append(
            Party(name=card.name, signing_key=card.signing_key, role=role, input=brings)
        )
    return Plan.build(message)


def withdraw_the_line(node: Node) -> str:
    node.home.policy_toml.write_text("# nothing is allowed any more\n")
    return "policy-none"


def demand_approval(node: Node) -> str:
    node.home.policy_toml.write_text("# only with approval\n")
    add_rule(node.home.policy_toml, Rule("ledger", "psi", BANK, approval=True))
    return "policy-approval"


def remove_the_dataset(node: Node) -> str:
    node.home.datasets_toml.write_text("# none\n")
    return "policy-none"


def fill_up(node: Node) -> str:
    one: Any = SimpleNamespace(session=SimpleNamespace(plan=SimpleNamespace(querier="somebody")))
    node.running.update({str(n): one for n in range(node.settings.limits.sessions)})
    return "busy"


@pytest.mark.parametrize(
    "change", [withdraw_the_line, demand_approval, remove_the_dataset, fill_up]
)
def test_an_accepted_plan_starts_only_if_it_would_still_be_accepted(
    change: Callable[[Node], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank, acme = homes(tmp_path)
    plan = the_plan(bank, acme)
    monkeypatch.setattr(peer_service, "peer_of", lambda context, trust: bank.card())
    secret = bank.identity().signing_secret.expose()

    async def run() -> None:
        node = Node(acme)
        service = PeerService(node)
        context: Any = None  # only peer_of looks at it
        signature = sign(secret, PROPOSAL_LABEL, plan.hash)
        proposed = await service.Propose(
            ProposeRequest(plan=plan.raw, signature=signature), context
        )
        acceptances: list[Acceptance] = [
            accept(plan, secret, bytes(32), b"\1" * 32), proposed.accepted,
        ]  # fmt: skip
        start = StartRequest(plan_hash=plan.hash, acceptances=acceptances)
        code = change(node)
        answer = await service.Start(start, context)
        assert answer.WhichOneof("answer") == "refused"
        assert answer.refused.code == code
        job = node.store.by_plan(plan.hash)
        assert job is not None
        assert job.state == (ACCEPTED if code == "busy" else REFUSED)
        assert not node.sessions
        node.running.clear()
        await node.close()

    asyncio.run(run())
