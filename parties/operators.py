"""A party's own people: who may ask the node for what, shown by an Ed25519 key.

gRPC shows no identity on a Unix socket, so every request to the ``Operator`` service is signed. The
signature covers the node, the method, the request, the time and a nonce: a captured request works
neither twice, nor later, nor for another method, nor at another node.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Final

from google.protobuf.message import Message

from mpc.errors import Malformed
from mpc.secret import Secret
from mpc.signing import KEY_BYTES, public_key, sign, verify
from parties.config import PARTY_NAME
from parties.keyfiles import (
    Passphrase,
    ed25519_from_pem,
    ed25519_to_pem,
    read_secret,
    write_secret,
)
from parties.tomlfile import Table, Watched, append_table, parse_toml
from protocols.errors import Refused

LABEL: Final = "operator-request"
WINDOW_SECONDS: Final = 120
MOST_NONCES: Final = 65536
ROLES: Final = ("submit", "approve", "audit")
METADATA: Final = ("jc-operator", "jc-time", "jc-nonce", "jc-signature")

_EVERYONE = frozenset(ROLES)
# Which roles may call which method of the Operator service.
PERMITTED: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "Status": _EVERYONE,
        "Jobs": _EVERYONE,
        "Watch": _EVERYONE,
        "Partner": frozenset({"submit"}),
        "Submit": frozenset({"submit"}),
        "Explain": _EVERYONE,
        "Result": frozenset({"submit"}),
        "Approve": frozenset({"approve"}),
        "Deny": frozenset({"approve"}),
        "Cancel": frozenset({"submit", "approve"}),
    }
)

OPERATORS_TOML: Final = """\
# Who may operate this node. Remove a table, and its key is refused from then on.
# Roles: submit (ask questions, fetch results), approve (say yes or no), audit (look on).
"""
_TIME = re.compile(r"[1-9][0-9]{0,15}")
_NONCE = re.compile(r"[0-9a-f]{32}")
_SIGNATURE = re.compile(r"[0-9a-f]{128}")


@dataclass(frozen=True)
class Operator:
    """An enrolled operator; ``key`` is the 32-byte public key."""

    name: str
    key: bytes
    roles: frozenset[str]


@dataclass(frozen=True)
class OperatorKey:
    """An operator's own 32-byte secret key."""

    name: str
    secret: Secret[bytes]

    @classmethod
    def create(cls, name: str) -> OperatorKey:
        return cls(name, Secret(os.urandom(KEY_BYTES)))

    @classmethod
    def load(cls, path: Path, passphrase: Passphrase = None) -> OperatorKey:
        """From a key file; the operator's name is the file's, without ``.key``."""
        return cls(path.stem, ed25519_from_pem(read_secret(path, passphrase), path))

    def save(self, directory: Path, passphrase: Passphrase = None) -> Path:
        path = directory / f"{self.name}.key"
        write_secret(path, ed25519_to_pem(self.secret), passphrase)
        return path

    @property
    def public(self) -> bytes:
        return public_key(self.secret.expose())

    def metadata(
        self, node: str, method: str, request: Message, now: float
    ) -> tuple[tuple[str, str], ...]:
        """Call metadata for one call of ``method`` at the node named ``node``.

        ``now`` is Unix time in seconds; it travels in milliseconds.
        """
        time, nonce = str(int(now * 1000)), os.urandom(16).hex()
        parts = _signed_parts(node, method, self.name, time, nonce, request)
        signature = sign(self.secret.expose(), LABEL, *parts).hex()
        return tuple(zip(METADATA, (self.name, time, nonce, signature), strict=True))


