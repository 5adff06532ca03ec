from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ScoreWeightsParameters(_message.Message):
    __slots__ = ("holders", "statistical_bits", "logit_bits")
    HOLDERS_FIELD_NUMBER: _ClassVar[int]
    STATISTICAL_BITS_FIELD_NUMBER: _ClassVar[int]
    LOGIT_BITS_FIELD_NUMBER: _ClassVar[int]
    holders: _containers.RepeatedCompositeFieldContainer[HolderFeatures]
    statistical_bits: int
    logit_bits: int
    def __init__(self, holders: _Optional[_Iterable[_Union[HolderFeatures, _Mapping]]] = ..., statistical_bits: _Optional[int] = ..., logit_bits: _Optional[int] = ...) -> None: ...

class HolderFeatures(_message.Message):
    __slots__ = ("features",)
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    features: _containers.RepeatedCompositeFieldContainer[Feature]
    def __init__(self, features: _Optional[_Iterable[_Union[Feature, _Mapping]]] = ...) -> None: ...

class Feature(_message.Message):
    __slots__ = ("column", "clipped", "low", "high", "unit_bits")
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    CLIPPED_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    UNIT_BITS_FIELD_NUMBER: _ClassVar[int]
    column: str
    clipped: bool
    low: float
    high: float
    unit_bits: int
    def __init__(self, column: _Optional[str] = ..., clipped: _Optional[bool] = ..., low: _Optional[float] = ..., high: _Optional[float] = ..., unit_bits: _Optional[int] = ...) -> None: ...

class AlignedRows(_message.Message):
    __slots__ = ("count",)
    COUNT_FIELD_NUMBER: _ClassVar[int]
    count: int
    def __init__(self, count: _Optional[int] = ...) -> None: ...
