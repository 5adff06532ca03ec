"""A value that does not show itself."""

from __future__ import annotations

from typing import Generic, NoReturn, TypeVar

T = TypeVar("T")


class Secret(Generic[T]):
    """Wraps a secret so that printing, comparing or pickling it by accident fails.

    This is protection against mistakes, not against an attacker inside the process:
    Python gives no way to erase a value from memory, and none is promised.
    """

    __slots__ = ("_value",)

    def __init__(self, value: T) -> None:
        self._value = value

    def expose(self) -> T:
        """The value itself: the one place to look for when reviewing where secrets go."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> NoReturn:
        raise TypeError("secrets are not compared; expose() them to a constant-time function")

    def __hash__(self) -> NoReturn:
        raise TypeError("secrets are not hashed")

    def __reduce__(self) -> NoReturn:
        raise TypeError("secrets are not pickled")
