"""Bytes to messages and back, strictly: the only door through which protobuf enters."""

from __future__ import annotations

from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from mpc.errors import Malformed

__all__ = ["Message", "decode", "encode", "kind_name"]

WIRE_VERSION = 1

M = TypeVar("M", bound=Message)


def kind_name(kind: type[Message] | Message) -> str:
    """The full name of a message type, such as ``mpc.wire.v1.Block``."""
    name: str = kind.DESCRIPTOR.full_name
    return name


def encode(message: Message) -> bytes:
    """The one encoding of ``message`` that :func:`decode` accepts: fields in numeric order."""
    return message.SerializeToString(deterministic=True)


def decode(kind: type[M], data: bytes) -> M:
    """Parses ``data`` as ``kind``.

    Raises ``Malformed("unparsable")`` for what is no such message, and
    ``Malformed("not-canonical")`` for unknown fields, fields out of order, repeated scalars and
    overlong integers: two byte strings never mean the same message.
    """
    message = kind()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise Malformed("unparsable") from error
    message.DiscardUnknownFields()
    if encode(message) != data:
        raise Malformed("not-canonical")
    return message
