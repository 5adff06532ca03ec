"""TOML files that people write: read strictly, appended to as text so that comments survive."""

from __future__ import annotations

import datetime
import difflib
import os
import re
import tempfile
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from parties.errors import ConfigError

T = TypeVar("T")
Scalar = str | int | bool | datetime.date
Value = Scalar | Sequence[str] | Mapping[str, int]

MOST_BYTES: Final = 1 << 20
_HEADER = re.compile(r"\s*(\[\[?)\s*([A-Za-z0-9_.\"' -]+?)\s*\]\]?\s*(#.*)?$")


class Table:
    """One table of a TOML text, which must be used up: :meth:`done` refuses what nobody asked for.

    A getter without a default requires its key. Wrong types, values out of range and unknown keys
    raise ``ConfigError`` with the file and the line.
    """

    def __init__(
        self, values: Mapping[str, Any], where: str, text: str, header: str = "", nth: int = 0
    ) -> None:
        self._values = dict(values)
        self._asked: list[str] = []
        self._where, self._text, self._header, self._nth = where, text, header, nth

    def has(self, key: str) -> bool:
        """Whether the optional ``key`` is there."""
        self._asked.append(key)
        return key in self._values

    def text(
        self,
        key: str,
        default: str | None = None,
        *,
        form: re.Pattern[str] | None = None,
        hint: str = "",
    ) -> str:
        """A printable string, not empty; it matches ``form`` where one is given."""
        value: str = self._get(key, default, (str,), "a string")
        if key in self._values and not (value and value.isprintable()):
            raise self.error(key, f"{key} must be printable and not empty")
        if form is not None and not form.fullmatch(value):
            raise self.error(key, f"{key} is not valid", hint)
        return value

    def prose(self, key: str) -> str:
        """A string of one or more lines, tabs included."""
        value: str = self._get(key, None, (str,), "a string")
        if not value or not value.replace("\n", "").replace("\t", "").isprintable():
            raise self.error(key, f"{key} must be printable and not empty")
        return value

    def number(self, key: str, default: int | None = None, *, low: int, high: int) -> int:
        """A whole number in ``low..high``, both included."""
        value: int = self._get(key, default, (int,), "a whole number")
        if not low <= value <= high:
            raise self.error(key, f"{key} must be from {low} to {high}")
        return value

    def flag(self, key: str, default: bool | None = None) -> bool:
        value: bool = self._get(key, default, (bool,), "true or false")
        return value

    def date(self, key: str) -> datetime.date:
        """A TOML date, or the same as a string: ``2027-01-31``."""
        value: datetime.date | str = self._get(
            key, None, (datetime.date, str), "a date such as 2027-01-31"
        )
        if not isinstance(value, str):
            return value
        try:
            return datetime.date.fromisoformat(value)
        except ValueError:
            raise self.error(key, f"{key} must be a date such as 2027-01-31") from None

    def texts(self, key: str, default: tuple[str, ...] | None = None) -> tuple[str, ...]:
        """A list of distinct strings, printable and not empty."""
        values: Sequence[object] = self._get(key, default, (list, tuple), "a list of strings")
        texts = tuple(v for v in values if isinstance(v, str) and v and v.isprintable())
        if len(texts) != len(values):
            raise self.error(key, f"{key} must be a list of printable strings")
        if len(set(texts)) != len(texts):
            raise self.error(key, f"{key} names one thing twice")
        return texts

    def table(self, key: str) -> Table:
        """The table under ``key``, empty where there is none."""
        values = self._get(key, {}, (dict,), "a table")
        return Table(values, self._where, self._text, key)

    def tables(self, key: str) -> tuple[Table, ...]:
        """The array of tables ``[[key]]``, empty where there is none."""
        rows = self._get(key, [], (list,), f"an array of tables, [[{key}]]")
        if not all(isinstance(row, dict) for row in rows):
            raise self.error(key, f"{key} must be an array of tables, [[{key}]]")
        return tuple(Table(row, self._where, self._text, key, nth) for nth, row in enumerate(rows))

    def numbers(self, *, low: int, high: int) -> dict[str, int]:
        """All of a table whose keys are free and whose values are whole numbers."""
        return {key: self.number(key, low=low, high=high) for key in self._values}

    def names(self) -> tuple[str, ...]:
        """Every key, for a table whose keys are the user's own."""
        return tuple(self._values)

    def values(self) -> dict[str, Any]:
        """Everything in the table as it stands, for somebody else to check."""
        self._asked.extend(self._values)
        return dict(self._values)

    def done(self) -> None:
        """Refuses keys that no getter has asked for, with the closest one that exists."""
        for key in self._values:
            if key not in self._asked:
                near = difflib.get_close_matches(key, self._asked, 1)
                remedy = f"did you mean {near[0]}?" if near else f"known: {', '.join(self._asked)}"
                raise self.error(key, f"unknown key {key!r}", remedy)

    @property
    def line(self) -> int:
        """Line of this table's header, 1 for the top of the file."""
        return self._find("")

    def error(self, key: str, what: str, remedy: str = "") -> ConfigError:
        """A ``ConfigError`` at the line of ``key``, or of this table where ``key`` is missing."""
        return ConfigError(what, where=self._where, line=self._find(key), remedy=remedy)

    def _get(self, key: str, default: object, kinds: tuple[type, ...], name: str) -> Any:
        self._asked.append(key)
        if key not in self._values:
            if default is None:
                table = f"[[{self._header}]]" if self._header else "the file"
                raise self.error("", f"{table} lacks {key}", f"add {key} = …")
            return default
        value = self._values[key]
        # Exact types: to isinstance a bool is an int, to people it is not.
        if type(value) not in kinds:
            raise self.error(key, f"{key} must be {name}")
        return value

    def _find(self, key: str) -> int:
        """The line of ``key`` in this table; of the table's header if the key is not found."""
        assigns = re.compile(rf"""\s*["']?{re.escape(key)}["']?\s*[=.]""") if key else None
        current, seen, found = "", {"": 0}, 1
        for number, line in enumerate(self._text.splitlines(), 1):
            header = _HEADER.match(line)
            if header:
                current = header[2]
                seen[current] = seen.get(current, -1) + 1
                if key and not self._header and current.split(".")[0] == key:
                    return number
            if current != self._header or seen[current] != self._nth:
                continue
            if header:
                found = number
            elif assigns and assigns.match(line):
                return number
        return found


