"""A session exists only among those who signed the same plan, once, and ends in agreed receipts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from mpc.signing import sign
from mpc.wire import WIRE_VERSION
from mpc.wire.v1.plan_pb2 import Plan as PlanMessage
from mpc.wire.v1.psi_ecdh_pb2 import SetSize
from mpc.wire.v1.session_pb2 import Acceptance, Receipt
from protocols.errors import PeerFault, SessionError
from protocols.handshake import accept, check_acceptance, check_receipt, make_receipt, open_session
from protocols.local import run_local
from protocols.plan import Plan
from protocols.session import Session
from tests.protocols.adversary import changed, changed_fields
from tests.protocols.case import build_plan, signing_secret
from tests.protocols.psi_cases import psi_run

NAMES = ("alice", "bob", "carol")


def the_plan() -> Plan:
    roles = zip(NAMES, ("one", "two", "three"), strict=True)
    return build_plan("toy.test", SetSize(), [(name, role, 20, ()) for name, role in roles])[0]


def coins(name: str, what: str, attempt: int = 0) -> bytes:
    return f"{what} {name} {attempt}".encode().ljust(32, b"\0")


def acceptance(plan: Plan, name: str, attempt: int = 0) -> Acceptance:
    session_secret = coins(name, "session", attempt)
    return accept(plan, signing_secret(name), coins(name, "nonce", attempt), session_secret)


def opened(plan: Plan, me: str, acceptances: list[Acceptance], attempt: int = 0) -> Session:
    return open_session(plan, me, coins(me, "session", attempt), acceptances)


def blame(run: Callable[[], Any]) -> tuple[str, str]:
    with pytest.raises(PeerFault) as fault:
        run()
    return fault.value.culprit, fault.value.code


def test_all_who_accept_the_same_plan_share_a_session() -> None:
    plan = the_plan()
    acceptances = [acceptance(plan, name) for name in NAMES]
    sessions = {name: opened(plan, name, acceptances) for name in NAMES}
    assert len({session.id for session in sessions.values()}) == 1
    assert sessions["bob"].others == ("alice", "carol")
    alice, bob, carol = (sessions[name] for name in NAMES)
    assert alice.pair_key("bob", "masks") == bob.pair_key("alice", "masks")
    assert alice.pair_key("bob", "masks") != alice.pair_key("bob", "other")
    assert alice.pair_key("bob", "masks") != carol.pair_key("bob", "masks")
    assert alice.public_key("x") == carol.public_key("x") != carol.public_key("y")
    assert alice.domain("x") != alice.domain("x", b"") != alice.domain("x", b"", b"")


def test_every_new_nonce_and_key_makes_another_session() -> None:
    plan = the_plan()
    acceptances = [acceptance(plan, name) for name in NAMES]
    first = opened(plan, "alice", acceptances)
    again = opened(plan, "alice", [*acceptances[:2], acceptance(plan, "carol", attempt=1)])
    assert first.id != again.id
    assert first.pair_key("bob", "masks") != again.pair_key("bob", "masks")
    assert first.domain("item") != again.domain("item")
    assert first.public_key("keys") != again.public_key("keys")


def other_plans() -> Iterator[tuple[str, Plan]]:
    """Every field of the plan changed, one at a time; those that are plans at all."""
    original = the_plan().message

    def variants(path: str, inside: Any, put: Callable[[PlanMessage, Any], None]) -> Iterator[Any]:
        for field in inside.DESCRIPTOR.fields:
            value = getattr(inside, field.name)
            if isinstance(value, str):
                other: Any = value[:-1] + "q" if value else "q"
            elif isinstance(value, int):
                other = value + 1
            elif isinstance(value, bytes):
                other = value[:-1] + bytes([value[-1] ^ 1]) if value else b"\1"
            else:
                continue
            message = PlanMessage()
            message.CopyFrom(original)
            put(message, changed(inside, **{field.name: other}))
            yield f"{path}{field.name}", message

    candidates = list(variants("", original, lambda m, new: m.CopyFrom(new)))
    for index, party in enumerate(original.parties):
        at = f"parties[{index}]."
        candidates += variants(at, party, lambda m, new, i=index: m.parties[i].CopyFrom(new))
        candidates += variants(
            f"{at}input.", party.input, lambda m, new, i=index: m.parties[i].input.CopyFrom(new)
        )
    for what, message in candidates:
        if what.endswith("normalizer"):  # the same for all parties, or no plan at all
            for party in message.parties:
                party.input.normalizer = "text/2"
        yield what, Plan.build(message)


def test_a_plan_that_differs_in_one_field_is_another_plan() -> None:
    """Whoever was given it cannot be talked into a session with those who were not."""
    plan = the_plan()
    others = list(other_plans())
    assert len(others) > 25
    for what, other in others:
        assert other.hash != plan.hash, what
        theirs = accept(other, signing_secret("bob"), coins("bob", "nonce"), bytes(31) + b"\1")
        assert blame(lambda t=theirs: check_acceptance(plan, "bob", t)) == ("bob", "other-plan")


def test_an_acceptance_counts_only_as_it_was_signed() -> None:
    plan = the_plan()
    for what, other in changed_fields(acceptance(plan, "bob")):
        culprit, code = blame(lambda a=other: check_acceptance(plan, "bob", a))
        assert culprit == "bob", what
        assert code in ("other-plan", "other-signer", "acceptance-shape", "bad-signature"), what


def test_nobody_accepts_for_another() -> None:
    plan = the_plan()
    by_carol = acceptance(plan, "carol")
    assert blame(lambda: check_acceptance(plan, "bob", by_carol)) == ("bob", "other-signer")
    posing = changed(by_carol, signing_key=plan.signing_key("bob"))
    assert blame(lambda: check_acceptance(plan, "bob", posing)) == ("bob", "bad-signature")


def test_acceptances_of_all_in_order_or_no_session() -> None:
    plan = the_plan()
    alice, bob, carol = (acceptance(plan, name) for name in NAMES)
    for wrong, expected in (
        ([alice, bob], ("alice", "acceptances-missing")),
        ([alice, bob, carol, carol], ("alice", "acceptances-missing")),
        ([], ("alice", "acceptances-missing")),
        ([bob, alice, carol], ("alice", "other-signer")),
        ([alice, bob, bob], ("carol", "other-signer")),
    ):
        assert blame(lambda w=wrong: opened(plan, "carol", w)) == expected


def test_an_older_acceptance_of_ones_own_is_not_taken_for_the_new_one() -> None:
    """The querier, which gathers the acceptances, could replay an older session's."""
    plan = the_plan()
    stale = [acceptance(plan, "alice"), acceptance(plan, "bob", 0), acceptance(plan, "carol")]
    assert blame(lambda: opened(plan, "bob", stale, attempt=1)) == ("alice", "acceptance-stale")


