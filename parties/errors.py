"""The one error of local files, settings and arguments."""

from __future__ import annotations

from pathlib import Path


class ConfigError(ValueError):
    """Something on this machine is not as it must be; exit code 2.

    The message is one line for people: where, what, and the remedy. It names files, lines and
    keys of files that the owner wrote; it never holds a key, a passphrase or a record.
    """

    def __init__(
        self, what: str, *, where: Path | str = "", line: int = 0, remedy: str = ""
    ) -> None:
        self.what = what
        self.where = str(where)
        self.line = line
        self.remedy = remedy
        place = f"{where}, line {line}: " if line else f"{where}: " if where else ""
        super().__init__(place + what + (f"; {remedy}" if remedy else ""))
