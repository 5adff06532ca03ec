from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Plan(_message.Message):
    __slots__ = ("protocol", "revision", "parties", "parameters", "purpose", "created", "expires", "nonce")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    PARTIES_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    protocol: str
    revision: int
    parties: _containers.RepeatedCompositeFieldContainer[Party]
    parameters: bytes
    purpose: str
    created: int
    expires: int
    nonce: bytes
    def __init__(self, protocol: _Optional[str] = ..., revision: _Optional[int] = ..., parties: _Optional[_Iterable[_Union[Party, _Mapping]]] = ..., parameters: _Optional[bytes] = ..., purpose: _Optional[str] = ..., created: _Optional[int] = ..., expires: _Optional[int] = ..., nonce: _Optional[bytes] = ...) -> None: ...

class Party(_message.Message):
    __slots__ = ("name", "signing_key", "role", "input")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SIGNING_KEY_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    name: str
    signing_key: bytes
    role: str
    input: Input
    def __init__(self, name: _Optional[str] = ..., signing_key: _Optional[bytes] = ..., role: _Optional[str] = ..., input: _Optional[_Union[Input, _Mapping]] = ...) -> None: ...

class Input(_message.Message):
    __slots__ = ("dataset", "keys", "normalizer", "columns", "max_rows", "min_rows")
    DATASET_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    NORMALIZER_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    MAX_ROWS_FIELD_NUMBER: _ClassVar[int]
    MIN_ROWS_FIELD_NUMBER: _ClassVar[int]
    dataset: str
    keys: _containers.RepeatedScalarFieldContainer[str]
    normalizer: str
    columns: _containers.RepeatedScalarFieldContainer[str]
    max_rows: int
    min_rows: int
    def __init__(self, dataset: _Optional[str] = ..., keys: _Optional[_Iterable[str]] = ..., normalizer: _Optional[str] = ..., columns: _Optional[_Iterable[str]] = ..., max_rows: _Optional[int] = ..., min_rows: _Optional[int] = ...) -> None: ...
