"""Before and after the roles: acceptances that make a session, receipts that end it.

Every party signs (plan hash, fresh nonce, fresh X25519 session key). The session id hashes all of
them, so a session exists only among parties that accepted the very same plan, and never twice.
Afterwards every pair exchanges signed digests of what passed between them; no output is released
before all of them agree.
"""

from __future__ import annotations

from collections.abc import Sequence

from mpc.curve25519 import public_key as session_public_key
from mpc.curve25519 import shared_secret
from mpc.errors import Malformed
from mpc.hashing import derive_key, labelled_hash
from mpc.secret import Secret
from mpc.signing import public_key as signing_public_key
from mpc.signing import sign, verify
from mpc.wire import WIRE_VERSION
from mpc.wire.v1.session_pb2 import Acceptance, Receipt
from protocols.errors import PeerFault, blame
from protocols.plan import Plan
from protocols.session import Session

NONCE_BYTES = 32
_VERSION = WIRE_VERSION.to_bytes(4, "big")


def accept(plan: Plan, signing_secret: bytes, nonce: bytes, session_secret: bytes) -> Acceptance:
    """This party's yes. ``nonce`` and ``session_secret`` are 32 fresh random bytes each."""
    acceptance = Acceptance(
        plan_hash=plan.hash, nonce=nonce, session_key=session_public_key(session_secret)
    )
    acceptance.signature = sign(signing_secret, "acceptance", *_signed_parts(acceptance))
    acceptance.signing_key = signing_public_key(signing_secret)
    return acceptance


def check_acceptance(plan: Plan, name: str, acceptance: Acceptance) -> None:
    """Raises ``PeerFault(name)`` unless ``name`` itself signed this for this plan."""
    with blame(name):
        if acceptance.plan_hash != plan.hash:
            raise Malformed("other-plan")
        if acceptance.signing_key != plan.signing_key(name):
            raise Malformed("other-signer")
        if len(acceptance.nonce) != NONCE_BYTES or len(acceptance.session_key) != 32:
            raise Malformed("acceptance-shape")
        verify(
            acceptance.signing_key, acceptance.signature, "acceptance", *_signed_parts(acceptance)
        )


def open_session(
    plan: Plan, me: str, session_secret: bytes, acceptances: Sequence[Acceptance]
) -> Session:
    """The session that ``acceptances`` (one a party, in the plan's order) make.

    Raises ``PeerFault`` naming whose acceptance is wrong; the querier's, if one is missing.
    """
    if len(acceptances) != len(plan.names):
        raise PeerFault(plan.querier, "acceptances-missing")
    for name, acceptance in zip(plan.names, acceptances, strict=True):
        check_acceptance(plan, name, acceptance)
    by_name = dict(zip(plan.names, acceptances, strict=True))
    # Somebody could pass off an older acceptance of ours, whose secret is gone.
    if by_name[me].session_key != session_public_key(session_secret):
        raise PeerFault(plan.querier, "acceptance-stale")
    in_key_order = sorted(acceptances, key=lambda acceptance: acceptance.signing_key)
    signed = [part for a in in_key_order for part in (a.signing_key, *_signed_parts(a))]
    session_id = labelled_hash("session", *signed)
    pair_keys = {}
    for name, acceptance in by_name.items():
        if name != me:
            with blame(name):
                agreed = shared_secret(session_secret, acceptance.session_key)
            # Whose key it is goes in: who signs another's session key as its own would otherwise
            # make two of our pair keys one, and masks that we add and subtract cancel.
            pair = sorted(plan.signing_key(each) for each in (me, name))
            pair_keys[name] = Secret(derive_key(agreed, "pair", session_id, *pair))
    return Session(session_id, plan, me, pair_keys)


def make_receipt(session: Session, peer: str, transcript: bytes, signing_secret: bytes) -> Receipt:
    """What this party says passed between it and ``peer``."""
    receipt = Receipt(
        session_id=session.id,
        plan_hash=session.plan.hash,
        signing_key=session.plan.signing_key(session.me),
        peer_key=session.plan.signing_key(peer),
        transcript=transcript,
    )
    receipt.signature = sign(signing_secret, "receipt", *_receipt_parts(receipt))
    return receipt


def check_receipt(session: Session, peer: str, transcript: bytes, receipt: Receipt) -> None:
    """Raises ``PeerFault(peer)`` unless it signed the transcript that this party saw."""
    with blame(peer):
        if receipt.session_id != session.id or receipt.plan_hash != session.plan.hash:
            raise Malformed("receipt-session")
        if receipt.signing_key != session.plan.signing_key(peer):
            raise Malformed("receipt-signer")
        if receipt.peer_key != session.plan.signing_key(session.me):
            raise Malformed("receipt-peer")
        verify(receipt.signing_key, receipt.signature, "receipt", *_receipt_parts(receipt))
        if receipt.transcript != transcript:
            raise Malformed("transcript-differs")


def _signed_parts(acceptance: Acceptance) -> tuple[bytes, ...]:
    return (_VERSION, acceptance.plan_hash, acceptance.nonce, acceptance.session_key)


def _receipt_parts(receipt: Receipt) -> tuple[bytes, ...]:
    return (
        _VERSION,
        receipt.session_id,
        receipt.plan_hash,
        receipt.peer_key,
        receipt.transcript,
    )