class Guard:
    """Verifies operator requests for the node named ``node``.

    ``clock`` gives Unix time in seconds. Nonces live in memory for the length of the window, at
    most ``MOST_NONCES`` of them, all from verified requests; what was signed before this guard
    was made is refused, so a restart forgets nothing.
    """

    def __init__(self, node: str, operators: Path, clock: Callable[[], float]) -> None:
        self._node, self._clock = node, clock
        self._operators = Watched(operators, lambda text: parse_operators(text, operators))
        self._started = int(clock() * 1000)
        self._seen: dict[tuple[str, str], int] = {}

    def verify(
        self, method: str, request: Message, metadata: Iterable[tuple[str, str | bytes]]
    ) -> Operator:
        """The operator who signed this call.

        Raises ``Refused`` with ``operator-unsigned``, ``operator-unknown``, ``operator-time``,
        ``operator-replay``, ``operator-role`` or ``operator-busy``; and ``ConfigError`` when
        operators.toml itself is broken.
        """
        name, time, nonce, signature = self._fields(metadata)
        operator = self._operators.get().get(name)
        if operator is None:
            raise self._refused("operator-unknown")
        try:
            parts = _signed_parts(self._node, method, name, time, nonce, request)
            verify(operator.key, bytes.fromhex(signature), LABEL, *parts)
        except Malformed:
            raise self._refused("operator-unknown") from None
        self._note(name, nonce, int(time))
        if not operator.roles & PERMITTED.get(method, frozenset()):
            raise self._refused("operator-role")
        return operator

    def _fields(self, metadata: Iterable[tuple[str, str | bytes]]) -> tuple[str, str, str, str]:
        found: dict[str, str] = {}
        for key, value in metadata:
            if key in METADATA:
                if key in found or not isinstance(value, str):
                    raise self._refused("operator-unsigned")
                found[key] = value
        name, time, nonce, signature = (found.get(key, "") for key in METADATA)
        forms = ((PARTY_NAME, name), (_TIME, time), (_NONCE, nonce), (_SIGNATURE, signature))
        if not all(form.fullmatch(text) for form, text in forms):
            raise self._refused("operator-unsigned")
        return name, time, nonce, signature

    def _note(self, name: str, nonce: str, time: int) -> None:
        now, window = int(self._clock() * 1000), WINDOW_SECONDS * 1000
        if abs(now - time) > window or time < self._started:
            raise self._refused("operator-time")
        if (name, nonce) in self._seen:
            raise self._refused("operator-replay")
        if len(self._seen) >= MOST_NONCES:
            # Older than the window: their time alone refuses them.
            self._seen = {key: at for key, at in self._seen.items() if now - at <= window}
        if len(self._seen) >= MOST_NONCES:
            raise self._refused("operator-busy")
        self._seen[name, nonce] = time

    def _refused(self, code: str) -> Refused:
        return Refused(self._node, code)


def parse_operators(text: str, where: Path | str = "operators.toml") -> dict[str, Operator]:
    """Enrolled operators by name; raises ``ConfigError`` with the line."""
    top = parse_toml(text, where)
    operators: dict[str, Operator] = {}
    for table in top.tables("operator"):
        operator = _operator(table)
        if operator.name in operators:
            raise table.error("name", f"operator {operator.name!r} is there twice")
        if any(operator.key == other.key for other in operators.values()):
            raise table.error("key", "two operators have one key", "make each their own")
        operators[operator.name] = operator
    top.done()
    return operators


def enrol(path: Path, name: str, key: bytes, roles: Iterable[str]) -> None:
    """Appends an operator to operators.toml; ``key`` is the 32-byte public key."""
    values = {
        "name": name,
        "key": base64.b64encode(key).decode(),
        "roles": [role for role in ROLES if role in set(roles)],
    }
    append_table(path, "operator", values, lambda text: parse_operators(text, path))


def _operator(table: Table) -> Operator:
    name = table.text("name", form=PARTY_NAME)
    roles = table.texts("roles")
    encoded = table.text("key")
    table.done()
    if not roles or not set(roles) <= set(ROLES):
        raise table.error("roles", f"roles are one or more of {', '.join(ROLES)}")
    try:
        key = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise table.error("key", "key must be an Ed25519 public key in base64")
    return Operator(name, key, frozenset(roles))


def _signed_parts(
    node: str, method: str, name: str, time: str, nonce: str, request: Message
) -> tuple[bytes, ...]:
    digest = sha256(request.SerializeToString(deterministic=True)).digest()
    return (node.encode(), method.encode(), name.encode(), time.encode(), nonce.encode(), digest)
