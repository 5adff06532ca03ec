"""What a hostile party or link can do to messages, in general."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from mpc.wire import Message
from mpc.wire.v1.session_pb2 import Credit, Frame
from protocols.frames import MOST_PAYLOAD
from protocols.role import Effect, Fork, Send, Steps

Place = tuple[int, int, str, int]
"""Sender, receiver, lane, sequence."""

UNKNOWN_FIELD = b"\xf8\x07\x01"  # field 127, a varint


def place_of(frame: Frame) -> Place:
    return frame.sender, frame.receiver, frame.lane, frame.sequence


def changed(message: Any, **fields: Any) -> Any:
    copy = type(message)()
    copy.CopyFrom(message)
    for name, value in fields.items():
        setattr(copy, name, value)
    return copy


def changed_envelopes(frame: Frame) -> Iterator[tuple[str, str, Sequence[Frame]]]:
    """(what was done, the code it must meet, what arrives) for everything around the payload."""

    def one(what: str, code: str, **fields: Any) -> tuple[str, str, Sequence[Frame]]:
        return what, code, [changed(frame, **fields)]

    yield one("another session", "wrong-session", session_id=bytes(32))
    yield one("no session", "wrong-session", session_id=b"")
    yield one("another receiver", "wrong-party", receiver=frame.sender)
    yield one("unknown receiver", "wrong-party", receiver=2**32 - 1)
    yield one("no lane", "lane-name", lane="")
    yield one("ill-formed lane", "lane-name", lane="../" + frame.lane)
    yield one("overlong lane", "lane-name", lane="a" * 32)
    yield one("ahead by one", "frame-gap", sequence=frame.sequence + 1)
    yield one("ahead by far", "frame-gap", sequence=2**64 - 1)
    yield one("another kind", "unexpected-kind", kind="mpc.wire.v1.Acceptance")
    yield one("no kind", "unexpected-kind", kind="")
    yield one("payload too large", "payload-too-large", payload=bytes(MOST_PAYLOAD + 1))
    flood = [changed(frame, lane=f"unheard-of-{n}", sequence=0) for n in range(33)]
    yield "a flood of lanes", "too-many-lanes", flood


def changed_payloads(frame: Frame) -> Iterator[tuple[str, set[str], Frame]]:
    """(what was done, the codes it may meet, the frame) for bytes that are no message at all."""
    payload = frame.payload
    unparsable = {"unparsable", "not-canonical"}
    changes = [
        ("unknown field", {"not-canonical"}, payload + UNKNOWN_FIELD),
        ("twice the message", {"not-canonical", "payload-too-large"}, payload + payload),
        ("cut short", unparsable, payload[:-1]),
        ("noise", unparsable, b"\xff" * len(payload)),
    ]
    for what, codes, other in changes:
        if other != payload:  # a message of nothing but zeros is empty
            yield what, codes, changed(frame, payload=other)


def changed_fields(message: Message) -> Iterator[tuple[str, Message]]:
    """Every field, changed in every way that its type allows; never the message itself."""
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        for what, other in _other_values(field, value):
            if other != value:
                yield f"{field.name} {what}", changed(message, **{field.name: other})


def _other_values(field: FieldDescriptor, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, bool):
        yield "flipped", not value
    elif isinstance(value, int):
        wide = field.type in (FieldDescriptor.TYPE_UINT64, FieldDescriptor.TYPE_INT64)
        yield "zero", 0
        yield "plus one", value + 1
        yield "minus one", max(value - 1, 0)
        yield "greatest", 2 ** (63 if wide else 31) - 1
    elif isinstance(value, bytes):
        yield "empty", b""
        yield "cut short", value[:-1]
        yield "extended", value + b"\0"
        yield "zeros", bytes(len(value))
        yield "ones", b"\xff" * len(value)
        yield "one", b"\x01" + bytes(max(len(value) - 1, 0))
        for where, at in (("first", 0), ("middle", len(value) // 2), ("last", len(value) - 1)):
            flipped = bytearray(value)
            if flipped:
                flipped[at] ^= 0x04
            yield f"{where} byte flipped", bytes(flipped)
    else:
        raise NotImplementedError(f"no changes known for field {field.full_name}")


def rewriting(steps: Steps[Any], rewrite: Callable[[Effect], Effect]) -> Steps[Any]:
    """The same role, but each effect it yields passes through ``rewrite``; so do its branches'."""
    answer: Any = None
    error: Exception | None = None
    try:
        while True:
            try:
                effect = steps.send(answer) if error is None else steps.throw(error)
            except StopIteration as stop:
                return stop.value
            if isinstance(effect, Fork):
                effect = Fork(tuple(rewriting(branch, rewrite) for branch in effect.branches))
            answer, error = None, None
            try:
                answer = yield rewrite(effect)
            except Exception as thrown:
                error = thrown
    finally:
        steps.close()


def observing(note: Callable[[str, Effect], None]) -> Callable[[str, Steps[Any]], Steps[Any]]:
    """For ``Simulation``: ``note`` sees every effect of every party, and changes nothing."""

    def wrap(name: str, steps: Steps[Any]) -> Steps[Any]:
        def seen(effect: Effect) -> Effect:
            note(name, effect)
            return effect

        return rewriting(steps, seen)

    return wrap


class Liar:
    """Makes ``name`` send ``message`` in the place of number ``number`` on ``lane`` to ``to``.

    Its machine knows of nothing: transcripts and receipts are over what it really sent.
    """

    def __init__(self, name: str, to: str, lane: str, number: int, message: Message) -> None:
        self._name, self._to, self._lane, self._message = name, to, lane, message
        self._left = number

    def __call__(self, name: str, steps: Steps[Any]) -> Steps[Any]:
        return rewriting(steps, self._rewrite) if name == self._name else steps

    def _rewrite(self, effect: Effect) -> Effect:
        if not isinstance(effect, Send) or (effect.to, effect.lane) != (self._to, self._lane):
            return effect
        self._left -= 1
        return Send(self._to, self._lane, self._message) if self._left == -1 else effect


class InTransit:
    """Replaces the frame at ``place`` by others on its way; lets everything else through."""

    def __init__(self, place: Place, instead: Sequence[Frame | Credit]) -> None:
        self._place, self._instead = place, instead

    def __call__(self, received: Frame | Credit) -> Sequence[Frame | Credit]:
        if isinstance(received, Frame) and place_of(received) == self._place:
            return self._instead
        return [received]
