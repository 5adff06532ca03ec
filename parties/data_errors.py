"""What is wrong with an owner's own file, in words for the owner."""

from __future__ import annotations


class DataError(ValueError):
    """A local source that cannot be used as it is.

    The message is one line for the owner: which dataset, file, column and line, and how to
    mend it. It never holds an identifier, an amount or any other cell. ``code`` is a short
    fixed word; it alone may be logged or told to a peer.
    """

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)
