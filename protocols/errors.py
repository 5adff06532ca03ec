"""The few ways in which a session ends without a result."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mpc.errors import Malformed


class SessionError(Exception):
    """Base of all of them. ``code`` is a fixed public word; a peer gets that and nothing else."""

    def __init__(self, code: str, text: str) -> None:
        self.code = code
        super().__init__(text)


class Misuse(SessionError):
    """Our own side is at fault: local input that does not fit the plan, or a bug.

    ``text`` may go to this node's operators. It names datasets and columns, never values.
    """

    def __init__(self, code: str, text: str | None = None) -> None:
        super().__init__(code, text or code)


class PeerFault(SessionError):
    """A peer broke the protocol. ``culprit`` is its name in the plan."""

    def __init__(self, culprit: str, code: str) -> None:
        self.culprit = culprit
        super().__init__(code, f"{culprit}: {code}")


class Refused(SessionError):
    """A party said no. ``rule`` says which line of its policy, or which check, decided."""

    def __init__(self, party: str, code: str, rule: str = "") -> None:
        self.party = party
        self.rule = rule
        super().__init__(code, f"{party} refused: {code}" + (f" ({rule})" if rule else ""))


class Cancelled(SessionError):
    """The session was called off: by an operator, at shutdown, or because another party stopped."""

    def __init__(self, code: str, by: str = "") -> None:
        self.by = by
        super().__init__(code, f"cancelled: {code}" + (f" (by {by})" if by else ""))


class LinkLost(SessionError):
    """A peer could not be reached, or fell silent past the deadline."""

    def __init__(self, peer: str, code: str) -> None:
        self.peer = peer
        super().__init__(code, f"{peer}: {code}")


@contextmanager
def blame(culprit: str) -> Iterator[None]:
    """Whatever is malformed inside came from ``culprit``."""
    try:
        yield
    except Malformed as fault:
        raise PeerFault(culprit, fault.code) from fault
