"""Party cards: what partners hand each other, as a small signed JSON file.

A card binds name, address and certificate to the signing key, by that key's own signature. Whether
the signing key is really the partner's is for people to settle: they compare fingerprints over
another channel.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import json
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from mpc.errors import Malformed
from mpc.signing import KEY_BYTES, SIGNATURE_BYTES, verify
from parties.config import check_name, parse_endpoint
from parties.errors import ConfigError
from parties.identity import Identity, dns_names, server_name

VERSION: Final = 1
MOST_BYTES: Final = 16384
LABEL: Final = "party-card"
_FIELDS = ("jointcredit_card", "name", "endpoint", "signing_key", "certificate", "signature")
_CLOCKS_DIFFER = datetime.timedelta(minutes=5)
_RENEW = "ask the partner for a new card"


@dataclass(frozen=True)
class Card:
    """``signing_key`` is 32 bytes, ``certificate`` PEM, ``endpoint`` HOST:PORT."""

    name: str
    endpoint: str
    signing_key: bytes
    certificate: str
    signature: bytes

    @cached_property
    def x509(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.certificate.encode())

    @cached_property
    def der(self) -> bytes:
        return self.x509.public_bytes(Encoding.DER)

    @property
    def pin(self) -> bytes:
        """SHA-256 of the certificate's DER, 32 bytes."""
        return sha256(self.der).digest()

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.signing_key)

    @property
    def expires(self) -> datetime.datetime:
        return self.x509.not_valid_after_utc

    def is_current(self, now: datetime.datetime | None = None) -> bool:
        """Whether the certificate is valid at ``now``, give or take five minutes at its start."""
        now = now or _now()
        return self.x509.not_valid_before_utc - _CLOCKS_DIFFER <= now <= self.expires

    def to_json(self) -> str:
        """The card file's text."""
        values = {
            "jointcredit_card": VERSION,
            "name": self.name,
            "endpoint": self.endpoint,
            "signing_key": base64.b64encode(self.signing_key).decode(),
            "certificate": self.certificate,
            "signature": base64.b64encode(self.signature).decode(),
        }
        return json.dumps(values, indent=2) + "\n"

    def signed_parts(self) -> tuple[bytes, ...]:
        return (
            VERSION.to_bytes(4, "big"),
            self.name.encode(),
            self.endpoint.encode(),
            self.signing_key,
            self.certificate.encode(),
        )


def fingerprint(signing_key: bytes) -> str:
    """96 bits of SHA-256 over a signing key, for people to compare: ``4f2a-09bc-…``, six groups."""
    digits = sha256(signing_key).hexdigest()[:24]
    return "-".join(digits[at : at + 4] for at in range(0, 24, 4))


def make_card(identity: Identity, endpoint: str) -> Card:
    """This party's own card."""
    card = Card(identity.name, endpoint, identity.signing_key, identity.certificate.decode(), b"")
    return replace(card, signature=identity.sign(LABEL, *card.signed_parts()))


def parse_card(text: str, now: datetime.datetime | None = None, where: Path | str = "card") -> Card:
    """The card in ``text``, checked in full.

    Raises ``ConfigError`` for anything but the six known fields, for a bad signature, and for a
    certificate that is expired, weak, for another name, or one that could sign others.
    """
    card = parse_expired_card(text, where)
    now = now or _now()
    if now > card.expires:
        raise ConfigError(
            f"certificate expired on {card.expires:%Y-%m-%d}", where=where, remedy=_RENEW
        )
    if not card.is_current(now):
        raise ConfigError(
            f"certificate is valid from {card.x509.not_valid_before_utc:%Y-%m-%d %H:%M} UTC",
            where=where,
            remedy="check both machines' clocks",
        )
    return card


def parse_expired_card(text: str, where: Path | str) -> Card:
    """As :func:`parse_card`, whatever the date: a pinned card goes on saying whose name it is."""
    try:
        card = _from_json(text)
        check_name(card.name)
        parse_endpoint(card.endpoint)
        verify(card.signing_key, card.signature, LABEL, *card.signed_parts())
        _check_certificate(card)
    except ConfigError as error:
        raise ConfigError(error.what, where=where, remedy=error.remedy) from None
    except Malformed:
        raise ConfigError("signature does not fit", where=where, remedy=_RENEW) from None
    return card


def read_card(path: Path, now: datetime.datetime | None = None) -> Card:
    return parse_card(read_card_text(path), now, path)


def read_card_text(path: Path) -> str:
    """Text of a card file of at most 16 KiB; raises ``ConfigError``."""
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        return data.decode("ascii")
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=path) from None
    except UnicodeDecodeError:
        raise ConfigError("not a party card", where=path) from None


def _from_json(text: str) -> Card:
    if len(text) > MOST_BYTES:
        raise ConfigError(f"larger than {MOST_BYTES} bytes: not a party card")
    try:
        values = json.loads(text, object_pairs_hook=_without_repetition)
    except (ValueError, RecursionError):
        raise ConfigError("not a party card") from None
    if not isinstance(values, dict) or "jointcredit_card" not in values:
        raise ConfigError("not a party card")
    if type(values["jointcredit_card"]) is not int or values["jointcredit_card"] != VERSION:
        raise ConfigError("a card of another version", remedy="bring both sides to one release")
    if set(values) != set(_FIELDS):
        raise ConfigError(f"a card has exactly the fields {', '.join(_FIELDS)}")
    if not all(isinstance(values[field], str) for field in _FIELDS[1:]):
        raise ConfigError("fields of a card are strings")
    return Card(
        name=values["name"],
        endpoint=values["endpoint"],
        signing_key=_from_base64(values["signing_key"], KEY_BYTES),
        certificate=values["certificate"],
        signature=_from_base64(values["signature"], SIGNATURE_BYTES),
    )


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("a key is there twice")
    return dict(pairs)


def _from_base64(text: str, count: int) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if len(data) != count or base64.b64encode(data).decode() != text:
        raise ConfigError(f"keys and signatures are base64 of {KEY_BYTES} and {SIGNATURE_BYTES}")
    return data


def _check_certificate(card: Card) -> None:
    """What gRPC's TLS library would let pass, or would refuse without saying why."""
    try:
        certificate = card.x509
        extensions = certificate.extensions
        constraints = extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        key = certificate.public_key()
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension):
        raise ConfigError("certificate cannot be read or lacks an extension") from None
    # One certificate in its one encoding: nothing can hide before or after it.
    if certificate.public_bytes(Encoding.PEM).decode() != card.certificate:
        raise ConfigError("certificate is not one certificate in plain PEM")
    if dns_names(certificate) != (server_name(card.name),):
        raise ConfigError(f"certificate must be for {server_name(card.name)} alone")
    if constraints.ca:
        raise ConfigError("certificate is one of an authority, which could sign for others")
    needed = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    if not needed <= set(usage):
        raise ConfigError("certificate must serve for both server and client authentication")
    strong_rsa = isinstance(key, rsa.RSAPublicKey) and key.key_size >= 3072
    curves = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
    strong_ec = isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, curves)
    if not (strong_rsa or strong_ec):
        raise ConfigError("certificate key must be RSA of 3072 bits, or P-256, P-384, P-521")
    if not isinstance(
        certificate.signature_hash_algorithm, hashes.SHA256 | hashes.SHA384 | hashes.SHA512
    ):
        raise ConfigError("certificate must be signed with SHA-256, SHA-384 or SHA-512")


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
