"""Published, versioned rules that decide when two spellings are the same identifier.

Parties match only what their normalisers made equal, so a plan fixes name and version
(``text/1``); whoever changes what a rule returns gives it the next version. A rule either
returns a non-empty string or says why this value identifies nothing: such rows are counted
and left out, never matched with one another.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from mpc.check_digits import (
    has_lei_check_digits,
    has_lei_form,
    has_uscc_check_character,
    has_uscc_form,
)
from mpc.company_names import company_name_key

MAX_BYTES: Final = 1024
"""A longer value (in UTF-8, before normalising) is no identifier: it is refused."""


class Reason(Enum):
    """Why a value identifies nothing. The words are public: they name no value."""

    EMPTY = "empty"
    TOO_LONG = "too-long"
    CONTROL = "control-character"
    NOT_A_CHARACTER = "not-a-character"
    FORM = "wrong-form"
    CHECK = "wrong-check-digits"


@dataclass(frozen=True)
class Normaliser:
    """A rule with its published name and version.

    Called with one value, it returns the normal form or the :class:`Reason` there is none.
    """

    name: str
    version: int
    rule: Callable[[str], str | Reason]

    @property
    def spec(self) -> str:
        """Name and version as a plan fixes them: ``text/1``."""
        return f"{self.name}/{self.version}"

    def __call__(self, value: str | None) -> str | Reason:
        if not value:
            return Reason.EMPTY
        if len(value) > MAX_BYTES or (
            not value.isascii() and len(value.encode("utf-8", "surrogatepass")) > MAX_BYTES
        ):
            return Reason.TOO_LONG
        return self.rule(value)

    def bulk(self, values: Iterable[str | None]) -> list[str | Reason]:
        """Every value's result, in order."""
        # Plain ASCII of fair length goes straight to the rule: half the time of the long way.
        rule = self.rule
        return [
            rule(value) if value and value.isascii() and len(value) <= MAX_BYTES else self(value)
            for value in values
        ]


# Default_Ignorable_Code_Point of Unicode's DerivedCoreProperties (unchanged since 5.2): what
# a screen does not show, such as U+200B ZERO WIDTH SPACE, U+00AD SOFT HYPHEN, U+FEFF.
_IGNORABLE: Final = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_WHITE_CONTROLS: Final = frozenset("\t\n\v\f\r\x85")
_SEPARATORS: Final = re.compile("[ ._/\u2010-\u2015\u2212-]")


def _fault(value: str) -> Reason | None:
    """A control character that is not white space, or a code point that is no character.

    Deleting either would make two values equal that their owners hold apart; code points this
    Python's Unicode does not know could be folded differently by a peer's.
    """
    if value.isprintable():
        return None
    for c in value:
        category = unicodedata.category(c)
        if category == "Cc" and c not in _WHITE_CONTROLS:
            return Reason.CONTROL
        if category in ("Cn", "Cs"):
            return Reason.NOT_A_CHARACTER
    return None


def _raw(value: str) -> str | Reason:
    if not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
        return Reason.NOT_A_CHARACTER
    return value.strip() or Reason.EMPTY


def _text(value: str) -> str | Reason:
    if value.isascii() and value.isprintable():  # nearly every identifier there is
        return " ".join(value.lower().split()) or Reason.EMPTY
    value = _IGNORABLE.sub("", value)
    fault = _fault(value)
    if fault is not None:
        return fault
    # NFKC_Casefold of the Unicode Standard, section 3.13; U+0345 needs the first step (D145).
    value = unicodedata.normalize("NFD", value).casefold()
    value = unicodedata.normalize("NFKC", value).casefold()
    return " ".join(unicodedata.normalize("NFKC", value).split()) or Reason.EMPTY


def _code(
    has_form: Callable[[str], bool], checks: Callable[[str], bool]
) -> Callable[[str], str | Reason]:
    def rule(value: str) -> str | Reason:
        text = _text(value)
        if isinstance(text, Reason):
            return text
        code = _SEPARATORS.sub("", text).upper()
        if not code:
            return Reason.EMPTY
        if not has_form(code):
            return Reason.FORM
        return code if checks(code) else Reason.CHECK

    return rule


def _name(value: str) -> str | Reason:
    value = _IGNORABLE.sub("", value)
    return _fault(value) or company_name_key(value) or Reason.EMPTY


CATALOGUE: Final = {
    normaliser.name: normaliser
    for normaliser in (
        Normaliser("raw", 1, _raw),
        Normaliser("text", 1, _text),
        Normaliser("uscc", 1, _code(has_uscc_form, has_uscc_check_character)),
        Normaliser("lei", 1, _code(has_lei_form, has_lei_check_digits)),
        Normaliser("name", 1, _name),
    )
}
"""Every published rule by its name: surrounding white space only; NFKC, case folded, inner
white space collapsed, invisible characters removed; China's unified social credit code and
the legal entity identifier, separators removed and check digits verified; company names."""


def key_rule(spec: str, columns: int) -> tuple[Normaliser, ...]:
    """The normaliser of each key column, from ``text``, ``text/1`` or one a column: ``lei,text``.

    Raises ``ValueError``, in words for the owner, for an unknown name, a version this build
    does not have, or a list that is not as long as the key.
    """
    words = [word.strip() for word in spec.split(",")]
    if len(words) == 1:
        words *= columns
    if len(words) != columns:
        raise ValueError(f"{len(words)} normalisers for {columns} key columns")
    rule = []
    for word in words:
        name, _, version = word.partition("/")
        normaliser = CATALOGUE.get(name)
        if normaliser is None:
            raise ValueError(f"unknown normaliser {name!r}; there are {', '.join(CATALOGUE)}")
        if version not in ("", str(normaliser.version)):
            raise ValueError(f"normaliser {word!r} is not in this build, {normaliser.spec} is")
        rule.append(normaliser)
    return tuple(rule)
