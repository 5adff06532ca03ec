"""What a role knows of the session it runs in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mpc.hashing import derive_key, encode_parts, labelled_hash
from mpc.secret import Secret
from protocols.plan import Plan


@dataclass(frozen=True)
class Session:
    """One run of one plan among its parties, after the handshake.

    ``id`` is 32 bytes, never seen before: it holds every party's fresh nonce. ``pair_keys`` are 32
    secret bytes with each other party, from X25519 between session keys that the parties signed.
    """

    id: bytes
    plan: Plan
    me: str
    pair_keys: Mapping[str, Secret[bytes]]

    @property
    def others(self) -> tuple[str, ...]:
        return tuple(name for name in self.plan.names if name != self.me)

    def domain(self, label: str, *context: bytes) -> bytes:
        """A label that no other session, protocol or use shares."""
        return encode_parts(f"{self.plan.protocol}/{label}", self.id, *context)

    def public_key(self, label: str) -> bytes:
        """32 bytes that every party of this session can derive, and nobody outside it."""
        return labelled_hash(f"{self.plan.protocol}/{label}", self.id)

    def pair_key(self, peer: str, label: str) -> bytes:
        """32 bytes that this party and ``peer`` alone can derive."""
        secret = self.pair_keys[peer].expose()
        return derive_key(secret, f"{self.plan.protocol}/{label}", self.id)
