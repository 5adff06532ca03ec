"""The plan proper: parsed strictly, hashed by its exact bytes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

from mpc.errors import Malformed
from mpc.wire import decode, encode
from mpc.wire.v1.plan_pb2 import Plan as PlanMessage

MOST_PLAN_BYTES = 1 << 20
MOST_PARTIES = 64
MOST_COLUMNS = 1024
MOST_ROWS = 1 << 32
PARTY_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,38}")
PROTOCOL_NAME = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Plan:
    """A well-formed plan. ``raw`` is what was hashed and signed; it is never encoded again."""

    raw: bytes
    message: PlanMessage

    @classmethod
    def parse(cls, raw: bytes) -> Plan:
        """Raises ``Malformed`` for anything but one canonical plan within bounds.

        What the protocol itself demands of parties and parameters is checked by its ``Spec``.
        """
        if len(raw) > MOST_PLAN_BYTES:
            raise Malformed("plan-too-large")
        message = decode(PlanMessage, raw)
        _check(message)
        return cls(raw, message)

    @classmethod
    def build(cls, message: PlanMessage) -> Plan:
        """Encodes once and parses again, so that a plan of our own meets the same checks."""
        return cls.parse(encode(message))

    @cached_property
    def hash(self) -> bytes:
        return sha256(self.raw).digest()

    @property
    def protocol(self) -> str:
        return self.message.protocol

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Party names in the plan's order; the first is the querier."""
        return tuple(party.name for party in self.message.parties)

    @property
    def querier(self) -> str:
        return self.names[0]

    def position(self, name: str) -> int:
        return self.names.index(name)

    def signing_key(self, name: str) -> bytes:
        return self.message.parties[self.position(name)].signing_key

    def role(self, name: str) -> str:
        return self.message.parties[self.position(name)].role

    def with_role(self, role: str) -> tuple[str, ...]:
        return tuple(party.name for party in self.message.parties if party.role == role)

    def max_rows(self, name: str) -> int:
        return self.message.parties[self.position(name)].input.max_rows

    def min_rows(self, name: str) -> int:
        return self.message.parties[self.position(name)].input.min_rows


def _check(message: PlanMessage) -> None:
    if not PROTOCOL_NAME.fullmatch(message.protocol):
        raise Malformed("plan-protocol")
    if not 2 <= len(message.parties) <= MOST_PARTIES:
        raise Malformed("plan-parties")
    if len(message.nonce) != 16:
        raise Malformed("plan-nonce")
    if not 0 < message.created < message.expires:
        raise Malformed("plan-dates")
    if not _is_text(message.purpose, most=200):
        raise Malformed("plan-purpose")
    for index, party in enumerate(message.parties):
        brings = party.input
        if not PARTY_NAME.fullmatch(party.name):
            raise Malformed("plan-party-name", index)
        if len(party.signing_key) != 32:
            raise Malformed("plan-party-key", index)
        if not PARTY_NAME.fullmatch(party.role):
            raise Malformed("plan-party-role", index)
        if not 1 <= brings.min_rows <= brings.max_rows <= MOST_ROWS:
            raise Malformed("plan-rows", index)
        texts = [brings.dataset, brings.normalizer, *brings.keys, *brings.columns]
        if not all(text and _is_text(text, most=200) for text in texts):
            raise Malformed("plan-input", index)
        if not brings.keys or len(brings.keys) + len(brings.columns) > MOST_COLUMNS:
            raise Malformed("plan-columns", index)
        if len(set(brings.keys)) != len(brings.keys):
            raise Malformed("plan-columns", index)
        if len(set(brings.columns)) != len(brings.columns):
            raise Malformed("plan-columns", index)
    if len({party.name for party in message.parties}) != len(message.parties):
        raise Malformed("plan-party-twice")
    if len({party.signing_key for party in message.parties}) != len(message.parties):
        raise Malformed("plan-key-twice")
    if len({(p.input.normalizer, len(p.input.keys)) for p in message.parties}) != 1:
        raise Malformed("plan-keys-differ")


def _is_text(text: str, *, most: int) -> bool:
    """Short, printable, and so safe in a terminal and a log."""
    return len(text) <= most and (text == "" or text.isprintable())
