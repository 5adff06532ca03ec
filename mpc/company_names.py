"""Company names as join keys: the same company, spelt as different ledgers spell it."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_ACCENTS: Final = re.compile("[\u0300-\u036f]")
_DELETED: Final = re.compile("['`.\u2018\u2019]")
_ASCII_GAP: Final = re.compile(r"[\W_]+", re.ASCII)
_LEGAL_FORMS: Final = {
    "PUBLIC LIMITED COMPANY": "PLC",
    "P L C": "PLC",
    "COMMUNITY INTEREST COMPANY": "CIC",
    "C I C": "CIC",
    "LIMITED LIABILITY PARTNERSHIP": "LLP",
    "LIMITED LIABILITY COMPANY": "LLC",
    "LIMITED": "LTD",
    "COMPANY": "CO",
}
_LEGAL_FORM: Final = re.compile(rf"\b(?:{'|'.join(_LEGAL_FORMS)})\b")
_TAIL: Final = re.compile(r"(?<= LTD| PLC| LLP| CIC) .*")


def company_name_key(name: str) -> str:
    """``name`` as a join key; empty where it has no letter and no digit.

    1. Compatibility forms unified, accents (U+0300 to U+036F) dropped, upper case.
    2. ``&`` is AND; apostrophes (also typographic ones, and the grave accent) and full stops
       vanish; any other run of characters that are neither letters, digits nor marks is one
       space.
    3. Legal forms are abbreviated (PUBLIC LIMITED COMPANY and P L C are PLC, and so on).
    4. A leading THE goes; so does all that follows the first LTD, PLC, LLP or CIC
       ("trading as ...", "in liquidation").

    Letters of every script count: a rule of A to Z alone would call two Chinese names equal.
    """
    if not name.isascii():
        bare = _ACCENTS.sub("", unicodedata.normalize("NFKD", name))
        name = unicodedata.normalize("NFC", bare)
    name = _DELETED.sub("", name.upper().replace("&", " AND "))
    if name.isascii():
        name = _ASCII_GAP.sub(" ", name).strip()
    else:
        name = " ".join("".join(c if _is_word(c) else " " for c in name).split())
    name = _LEGAL_FORM.sub(lambda form: _LEGAL_FORMS[form[0]], name)
    return _TAIL.sub("", name.removeprefix("THE "))


def _is_word(c: str) -> bool:
    return c.isalnum() or unicodedata.category(c).startswith("M")
