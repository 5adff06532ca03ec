"""A party's identity: an Ed25519 signing key (RFC 8032) and a TLS certificate.

The signing key is who the party is; partners compare its fingerprint. The certificate
authenticates connections and changes often: partners accept a new one because the signing key
signed the card that carries it. gRPC's TLS library does not take Ed25519 certificates as it is
built, so the TLS key is on P-256.
"""

from __future__ import annotations

import datetime
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mpc.secret import Secret
from mpc.signing import public_key, sign
from parties.errors import ConfigError
from parties.keyfiles import (
    Passphrase,
    ed25519_from_pem,
    ed25519_to_pem,
    read_secret,
    write_secret,
)
from parties.tomlfile import write_atomic

VALID_DAYS: Final = 397
_BACKDATED: Final = datetime.timedelta(hours=1)  # partners' clocks may be behind


def server_name(party: str) -> str:
    """The one DNS name inside a party's certificate. It is fixed by the name, not by the host."""
    return f"{party}.party.jointcredit"


@dataclass(frozen=True)
class Identity:
    """``signing_secret`` is 32 bytes; ``tls_key`` and ``certificate`` are PEM."""

    name: str
    signing_secret: Secret[bytes]
    tls_key: Secret[bytes]
    certificate: bytes

    @classmethod
    def create(
        cls, name: str, now: datetime.datetime | None = None, days: float = VALID_DAYS
    ) -> Identity:
        """Fresh keys, and a certificate from an hour before ``now`` to ``days`` after it."""
        tls_key, certificate = _self_signed(name, now, days)
        return cls(name, Secret(os.urandom(32)), tls_key, certificate)

    def renewed(self, now: datetime.datetime | None = None, days: float = VALID_DAYS) -> Identity:
        """The same party with a new TLS key and certificate."""
        tls_key, certificate = _self_signed(self.name, now, days)
        return Identity(self.name, self.signing_secret, tls_key, certificate)

    @property
    def signing_key(self) -> bytes:
        """The public key, 32 bytes."""
        return public_key(self.signing_secret.expose())

    def sign(self, label: str, *parts: bytes) -> bytes:
        """64 bytes over ``encode_parts(label, *parts)``."""
        return sign(self.signing_secret.expose(), label, *parts)


def save_identity(identity: Identity, keys: Path, passphrase: Passphrase = None) -> None:
    """Writes signing.key, tls.key and tls.crt into ``keys``; none of them may exist."""
    write_secret(keys / "signing.key", ed25519_to_pem(identity.signing_secret), passphrase)
    _save_tls(identity, keys, passphrase)


def load_identity(name: str, keys: Path, passphrase: Passphrase = None) -> Identity:
    """The identity in directory ``keys``.

    Raises ``ConfigError`` for missing files, for keys that other users can read, and for a
    certificate that belongs to another name or another key.
    """
    signing = ed25519_from_pem(read_secret(keys / "signing.key", passphrase), keys / "signing.key")
    tls_key = read_secret(keys / "tls.key", passphrase)
    where = keys / "tls.crt"
    try:
        pem = where.read_bytes()
        certificate = x509.load_pem_x509_certificate(pem)
        key = serialization.load_pem_private_key(tls_key.expose(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"no certificate and key: {type(error).__name__}", where=where) from None
    if key.public_key() != certificate.public_key():
        raise ConfigError("does not belong to tls.key", where=where)
    if dns_names(certificate) != (server_name(name),):
        raise ConfigError(f"is not a certificate for {name}", where=where)
    return Identity(name, signing, tls_key, pem)


def renew_certificate(
    name: str,
    keys: Path,
    passphrase: Passphrase = None,
    now: datetime.datetime | None = None,
    days: float = VALID_DAYS,
) -> Identity:
    """Replaces tls.key and tls.crt. Partners then need the new card; the fingerprint stays."""
    identity = load_identity(name, keys, passphrase).renewed(now, days)
    for file in ("tls.key", "tls.crt"):
        os.replace(keys / file, keys / f"{file}.old")
    _save_tls(identity, keys, passphrase)
    return identity


def dns_names(certificate: x509.Certificate) -> tuple[str, ...]:
    """The DNS names of a certificate; empty if it has other kinds of names, or none."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    dns = tuple(names.get_values_for_type(x509.DNSName))
    return dns if len(dns) == len(names) else ()


def _save_tls(identity: Identity, keys: Path, passphrase: Passphrase) -> None:
    write_secret(keys / "tls.key", identity.tls_key, passphrase)
    write_atomic(keys / "tls.crt", identity.certificate, mode=0o600)


def _self_signed(
    name: str, now: datetime.datetime | None, days: float
) -> tuple[Secret[bytes], bytes]:
    now = now or datetime.datetime.now(datetime.UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, server_name(name))])
    usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(server_name(name))]), False)
        .add_extension(
            x509.ExtendedKeyUsage(
                [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
            ),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return Secret(pem), certificate.public_bytes(serialization.Encoding.PEM)
