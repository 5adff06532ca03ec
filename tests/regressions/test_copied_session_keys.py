"""A contributor that signs another's session key as its own.

Its victim then had one X25519 secret with two contributors; where pair keys were derived from that
and the session alone, the victim added and subtracted the same mask. A contributor standing on the
other side of it, in league with the querier, so read its amounts in clear.
"""

from __future__ import annotations

import numpy as np

from mpc.masking import StreamName, mask_plaintexts
from mpc.signing import sign
from mpc.wire.v1.session_pb2 import Acceptance
from protocols.handshake import accept, open_session
from protocols.session import Session
from protocols.sum_terms import contributors
from tests.protocols.sum_cases import sum_run

MEMBERS = ("alpha", "beta", "gamma")


def with_a_copied_key() -> Session:
    """The session as beta sees it, after alpha has waited for gamma's session key."""
    run = sum_run(0, "sum-floor-3", 3, MEMBERS)
    seeds = {name: bytes([number]) * 32 for number, name in enumerate(run.plan.names, 1)}
    made: dict[str, Acceptance] = {
        name: accept(run.plan, run.secrets[name], seed, seed) for name, seed in seeds.items()
    }
    copied = made["alpha"]
    copied.session_key = made["gamma"].session_key
    signed = (b"\0\0\0\1", copied.plan_hash, copied.nonce, copied.session_key)
    copied.signature = sign(run.secrets["alpha"], "acceptance", *signed)
    return open_session(run.plan, "beta", seeds["beta"], [made[name] for name in run.plan.names])


def test_a_copied_session_key_makes_no_two_pair_keys_equal() -> None:
    session = with_a_copied_key()
    keys = {name: session.pair_key(name, "masks") for name in session.others}
    assert len(set(keys.values())) == len(keys)


def test_masks_hide_what_they_should_all_the_same() -> None:
    session = with_a_copied_key()
    roster = contributors(session.plan)
    keys = {
        roster.index(name): session.pair_key(name, "masks") for name in roster if name != "beta"
    }
    values = [int(value) for value in np.arange(4)]
    masked = mask_plaintexts(values, roster.index("beta"), keys, 128, StreamName("amounts", 0, 0))
    assert all(abs(hidden - value) > 1 << 64 for hidden, value in zip(masked, values, strict=True))
