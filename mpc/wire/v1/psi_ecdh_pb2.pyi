from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PsiEcdhParameters(_message.Message):
    __slots__ = ("reveal", "to_both", "statistical_bits")
    class Reveal(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        REVEAL_UNSPECIFIED: _ClassVar[PsiEcdhParameters.Reveal]
        REVEAL_ROWS: _ClassVar[PsiEcdhParameters.Reveal]
        REVEAL_COUNT: _ClassVar[PsiEcdhParameters.Reveal]
    REVEAL_UNSPECIFIED: PsiEcdhParameters.Reveal
    REVEAL_ROWS: PsiEcdhParameters.Reveal
    REVEAL_COUNT: PsiEcdhParameters.Reveal
    REVEAL_FIELD_NUMBER: _ClassVar[int]
    TO_BOTH_FIELD_NUMBER: _ClassVar[int]
    STATISTICAL_BITS_FIELD_NUMBER: _ClassVar[int]
    reveal: PsiEcdhParameters.Reveal
    to_both: bool
    statistical_bits: int
    def __init__(self, reveal: _Optional[_Union[PsiEcdhParameters.Reveal, str]] = ..., to_both: _Optional[bool] = ..., statistical_bits: _Optional[int] = ...) -> None: ...

class SetSize(_message.Message):
    __slots__ = ("count",)
    COUNT_FIELD_NUMBER: _ClassVar[int]
    count: int
    def __init__(self, count: _Optional[int] = ...) -> None: ...
