"""Which spellings are one identifier, which are none, and why."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpc.normalise import CATALOGUE, MAX_BYTES, Reason, key_rule

RAW, TEXT, USCC, LEI, NAME = (CATALOGUE[n] for n in ("raw", "text", "uscc", "lei", "name"))
NAMES = json.loads((Path(__file__).parents[1] / "vectors" / "company_names.json").read_text())

# GLEIF LEI data (CC0) and the US Treasury's OFAC SDN list of 2022-12-28 (public domain).
REAL_LEI = ["254900SKQMMJM2GK4H56", "213800J1GZ9DZNQKEE26", "894500PH7F5LZQNYPE67"]
REAL_USCC = ["91222401MA0Y31E659", "9111000010000106X1", "914102007425224065"]


def test_catalogue_is_published_with_versions() -> None:
    assert {n.spec for n in CATALOGUE.values()} == {
        "raw/1", "text/1", "uscc/1", "lei/1", "name/1"
    }  # fmt: skip


@pytest.mark.parametrize(
    "spelling",
    [
        "ＡＢ１２３",  # full-width
        "ab123",
        "  Ab123\t",
        "ab123\u00a0",  # NBSP around
        "ab\u200b123",  # ZERO WIDTH SPACE
        "\ufeffab123",  # byte order mark
        "a\u00adb123",  # SOFT HYPHEN
        "ab\u2060123\u200d",
        "ab①②③",  # circled digits
    ],
)
def test_text_unifies(spelling: str) -> None:
    assert TEXT(spelling) == "ab123"


def test_text_on_composed_and_decomposed_accents() -> None:
    word = "Café Ångström"
    assert TEXT(unicodedata.normalize("NFC", word)) == TEXT(unicodedata.normalize("NFD", word))
    assert TEXT("STRASSE") == TEXT("straße")
    assert TEXT("ΣΊΣΥΦΟΣ") == TEXT("σίσυφος")


@pytest.mark.parametrize("space", [" ", "  ", "\u00a0", "\u3000", "\t\n", "\r\n", "\u2003 "])
def test_text_collapses_inner_white_space(space: str) -> None:
    assert TEXT(f"a{space}b") == "a b"
    assert TEXT("ab") != TEXT("a b")


@pytest.mark.parametrize("normaliser", CATALOGUE.values(), ids=lambda n: n.name)
@pytest.mark.parametrize("value", [None, "", " ", "\t \n", "\u00a0"])
def test_nothing_is_empty(normaliser, value: str | None) -> None:
    assert normaliser(value) is Reason.EMPTY


@pytest.mark.parametrize("normaliser", [TEXT, USCC, LEI, NAME], ids=lambda n: n.name)
def test_invisible_alone_is_empty(normaliser) -> None:
    assert normaliser("\u200b\ufeff \u00ad") is Reason.EMPTY


@pytest.mark.parametrize("normaliser", CATALOGUE.values(), ids=lambda n: n.name)
def test_length_is_bounded(normaliser) -> None:
    assert normaliser("x" * (1 << 20)) is Reason.TOO_LONG
    assert normaliser("x" * (MAX_BYTES + 1)) is Reason.TOO_LONG
    assert normaliser("中" * (MAX_BYTES // 3 + 1)) is Reason.TOO_LONG
    assert normaliser(" " * MAX_BYTES) is Reason.EMPTY
    assert normaliser("7" * MAX_BYTES) is not Reason.TOO_LONG


@pytest.mark.parametrize("control", ["\0", "\x1a", "\x1c", "\x7f", "\x9f"])
def test_control_characters_are_refused_not_dropped(control: str) -> None:
    assert TEXT(f"AB{control}C") is Reason.CONTROL
    assert NAME(f"AB{control}C LTD") is Reason.CONTROL
    assert LEI(REAL_LEI[0] + control) is Reason.CONTROL
    assert RAW(f"AB{control}C") == f"AB{control}C"  # raw promises to touch nothing inside


@pytest.mark.parametrize("value", ["a\ud800", "a\uffff", "a\U0010fffe", "a\u0378"])
def test_what_is_no_character_is_refused(value: str) -> None:
    assert TEXT(value) is Reason.NOT_A_CHARACTER
    assert NAME(value) is Reason.NOT_A_CHARACTER


def test_raw_touches_only_the_ends() -> None:
    assert RAW(" 007 Ａ ") == "007 Ａ"
    assert RAW("\udc80") is Reason.NOT_A_CHARACTER


def test_text_is_idempotent_on_every_code_point() -> None:
    for point in range(0x110000):
        once = TEXT(chr(point))
        assert isinstance(once, Reason) or TEXT(once) == once, hex(point)


@given(st.text(max_size=60))
def test_text_is_idempotent_and_blind_to_form(value: str) -> None:
    once = TEXT(value)
    if isinstance(once, str):
        assert TEXT(once) == once
        assert once == " ".join(once.split())
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert TEXT(unicodedata.normalize(form, value)) == once


@given(st.text(st.characters(max_codepoint=0x7F), max_size=60))
def test_the_ascii_shortcut_changes_nothing(value: str) -> None:
    # An invisible character forces the long way round.
    assert TEXT(value) == TEXT("\u200b" + value)


@given(st.lists(st.one_of(st.none(), st.text(max_size=20))))
def test_bulk_is_one_by_one(values: list[str | None]) -> None:
    for normaliser in CATALOGUE.values():
        assert normaliser.bulk(values) == [normaliser(value) for value in values]


@pytest.mark.parametrize("code", REAL_LEI)
def test_lei(code: str) -> None:
    assert LEI(code) == code
    assert LEI(f" {code[:4].lower()}-{code[4:10]} {code[10:]}.") == code
    assert LEI("".join(chr(ord(c) + 0xFEE0) for c in code)) == code  # full-width
    assert LEI(code[:-1]) is Reason.FORM
    assert LEI(code + "0") is Reason.FORM
    swapped = code[:2] + code[3] + code[2] + code[4:]
    assert swapped != code and LEI(swapped) is Reason.CHECK
    assert LEI(code[:-2] + "K1") is Reason.FORM  # check digits are digits


@pytest.mark.parametrize("code", REAL_USCC)
def test_uscc(code: str) -> None:
    assert USCC(code) == code
    assert USCC(f"{code[:8].lower()} {code[8:]}\u200b") == code
    assert USCC(code[:-1]) is Reason.FORM
    assert USCC("I" + code[1:]) is Reason.FORM  # not in GB 32100's alphabet


@pytest.mark.parametrize("normaliser, code", [(LEI, REAL_LEI[0]), (USCC, REAL_USCC[0])])
def test_every_single_digit_error_is_found(normaliser, code: str) -> None:
    for position, c in enumerate(code):
        for other in "0123456789":
            if other != c and c.isdigit():
                wrong = code[:position] + other + code[position + 1 :]
                assert normaliser(wrong) is Reason.CHECK


@pytest.mark.parametrize("case", NAMES["tests"], ids=lambda case: f"tc{case['tcId']}")
def test_company_names_of_real_ledgers(case: dict[str, str]) -> None:
    assert NAME(case["name"]) == case["key"]


@pytest.mark.parametrize(
    "one, other",
    [
        ("The O'Brien & Sons Company Limited", "OBRIEN AND SONS CO. LTD"),
        ("Acme Public Limited Company", "ACME P.L.C. (in administration)"),
        ("Café\u00a0Noir Ltd", "CAFE NOIR LIMITED T/A Blackbird"),
        ("O’Neill LLP", "O'Neill Limited Liability Partnership"),
        ("ＡＢＣ　Ltd", "abc ltd"),
    ],
)
def test_names_that_are_one_company(one: str, other: str) -> None:
    assert NAME(one) == NAME(other)


@pytest.mark.parametrize(
    "one, other",
    [
        ("中国石油 LTD", "中国石化 LTD"),  # a rule of A to Z would call both LTD
        ("ガス株式会社", "カス株式会社"),  # a voicing mark is no accent
        ("किरण LTD", "करण LTD"),  # nor is a vowel sign
        ("Theta Ltd", "ta Ltd"),
        ("Ltdx Holdings A", "Ltdx Holdings B"),
    ],
)
def test_names_that_are_two_companies(one: str, other: str) -> None:
    assert NAME(one) != NAME(other)


def test_key_rule() -> None:
    assert key_rule("text", 2) == (TEXT, TEXT)
    assert key_rule("lei/1, text", 2) == (LEI, TEXT)
    with pytest.raises(ValueError, match="unknown normaliser 'txt'; there are raw, text"):
        key_rule("txt", 1)
    with pytest.raises(ValueError, match="'text/2' is not in this build, text/1 is"):
        key_rule("text/2", 1)
    with pytest.raises(ValueError, match="2 normalisers for 3 key columns"):
        key_rule("lei,text", 3)
