"""Labelled hashing: no two uses of SHA-256 in this product ever see the same input."""

from __future__ import annotations

import hashlib
import hmac

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def encode_parts(label: str, *parts: bytes) -> bytes:
    """``label`` and ``parts``, each behind its length in eight bytes: injective."""
    fields = (f"jointcredit/{label}".encode(), *parts)
    return b"".join(len(field).to_bytes(8, "big") + field for field in fields)


def labelled_hash(label: str, *parts: bytes) -> bytes:
    """SHA-256 over :func:`encode_parts`, 32 bytes."""
    return hashlib.sha256(encode_parts(label, *parts)).digest()


def labelled_mac(key: bytes, label: str, *parts: bytes) -> bytes:
    """HMAC-SHA-256 over :func:`encode_parts`, 32 bytes."""
    return hmac.digest(key, encode_parts(label, *parts), "sha256")


def derive_key(secret: bytes, label: str, *context: bytes, length: int = 32) -> bytes:
    """HKDF-SHA-256 (RFC 5869) of ``secret``, bound to ``label`` and ``context``."""
    return HKDF(
        algorithm=SHA256(), length=length, salt=None, info=encode_parts(label, *context)
    ).derive(secret)
