from mpc.wire.v1 import session_pb2 as _session_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DescribeRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DescribeResponse(_message.Message):
    __slots__ = ("datasets",)
    DATASETS_FIELD_NUMBER: _ClassVar[int]
    datasets: _containers.RepeatedCompositeFieldContainer[DatasetCard]
    def __init__(self, datasets: _Optional[_Iterable[_Union[DatasetCard, _Mapping]]] = ...) -> None: ...

class DatasetCard(_message.Message):
    __slots__ = ("name", "keys", "normalizer", "columns", "max_rows", "protocols")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    NORMALIZER_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    MAX_ROWS_FIELD_NUMBER: _ClassVar[int]
    PROTOCOLS_FIELD_NUMBER: _ClassVar[int]
    name: str
    keys: _containers.RepeatedScalarFieldContainer[str]
    normalizer: str
    columns: _containers.RepeatedScalarFieldContainer[str]
    max_rows: int
    protocols: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., keys: _Optional[_Iterable[str]] = ..., normalizer: _Optional[str] = ..., columns: _Optional[_Iterable[str]] = ..., max_rows: _Optional[int] = ..., protocols: _Optional[_Iterable[str]] = ...) -> None: ...

class ProposeRequest(_message.Message):
    __slots__ = ("plan", "signature")
    PLAN_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    plan: bytes
    signature: bytes
    def __init__(self, plan: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class ProposeResponse(_message.Message):
    __slots__ = ("accepted", "pending", "refused")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    PENDING_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    accepted: _session_pb2.Acceptance
    pending: Pending
    refused: Refusal
    def __init__(self, accepted: _Optional[_Union[_session_pb2.Acceptance, _Mapping]] = ..., pending: _Optional[_Union[Pending, _Mapping]] = ..., refused: _Optional[_Union[Refusal, _Mapping]] = ...) -> None: ...

class Pending(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Refusal(_message.Message):
    __slots__ = ("code", "rule")
    CODE_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    code: str
    rule: str
    def __init__(self, code: _Optional[str] = ..., rule: _Optional[str] = ...) -> None: ...

class StartRequest(_message.Message):
    __slots__ = ("plan_hash", "acceptances")
    PLAN_HASH_FIELD_NUMBER: _ClassVar[int]
    ACCEPTANCES_FIELD_NUMBER: _ClassVar[int]
    plan_hash: bytes
    acceptances: _containers.RepeatedCompositeFieldContainer[_session_pb2.Acceptance]
    def __init__(self, plan_hash: _Optional[bytes] = ..., acceptances: _Optional[_Iterable[_Union[_session_pb2.Acceptance, _Mapping]]] = ...) -> None: ...

class StartResponse(_message.Message):
    __slots__ = ("started", "refused")
    STARTED_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    started: Started
    refused: Refusal
    def __init__(self, started: _Optional[_Union[Started, _Mapping]] = ..., refused: _Optional[_Union[Refusal, _Mapping]] = ...) -> None: ...

class Started(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WithdrawRequest(_message.Message):
    __slots__ = ("plan_hash",)
    PLAN_HASH_FIELD_NUMBER: _ClassVar[int]
    plan_hash: bytes
    def __init__(self, plan_hash: _Optional[bytes] = ...) -> None: ...

class WithdrawResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class LinkMessage(_message.Message):
    __slots__ = ("frame", "credit", "receipt", "open", "abort")
    FRAME_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    ABORT_FIELD_NUMBER: _ClassVar[int]
    frame: _session_pb2.Frame
    credit: _session_pb2.Credit
    receipt: _session_pb2.Receipt
    open: Open
    abort: Abort
    def __init__(self, frame: _Optional[_Union[_session_pb2.Frame, _Mapping]] = ..., credit: _Optional[_Union[_session_pb2.Credit, _Mapping]] = ..., receipt: _Optional[_Union[_session_pb2.Receipt, _Mapping]] = ..., open: _Optional[_Union[Open, _Mapping]] = ..., abort: _Optional[_Union[Abort, _Mapping]] = ...) -> None: ...

class Open(_message.Message):
    __slots__ = ("session_id",)
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: bytes
    def __init__(self, session_id: _Optional[bytes] = ...) -> None: ...

class Abort(_message.Message):
    __slots__ = ("code", "origin")
    CODE_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    code: str
    origin: str
    def __init__(self, code: _Optional[str] = ..., origin: _Optional[str] = ...) -> None: ...
