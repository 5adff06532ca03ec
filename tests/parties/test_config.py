"""node.toml and datasets.toml: read strictly, errors with a line, comments kept."""

from __future__ import annotations

import datetime
import os
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parties.config import (
    DATASETS_TOML,
    NODE_TOML,
    DatasetEntry,
    Limits,
    add_dataset,
    parse_datasets,
    parse_endpoint,
    parse_settings,
    read_datasets,
)
from parties.errors import ConfigError
from parties.tomlfile import Watched, append_table, parse_toml, toml_value

NODE = 'name = "bank-a"\nlisten = "127.0.0.1:7001"\n'
LEDGER = DatasetEntry("ledger", "ledger.csv", ("supplier",), "name", ("amount",))


def test_defaults() -> None:
    settings = parse_settings(NODE)
    assert settings.limits == Limits(8, 30, 300, 21600, 8)
    assert settings.endpoint == settings.listen == "127.0.0.1:7001"
    assert settings.workers == os.cpu_count() and settings.log_level == "info"


def test_the_template_says_what_the_defaults_are() -> None:
    text = NODE_TOML.format(name='"bank-a"', listen='"127.0.0.1:7001"', advertise="")
    assert parse_settings(text) == parse_settings(NODE)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('name = "a"\nlisten = ', r"line 2: not valid TOML: Invalid value$"),
        (NODE + "a b\n", r"line 3: not valid TOML: Expected"),
        (NODE + 'lisen = "x"\n', r"node\.toml, line 3: unknown key 'lisen'; did you mean listen\?"),
        (NODE + "[limit]\n", r"line 3: unknown key 'limit'; did you mean limits\?"),
        (NODE + "[limits]\n\nwindows = 2\n", r"line 5: unknown key 'windows'; did you mean window"),
        (NODE + "[limits]\nwindow = 17\n", r"line 4: window must be from 1 to 16"),
        (NODE + "[limits]\nwindow = true\n", r"line 4: window must be a whole number"),
        (NODE + "[limits]\nwindow = 16.0\n", r"line 4: window must be a whole number"),
        (NODE + "limits = 3\n", r"line 3: limits must be a table"),
        (NODE + "workers = -1\n", r"line 3: workers must be from 0"),
        (NODE + 'log_level = "loud"\n', r"line 3: log_level is none of debug, info"),
        ('listen = "127.0.0.1:7001"\n', r"the file lacks name; add name ="),
        ('name = "Bank"\nlisten = "127.0.0.1:7001"\n', r"line 1: name is not valid; a name has"),
        ('name = 7\nlisten = "127.0.0.1:7001"\n', r"line 1: name must be a string"),
        ('name = "a"\nlisten = "7001"\n', r"line 2: listen: an address is HOST:PORT"),
        ('name = "a"\nlisten = "0.0.0.0:7001"\n', r"line 2: partners cannot call .*advertise"),
        (NODE + 'advertise = "[::]:1"\n', r"line 3: partners cannot call"),
        (NODE + 'advertise = ""\n', r"line 3: advertise must be printable and not empty"),
        ('name = "a\\u0000"\nlisten = "127.0.0.1:7001"\n', r"line 1: name must be printable"),
    ],
)
def test_errors_name_the_line_and_the_remedy(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        parse_settings(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("a.example:1", "a.example", 1), ("10.0.0.1:65535", "10.0.0.1", 65535), ("[::1]:7", "::1", 7)],
)
def test_endpoints(text: str, host: str, port: int) -> None:
    assert parse_endpoint(text) == (host, port)


