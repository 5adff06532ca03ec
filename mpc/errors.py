"""The one error that bytes from outside can cause."""

from __future__ import annotations


class Malformed(ValueError):
    """Bytes from outside that are not what they must be.

    ``code`` is a short, fixed, public word such as ``"point-not-canonical"``: it may be
    logged and sent to the peer that caused it. ``index`` is the position of the first
    offending element, where there is one. Neither ever holds the value itself.

    A role turns this into a ``PeerFault`` that names the sender
    (``protocols.errors.blame``).
    """

    def __init__(self, code: str, index: int | None = None) -> None:
        self.code = code
        self.index = index
        super().__init__(code if index is None else f"{code} at element {index}")
