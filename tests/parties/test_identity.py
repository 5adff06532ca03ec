"""Keys and certificates: made right, kept to their owner, and refused when they are not."""

from __future__ import annotations

import datetime
import os
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from mpc.errors import Malformed
from mpc.secret import Secret
from mpc.signing import verify
from parties.errors import ConfigError
from parties.identity import (
    Identity,
    dns_names,
    load_identity,
    renew_certificate,
    save_identity,
    server_name,
)
from parties.keyfiles import make_private_directory, read_secret, write_secret

NOW = datetime.datetime(2026, 11, 23, 12, tzinfo=datetime.UTC)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    make_private_directory(path)
    return path


def test_the_certificate_is_what_partners_demand() -> None:
    identity = Identity.create("bank-a", NOW)
    certificate = x509.load_pem_x509_certificate(identity.certificate)
    extensions = certificate.extensions
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == "secp256r1"
    assert dns_names(certificate) == ("bank-a.party.jointcredit",)
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert not extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    assert set(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == {
        ExtendedKeyUsageOID.SERVER_AUTH,
        ExtendedKeyUsageOID.CLIENT_AUTH,
    }
    assert certificate.not_valid_after_utc == NOW + datetime.timedelta(days=397)
    assert certificate.not_valid_before_utc < NOW


def test_signatures_fit_the_public_key_and_the_label() -> None:
    identity = Identity.create("bank-a", NOW)
    signature = identity.sign("acceptance", b"one", b"two")
    verify(identity.signing_key, signature, "acceptance", b"one", b"two")
    with pytest.raises(Malformed):
        verify(identity.signing_key, signature, "receipt", b"one", b"two")
    with pytest.raises(Malformed):
        verify(identity.signing_key, signature, "acceptance", b"onet", b"wo")


@pytest.mark.parametrize("passphrase", [None, Secret("correct horse")])
def test_saved_and_loaded(keys: Path, passphrase: Secret[str] | None) -> None:
    identity = Identity.create("bank-a", NOW)
    old = os.umask(0)
    try:
        save_identity(identity, keys, passphrase)
    finally:
        os.umask(old)
    assert {p.name: p.stat().st_mode & 0o777 for p in keys.iterdir()} == {
        "signing.key": 0o600,
        "tls.key": 0o600,
        "tls.crt": 0o600,
    }
    loaded = load_identity("bank-a", keys, passphrase)
    assert loaded.signing_key == identity.signing_key
    assert loaded.tls_key.expose() == identity.tls_key.expose()
    assert loaded.certificate == identity.certificate


@pytest.mark.parametrize("file", ["signing.key", "tls.key"])
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o610])
def test_a_key_that_others_can_reach_is_refused(keys: Path, file: str, mode: int) -> None:
    save_identity(Identity.create("bank-a", NOW), keys)
    (keys / file).chmod(mode)
    with pytest.raises(ConfigError, match="chmod 600") as caught:
        load_identity("bank-a", keys)
    assert str(keys / file) in str(caught.value)


def test_a_key_directory_that_others_can_reach_is_refused(keys: Path) -> None:
    save_identity(Identity.create("bank-a", NOW), keys)
    keys.chmod(0o755)
    with pytest.raises(ConfigError, match="chmod 700"):
        load_identity("bank-a", keys)


def test_a_key_behind_a_link_is_refused(keys: Path, tmp_path: Path) -> None:
    save_identity(Identity.create("bank-a", NOW), keys)
    (keys / "signing.key").rename(tmp_path / "elsewhere")
    (keys / "signing.key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match=r"signing\.key"):
        load_identity("bank-a", keys)


def test_a_certificate_of_another_name_or_key_is_refused(keys: Path) -> None:
    identity = Identity.create("bank-a", NOW)
    save_identity(identity, keys)
    with pytest.raises(ConfigError, match="not a certificate for bank-b"):
        load_identity("bank-b", keys)
    (keys / "tls.crt").write_bytes(identity.renewed(NOW).certificate)
    with pytest.raises(ConfigError, match=r"does not belong to tls\.key"):
        load_identity("bank-a", keys)


def test_a_damaged_key_is_refused_without_showing_it(keys: Path) -> None:
    save_identity(Identity.create("bank-a", NOW), keys)
    (keys / "signing.key").write_text("canary-4711")
    with pytest.raises(ConfigError) as caught:
        load_identity("bank-a", keys)
    assert "canary" not in str(caught.value)
    # A TLS key is valid PEM, and still no signing key.
    (keys / "signing.key").write_bytes((keys / "tls.key").read_bytes())
    with pytest.raises(ConfigError, match="not an Ed25519 key"):
        load_identity("bank-a", keys)


def test_renewal_keeps_the_signing_key(keys: Path) -> None:
    identity = Identity.create("bank-a", NOW)
    save_identity(identity, keys)
    renewed = renew_certificate("bank-a", keys, now=NOW + datetime.timedelta(days=1))
    assert renewed.signing_key == identity.signing_key
    assert renewed.certificate != identity.certificate
    assert load_identity("bank-a", keys).certificate == renewed.certificate


def test_a_sealed_key_opens_with_its_passphrase_and_name_alone(keys: Path) -> None:
    path, passphrase = keys / "signing.key", Secret("correct horse")
    write_secret(path, Secret(b"canary-4711"), passphrase)
    assert b"canary" not in path.read_bytes()
    assert read_secret(path, passphrase).expose() == b"canary-4711"
    with pytest.raises(ConfigError, match="give the passphrase"):
        read_secret(path)
    with pytest.raises(ConfigError, match="wrong passphrase"):
        read_secret(path, Secret("wrong horse"))
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(ConfigError, match="wrong passphrase"):
        read_secret(path, passphrase)
    path.write_bytes(data)
    other = keys / "tls.key"
    path.rename(other)
    with pytest.raises(ConfigError, match="wrong passphrase"):
        read_secret(other, passphrase)


def test_a_key_file_is_never_overwritten(keys: Path) -> None:
    write_secret(keys / "signing.key", Secret(b"first"))
    with pytest.raises(ConfigError, match="exists already"):
        write_secret(keys / "signing.key", Secret(b"second"))
    assert read_secret(keys / "signing.key").expose() == b"first"


def test_keys_do_not_show_in_a_repr() -> None:
    identity = Identity.create("bank-a", NOW)
    text = repr(identity)
    assert identity.signing_secret.expose().hex() not in text and "PRIVATE" not in text
    assert server_name("bank-a") == "bank-a.party.jointcredit"