@pytest.mark.parametrize(
    "text",
    ["", ":1", "a", "a:", "a:0", "a:01", "a:65536", "a:1 ", "a b:1", "::1:7", "[a]:1", "[::1:1",
     "a..b:1", "-a:1", "a/b:1", "unix:1:1", "a:٣", "a" * 64 + ":1", "a:1\n"],
)
def test_what_is_no_endpoint(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_endpoint(text)


def test_datasets_are_appended_below_the_comments(tmp_path: Path) -> None:
    path = tmp_path / "datasets.toml"
    path.write_text(DATASETS_TOML)
    path.chmod(0o640)
    odd = DatasetEntry(
        "odd-1", 'a "quoted"\\ name\u200b.csv', ("k 1", "k2"), "lei,text", None, None,
        {"net amount": 2}, "\t",
    )
    base = DatasetEntry("base", "postgresql://db/x", ("id",), query="select *\nfrom t")
    for dataset in (LEDGER, odd, base):
        if dataset is odd:
            continue
        add_dataset(path, dataset)
    assert read_datasets(path) == {"ledger": LEDGER, "base": base}
    assert path.read_text().startswith(DATASETS_TOML.rstrip())
    assert path.stat().st_mode & 0o777 == 0o640
    # A zero-width space in a file name is a mistake more often than not.
    with pytest.raises(ConfigError, match="source must be printable"):
        add_dataset(path, odd)
    odd = replace(odd, source='a "quoted"\\ name.csv')
    add_dataset(path, odd)
    assert read_datasets(path)["odd-1"] == odd
    assert read_datasets(path)["odd-1"].decimals == {"net amount": 2}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["datasets.toml"]


def test_a_refused_dataset_leaves_the_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "datasets.toml"
    add_to = 'mine = "x"\n'
    path.write_text("")
    add_dataset(path, LEDGER)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="'ledger' is there twice"):
        add_dataset(path, LEDGER)
    with pytest.raises(ConfigError, match="cannot be read"):
        add_dataset(tmp_path / "missing.toml", LEDGER)
    assert path.read_bytes() == before
    path.write_text(add_to)
    with pytest.raises(ConfigError, match="line 1: unknown key 'mine'"):
        add_dataset(path, LEDGER)
    assert path.read_text() == add_to


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('keys = []', "line 4: keys must name at least one column"),
        ('keys = ["a", "a"]', "line 4: keys names one thing twice"),
        ('keys = "a"', "line 4: keys must be a list of strings"),
        ('keys = [1]', "line 4: keys must be a list of printable strings"),
        ('keys = ["a"]\nnormaliser = "text"', "line 5: .*did you mean normalizer"),
        ('keys = ["a"]\nnormalizer = "upper"', "line 5: normalizer is not one of raw"),
        ('keys = ["a"]\nnormalizer = "lei,text"', "line 5: .*one for each"),
        ('keys = ["a"]\nquery = "select 1"', "line 5: query is for database URLs only"),
        ('keys = ["a"]\ndelimiter = ";;"', "line 5: delimiter must be one character"),
        ('keys = ["a"]\ndecimals = {b = 19}', "b must be from 0 to 18"),
        ('columns = ["a"]', r"line 1: \[\[dataset\]\] lacks keys"),
    ],
)
def test_dataset_errors(lines: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_datasets(f'[[dataset]]\nname = "x"\nsource = "x.csv"\n{lines}\n')


def test_errors_find_the_right_one_of_several_tables() -> None:
    good = '[[dataset]]\nname = "{}"\nsource = "x.csv"\nkeys = ["k"]\n\n'
    text = good.format("a") + good.format("b") + good.format("c").replace("keys", "key")
    with pytest.raises(ConfigError, match=r"line 11: \[\[dataset\]\] lacks keys"):
        parse_datasets(text)
    with pytest.raises(ConfigError, match="line 7: dataset 'a' is there twice"):
        parse_datasets(good.format("a") * 2)


def test_a_database_needs_a_query_and_errors_keep_its_password() -> None:
    text = '[[dataset]]\nname = "x"\nsource = "postgresql://u:canary@db/x"\nkeys = ["k"]\n'
    with pytest.raises(ConfigError, match="line 3: a database needs a query") as caught:
        parse_datasets(text)
    assert "canary" not in str(caught.value)


def test_relative_sources_are_relative_to_the_node(tmp_path: Path) -> None:
    assert LEDGER.location(tmp_path) == str(tmp_path / "ledger.csv")
    assert replace(LEDGER, source="/data/x.csv").location(tmp_path) == "/data/x.csv"
    url = "postgresql://db/x"
    assert replace(LEDGER, source=url).location(tmp_path) == url


TEXT = st.text(st.characters(exclude_categories=["Cs"]))
DATES = st.dates(min_value=datetime.date(1, 1, 1))


@settings(deadline=None)
@given(
    st.one_of(TEXT, st.integers(-(2**63), 2**63 - 1), st.booleans(), DATES, st.lists(TEXT),
              st.dictionaries(TEXT, st.integers(0, 18)))
)
def test_what_is_written_is_read_back(value: Any) -> None:
    assert tomllib.loads(f"x = {toml_value(value)}\n") == {"x": value}


def test_a_watched_file_is_read_when_it_changes_and_shut_when_it_breaks(tmp_path: Path) -> None:
    path, reads = tmp_path / "x.toml", []

    def parse(text: str) -> int:
        reads.append(text)
        table = parse_toml(text, path)
        return table.number("x", low=0, high=9)

    watched = Watched(path, parse)
    with pytest.raises(ConfigError):
        watched.get()
    path.write_text("x = 1\n")
    assert (watched.get(), watched.get(), len(reads)) == (1, 1, 1)
    path.write_text("x = 10\n")
    for _ in range(2):
        with pytest.raises(ConfigError):
            watched.get()
    path.write_text("x = 222222\n"[:5] + "\n")
    assert watched.get() == 2
    path.unlink()
    with pytest.raises(ConfigError):
        watched.get()


def test_append_to_a_file_without_a_final_newline(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text("a = 1 # kept")
    append_table(path, "t", {"b": 2}, lambda text: None)
    assert path.read_text() == "a = 1 # kept\n\n[[t]]\nb = 2\n"
    assert tomllib.loads(path.read_text()) == {"a": 1, "t": [{"b": 2}]}