def test_an_older_acceptance_of_another_makes_a_session_that_nobody_shares() -> None:
    """Its frames and receipts belong to no session of the party that it was replayed for."""
    plan = the_plan()
    alice, bob, carol = (acceptance(plan, name) for name in NAMES)
    older = acceptance(plan, "bob", attempt=1)
    fooled = opened(plan, "carol", [alice, older, carol])
    real = opened(plan, "bob", [alice, bob, carol])
    assert fooled.id != real.id
    assert fooled.pair_key("bob", "masks") != real.pair_key("carol", "masks")
    receipt = make_receipt(fooled, "bob", bytes(32), signing_secret("carol"))
    wrong = blame(lambda: check_receipt(real, "carol", bytes(32), receipt))
    assert wrong == ("carol", "receipt-session")


@pytest.mark.parametrize("point", [0, 1, 2**255 - 19, 2**255 - 1, 2**256 - 1])
def test_a_session_key_that_is_no_point_is_its_owners_fault(point: int) -> None:
    """Signed by bob himself: a key of low order would make a pair key that anyone can compute."""
    plan = the_plan()
    alice, bob, carol = (acceptance(plan, name) for name in NAMES)
    bob.session_key = point.to_bytes(32, "little")
    signed = (WIRE_VERSION.to_bytes(4, "big"), bob.plan_hash, bob.nonce, bob.session_key)
    bob.signature = sign(signing_secret("bob"), "acceptance", *signed)
    culprit, code = blame(lambda: opened(plan, "carol", [alice, bob, carol]))
    assert (culprit, code[:6]) == ("bob", "point-")


def two_sessions() -> tuple[Session, Session]:
    plan = the_plan()
    acceptances = [acceptance(plan, name) for name in NAMES]
    return opened(plan, "alice", acceptances), opened(plan, "bob", acceptances)


def test_receipts_agree_or_name_their_signer() -> None:
    alice, bob = two_sessions()
    receipt = make_receipt(alice, "bob", b"t" * 32, signing_secret("alice"))
    check_receipt(bob, "alice", b"t" * 32, receipt)
    differs = blame(lambda: check_receipt(bob, "alice", b"u" * 32, receipt))
    assert differs == ("alice", "transcript-differs")
    for what, other in changed_fields(receipt):
        culprit, code = blame(lambda r=other: check_receipt(bob, "alice", b"t" * 32, r))
        assert culprit == "alice", what
        assert code in ("receipt-session", "receipt-signer", "receipt-peer", "bad-signature"), what


def test_a_receipt_for_one_peer_does_not_serve_another() -> None:
    alice, bob = two_sessions()
    for_carol = make_receipt(alice, "carol", b"t" * 32, signing_secret("alice"))
    wrong = blame(lambda: check_receipt(bob, "alice", b"t" * 32, for_carol))
    assert wrong == ("alice", "receipt-peer")


def test_an_acceptances_signature_is_not_one_of_a_receipt() -> None:
    """Every signature is over its own label."""
    alice, bob = two_sessions()
    receipt = make_receipt(alice, "bob", b"t" * 32, signing_secret("alice"))
    stolen = Receipt()
    stolen.CopyFrom(receipt)
    stolen.signature = acceptance(the_plan(), "alice").signature
    assert blame(lambda: check_receipt(bob, "alice", b"t" * 32, stolen)) == (
        "alice",
        "bad-signature",
    )


def test_a_secret_that_does_not_fit_the_plan_is_noticed_before_anything_runs() -> None:
    run = psi_run()
    swapped = replace(run, secrets={"bank": run.secrets["firm"], "firm": run.secrets["bank"]})
    with pytest.raises(SessionError) as end:
        run_local(swapped.plan, swapped.secrets, swapped.sources, bytes)
    assert end.value.code == "other-key"
