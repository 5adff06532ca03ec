"""Party cards: one signed form, and every other one refused."""

from __future__ import annotations

import datetime
import json
import re
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from parties.cards import Card, fingerprint, make_card, parse_card, read_card
from parties.errors import ConfigError
from parties.identity import Identity, server_name

NOW = datetime.datetime(2026, 11, 23, 12, tzinfo=datetime.UTC)
IDENTITY = Identity.create("bank-a", NOW)
CARD = make_card(IDENTITY, "bank-a.example:7001")
BOTH = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]


def altered(**changes: Any) -> str:
    values = json.loads(CARD.to_json()) | changes
    return json.dumps({key: value for key, value in values.items() if value is not None})


def with_certificate(pem: bytes) -> str:
    """A card that the party itself signed over another certificate."""
    card = replace(CARD, certificate=pem.decode(), signature=b"")
    return replace(card, signature=IDENTITY.sign("party-card", *card.signed_parts())).to_json()


def certificate(
    key: Any = None,
    names: Any = None,
    ca: bool | None = False,
    usages: Any = None,
    digest: Any = "default",
) -> bytes:
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - datetime.timedelta(hours=1))
        .not_valid_after(NOW + datetime.timedelta(days=9))
        .add_extension(
            x509.SubjectAlternativeName(names or [x509.DNSName(server_name("bank-a"))]), False
        )
    )
    if usages != []:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages or BOTH), False)
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), True)
    signed = builder.sign(key, hashes.SHA256() if digest == "default" else digest)
    return signed.public_bytes(Encoding.PEM)


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "bank-a.card"
    path.write_text(CARD.to_json())
    card = read_card(path, NOW)
    assert card == CARD
    assert card.pin == sha256(x509.load_pem_x509_certificate(IDENTITY.certificate).public_bytes(
        Encoding.DER)).digest()
    assert len(CARD.to_json()) < 2048


def test_fingerprints_have_96_bits_of_the_signing_key() -> None:
    # SHA-256 of 32 zero bytes: 66687aadf862bd776c8fc18b8e9f8e20…
    assert fingerprint(bytes(32)) == "6668-7aad-f862-bd77-6c8f-c18b"
    assert re.fullmatch(r"([0-9a-f]{4}-){5}[0-9a-f]{4}", CARD.fingerprint)
    assert make_card(IDENTITY.renewed(NOW), "other.example:1").fingerprint == CARD.fingerprint


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{}",
        "[" * 100_000,
        CARD.to_json() + " " * 20_000,
        altered(jointcredit_card=2),
        altered(jointcredit_card=True),
        altered(jointcredit_card="1"),
        altered(jointcredit_card=1.0),
        altered(extra="x"),
        altered(endpoint=None),
        altered(name=7),
        altered(name="Bank-A"),
        altered(name="any"),
        altered(endpoint="nowhere"),
        altered(signing_key="AAAA"),
        altered(signature=json.loads(CARD.to_json())["signature"] + "\n"),
        altered(certificate=""),
        CARD.to_json().replace('"name"', '"name": "bank-a", "name"', 1),
    ],
)
def test_what_is_no_card_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_card(text, NOW)


def test_every_field_is_under_the_signature() -> None:
    other = make_card(Identity.create("bank-a", NOW), "bank-a.example:7001")
    for field in ("endpoint", "signing_key", "certificate", "signature"):
        value = json.loads(other.to_json())[field] if field != "endpoint" else "evil.example:7001"
        with pytest.raises(ConfigError, match="signature"):
            parse_card(altered(**{field: value}), NOW)
    with pytest.raises(ConfigError, match="signature"):
        parse_card(altered(name="bank-b"), NOW)


def test_dates() -> None:
    end = NOW + datetime.timedelta(days=397)
    parse_card(CARD.to_json(), end)
    with pytest.raises(ConfigError, match="expired on 2027-12-25"):
        parse_card(CARD.to_json(), end + datetime.timedelta(seconds=1))
    with pytest.raises(ConfigError, match="clocks"):
        parse_card(CARD.to_json(), NOW - datetime.timedelta(hours=2))


@pytest.mark.parametrize(
    ("pem", "message"),
    [
        (certificate(names=[x509.DNSName(server_name("bank-b"))]), "alone"),
        (
            certificate(names=[x509.DNSName(server_name(n)) for n in ("bank-a", "bank-b")]),
            "alone",
        ),
        (
            certificate(
                names=[x509.DNSName(server_name("bank-a")), x509.RFC822Name("a@example.org")]
            ),
            "alone",
        ),
        (certificate(names=[x509.DNSName("*.party.jointcredit")]), "alone"),
        (certificate(ca=True), "authority"),
        (certificate(ca=None), "extension"),
        (certificate(usages=[]), "extension"),
        (certificate(usages=BOTH[:1]), "both"),
        (certificate(usages=BOTH[1:]), "both"),
        (certificate(ec.generate_private_key(ec.SECP224R1())), "P-256"),
        (certificate(rsa.generate_private_key(65537, 2048)), "3072"),
        (certificate(ed25519.Ed25519PrivateKey.generate(), digest=None), "P-256"),
        (certificate(digest=hashes.SHA224()), "SHA-256"),
        (certificate() + certificate(), "one certificate"),
        (b"text\n" + certificate(), "one certificate"),
        (certificate().replace(b"\n", b"\r\n"), "one certificate"),
    ],
)
def test_a_certificate_that_says_too_much_or_too_little_is_refused(
    pem: bytes, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_card(with_certificate(pem), NOW)


@pytest.mark.parametrize(
    "pem", [certificate(ec.generate_private_key(ec.SECP384R1())), certificate()]
)
def test_other_strong_certificates_are_accepted(pem: bytes) -> None:
    assert isinstance(parse_card(with_certificate(pem), NOW), Card)


def test_errors_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.card"
    for content in (b"\xff", b"{}", altered(name="bank-b").encode()):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match=re.escape(str(path))):
            read_card(path, NOW)
    with pytest.raises(ConfigError, match="No such file"):
        read_card(tmp_path / "missing.card")