def parse_toml(text: str, where: Path | str) -> Table:
    """The whole of a TOML text; ``where`` is what errors call it."""
    try:
        return Table(tomllib.loads(text), str(where), text)
    except tomllib.TOMLDecodeError as error:
        what, _, place = str(error).partition(" (at ")
        found = re.match(r"line (\d+)", place)
        line = int(found[1]) if found else max(1, len(text.splitlines()))
        raise ConfigError(f"not valid TOML: {what}", where=where, line=line) from None


def read_text(path: Path) -> str:
    """UTF-8 text of at most 1 MiB."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=path) from None
    if len(data) > MOST_BYTES:
        raise ConfigError(f"larger than {MOST_BYTES} bytes", where=path)
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ConfigError("not UTF-8 text", where=path, remedy="save it as UTF-8") from None


def toml_value(value: Value) -> str:
    """``value`` as TOML text. Strings are basic strings with everything unprintable escaped."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, str):
        return '"' + "".join(map(_escape, value)) + '"'
    if isinstance(value, Mapping):
        pairs = (f"{toml_value(key)} = {number}" for key, number in value.items())
        return "{" + ", ".join(pairs) + "}"
    return "[" + ", ".join(map(toml_value, value)) + "]"


def append_table(
    path: Path, name: str, values: Mapping[str, Value], check: Callable[[str], object]
) -> None:
    """Adds ``[[name]]`` with ``values`` at the end of ``path``; comments and order stay.

    ``check`` gets the new text and raises if it is not acceptable: nothing is written then.
    """
    lines = [f"[[{name}]]", *(f"{key} = {toml_value(value)}" for key, value in values.items())]
    old = read_text(path)
    new = old.rstrip("\n") + ("\n\n" if old.strip() else "") + "\n".join(lines) + "\n"
    check(new)
    write_atomic(path, new.encode(), mode=path.stat().st_mode & 0o777)


def write_atomic(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Readers see the old file or the new one, whole, also after a power cut."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


class Watched(Generic[T]):
    """What ``parse`` makes of a file, made again when the file has changed.

    A file that has become unreadable or wrong raises ``ConfigError`` at every :meth:`get`: what
    depends on it stays shut until it is mended.
    """

    def __init__(self, path: Path, parse: Callable[[str], T]) -> None:
        self._path, self._parse = path, parse
        self._stamp: tuple[int, int, int] | None = None
        self._value: T

    def get(self) -> T:
        stamp = file_stamp(self._path)
        if stamp is None or stamp != self._stamp:
            self._stamp = None
            self._value = self._parse(read_text(self._path))
            self._stamp = stamp
        return self._value


def file_stamp(path: Path) -> tuple[int, int, int] | None:
    """What changes whenever a file is written or replaced; ``None`` if it is not there."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _escape(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
