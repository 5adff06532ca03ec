"""Ed25519 (RFC 8032) over labelled messages."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from mpc.errors import Malformed
from mpc.hashing import encode_parts

KEY_BYTES = 32
SIGNATURE_BYTES = 64


def public_key(secret: bytes) -> bytes:
    """The 32-byte public key of a 32-byte secret key."""
    return Ed25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()


def sign(secret: bytes, label: str, *parts: bytes) -> bytes:
    """64 bytes over ``encode_parts(label, *parts)``."""
    return Ed25519PrivateKey.from_private_bytes(secret).sign(encode_parts(label, *parts))


def verify(public: bytes, signature: bytes, label: str, *parts: bytes) -> None:
    """Raises ``Malformed("bad-signature")`` unless ``signature`` is ``public``'s over the parts."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, encode_parts(label, *parts))
    except (InvalidSignature, ValueError) as error:
        raise Malformed("bad-signature") from error
