from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class Acceptance(_message.Message):
    __slots__ = ("plan_hash", "signing_key", "nonce", "session_key", "signature")
    PLAN_HASH_FIELD_NUMBER: _ClassVar[int]
    SIGNING_KEY_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    SESSION_KEY_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    plan_hash: bytes
    signing_key: bytes
    nonce: bytes
    session_key: bytes
    signature: bytes
    def __init__(self, plan_hash: _Optional[bytes] = ..., signing_key: _Optional[bytes] = ..., nonce: _Optional[bytes] = ..., session_key: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class Frame(_message.Message):
    __slots__ = ("session_id", "sender", "receiver", "lane", "sequence", "kind", "payload")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    SENDER_FIELD_NUMBER: _ClassVar[int]
    RECEIVER_FIELD_NUMBER: _ClassVar[int]
    LANE_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    session_id: bytes
    sender: int
    receiver: int
    lane: str
    sequence: int
    kind: str
    payload: bytes
    def __init__(self, session_id: _Optional[bytes] = ..., sender: _Optional[int] = ..., receiver: _Optional[int] = ..., lane: _Optional[str] = ..., sequence: _Optional[int] = ..., kind: _Optional[str] = ..., payload: _Optional[bytes] = ...) -> None: ...

class Credit(_message.Message):
    __slots__ = ("session_id", "sender", "receiver", "lane", "consumed")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    SENDER_FIELD_NUMBER: _ClassVar[int]
    RECEIVER_FIELD_NUMBER: _ClassVar[int]
    LANE_FIELD_NUMBER: _ClassVar[int]
    CONSUMED_FIELD_NUMBER: _ClassVar[int]
    session_id: bytes
    sender: int
    receiver: int
    lane: str
    consumed: int
    def __init__(self, session_id: _Optional[bytes] = ..., sender: _Optional[int] = ..., receiver: _Optional[int] = ..., lane: _Optional[str] = ..., consumed: _Optional[int] = ...) -> None: ...

class Block(_message.Message):
    __slots__ = ("first", "count", "width", "data", "last")
    FIRST_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    first: int
    count: int
    width: int
    data: bytes
    last: bool
    def __init__(self, first: _Optional[int] = ..., count: _Optional[int] = ..., width: _Optional[int] = ..., data: _Optional[bytes] = ..., last: _Optional[bool] = ...) -> None: ...

class Receipt(_message.Message):
    __slots__ = ("session_id", "plan_hash", "signing_key", "peer_key", "transcript", "signature")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    PLAN_HASH_FIELD_NUMBER: _ClassVar[int]
    SIGNING_KEY_FIELD_NUMBER: _ClassVar[int]
    PEER_KEY_FIELD_NUMBER: _ClassVar[int]
    TRANSCRIPT_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    session_id: bytes
    plan_hash: bytes
    signing_key: bytes
    peer_key: bytes
    transcript: bytes
    signature: bytes
    def __init__(self, session_id: _Optional[bytes] = ..., plan_hash: _Optional[bytes] = ..., signing_key: _Optional[bytes] = ..., peer_key: _Optional[bytes] = ..., transcript: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...
