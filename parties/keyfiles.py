"""Secret key files: owner-only permissions, and a passphrase where the owner wants one."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from mpc.hashing import encode_parts
from mpc.secret import Secret
from parties.errors import ConfigError

Passphrase = Secret[str] | None

_SEALED: Final = b"jointcredit sealed key 1\n"
_SALT, _NONCE = 16, 12
_MOST_BYTES: Final = 1 << 16
# RFC 7914 with 128 * N * r = 32 MiB: about 0.1 s for the owner, and for each guess.
_SCRYPT_N, _SCRYPT_R, _SCRYPT_P = 1 << 15, 8, 1


def make_private_directory(path: Path) -> None:
    """Makes ``path`` with mode 0700 whatever the umask says; it must not exist."""
    path.mkdir(mode=0o700)
    path.chmod(0o700)


def write_secret(path: Path, secret: Secret[bytes], passphrase: Passphrase = None) -> None:
    """Creates ``path`` with mode 0600; an existing file is never overwritten.

    With a passphrase the content is sealed: scrypt (RFC 7914), then ChaCha20-Poly1305 (RFC 8439)
    with the file's name as associated data, so that files cannot be swapped.
    """
    data = secret.expose() if passphrase is None else _seal(secret, path.name, passphrase)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    try:
        handle = os.open(path, flags, 0o600)
    except FileExistsError:
        raise ConfigError("exists already", where=path, remedy="move it away first") from None
    with os.fdopen(handle, "wb") as file:
        os.fchmod(handle, 0o600)
        file.write(data)
        file.flush()
        os.fsync(handle)


def read_secret(path: Path, passphrase: Passphrase = None) -> Secret[bytes]:
    """The content of a key file.

    Raises ``ConfigError`` if anybody but the owner may read it or its directory, if it belongs to
    somebody else, and for a missing or wrong passphrase.
    """
    _check_owner_only(path.parent, 0o700)
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=path) from None
    with os.fdopen(handle, "rb") as file:
        _check_owner_only(path, 0o600, os.fstat(handle))
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise ConfigError("too large for a key", where=path)
    if not data.startswith(_SEALED):
        return Secret(data)
    if passphrase is None:
        raise ConfigError("sealed with a passphrase", where=path, remedy="give the passphrase")
    return _open(data, path, passphrase)


def ed25519_to_pem(secret: Secret[bytes]) -> Secret[bytes]:
    """PKCS #8 PEM (RFC 8410) of a 32-byte Ed25519 key."""
    key = Ed25519PrivateKey.from_private_bytes(secret.expose())
    return Secret(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


def ed25519_from_pem(pem: Secret[bytes], where: Path) -> Secret[bytes]:
    """The 32-byte Ed25519 key inside a PKCS #8 PEM."""
    try:
        key = serialization.load_pem_private_key(pem.expose(), password=None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError("not an Ed25519 key in PKCS #8 PEM", where=where)
    return Secret(key.private_bytes_raw())


def _check_owner_only(path: Path, mode: int, status: os.stat_result | None = None) -> None:
    try:
        status = status or path.stat()
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=path) from None
    if status.st_uid != os.geteuid():
        raise ConfigError("belongs to another user", where=path, remedy=f"chown it to {_user()}")
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise ConfigError(
            f"open to other users (mode {stat.S_IMODE(status.st_mode):04o})",
            where=path,
            remedy=f"treat the key as known to them, then: chmod {mode:o} {path}",
        )


def _user() -> str:
    return f"user {os.geteuid()}"


def _derive(passphrase: Secret[str], salt: bytes) -> ChaCha20Poly1305:
    scrypt = Scrypt(salt=salt, length=32, n=_SCRYPT_N, r=_SCRYPT_R, p=_SCRYPT_P)
    return ChaCha20Poly1305(scrypt.derive(passphrase.expose().encode()))


def _seal(secret: Secret[bytes], name: str, passphrase: Secret[str]) -> bytes:
    salt, nonce = os.urandom(_SALT), os.urandom(_NONCE)
    bound = encode_parts("key-file", name.encode())
    return _SEALED + salt + nonce + _derive(passphrase, salt).encrypt(nonce, secret.expose(), bound)


def _open(data: bytes, path: Path, passphrase: Secret[str]) -> Secret[bytes]:
    body = data[len(_SEALED) :]
    salt, nonce, sealed = body[:_SALT], body[_SALT : _SALT + _NONCE], body[_SALT + _NONCE :]
    bound = encode_parts("key-file", path.name.encode())
    try:
        return Secret(_derive(passphrase, salt).decrypt(nonce, sealed, bound))
    except (InvalidTag, ValueError):
        raise ConfigError("wrong passphrase, or the file was changed", where=path) from None
