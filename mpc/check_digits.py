"""Check digits of published identifiers."""

from __future__ import annotations

import re
from typing import Final

_LEI: Final = re.compile(r"[0-9A-Z]{18}[0-9]{2}")
_BASE_36: Final = {ord(c): str(i) for i, c in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZ", start=10)}

_USCC_ALPHABET: Final = "0123456789ABCDEFGHJKLMNPQRTUWXY"  # without I, O, S, V, Z
_USCC: Final = re.compile(rf"[{_USCC_ALPHABET}]{{2}}[0-9]{{6}}[{_USCC_ALPHABET}]{{10}}")
_USCC_VALUE: Final = {c: i for i, c in enumerate(_USCC_ALPHABET)}
_USCC_WEIGHTS: Final = tuple(pow(3, i, 31) for i in range(17))


def has_lei_form(code: str) -> bool:
    """20 characters, the last two digits (ISO 17442-1:2020, section 5)."""
    return _LEI.fullmatch(code) is not None


def has_lei_check_digits(code: str) -> bool:
    """Whether a code of LEI form satisfies ISO 7064 MOD 97-10: letters A..Z stand for 10..35."""
    return int(code.translate(_BASE_36)) % 97 == 1


def has_uscc_form(code: str) -> bool:
    """18 characters of GB 32100-2015's alphabet of 31; the third to eighth are digits."""
    return _USCC.fullmatch(code) is not None


def has_uscc_check_character(code: str) -> bool:
    """Whether a code of USCC form has the check character of GB 32100-2015, annex A.

    It makes the sum of the characters' values, weighted 3^i mod 31, a multiple of 31.
    """
    body = sum(weight * _USCC_VALUE[c] for weight, c in zip(_USCC_WEIGHTS, code[:17], strict=True))
    return (body + _USCC_VALUE[code[17]]) % 31 == 0
