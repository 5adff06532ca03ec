"""What a node's owner sets: node.toml and datasets.toml."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from parties.errors import ConfigError
from parties.tomlfile import Table, Value, append_table, parse_toml, read_text
from protocols.frames import MOST_WINDOW, WINDOW

PARTY_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,38}")
# Words that mean something else wherever a party can be named.
RESERVED_NAMES: Final = ("any", "both", "me")
DATASET_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
NORMALIZERS: Final = ("raw", "text", "name", "uscc", "lei")
LOG_LEVELS: Final = ("debug", "info", "warning", "error")
_NAME_HINT = "1 to 39 of a-z, 0-9 and -, not starting with -"
_HOST_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")

NODE_TOML: Final = """\
# Settings of this party's node. A change takes effect at the next `node serve`.
name = {name}
listen = {listen}
# Where partners reach this node, if not at `listen` (behind NAT, or listening on 0.0.0.0).
# The party card carries it: hand out a new card after a change.
{advertise}
# Worker processes for heavy computation; 0 means one for each processor.
workers = 0
log_level = "info"          # debug, info, warning, error

[limits]
window = 8                  # messages in flight on each lane, 1 to 16
handshake_seconds = 30      # for partners to answer while a session is agreed
idle_seconds = 300          # a session in which nobody says anything ends after this
job_seconds = 21600         # no session lasts longer
sessions = 8                # sessions at a time, half of them for one querier; more are refused
"""

DATASETS_TOML: Final = """\
# Datasets that plans can name. `jointcredit data add` appends here.
# Being listed shows nothing to anybody: policy.toml decides who may use what.
#
# [[dataset]]
# name = "ledger"
# source = "ledger.csv"     # CSV, .csv.gz, Parquet (relative to this file), or a database URL
# keys = ["supplier"]       # columns that identify a row
# normalizer = "name"       # raw, text, name, uscc, lei; one for each key: "lei,text"
# columns = ["amount"]      # the only columns that plans may use
# decimals = {amount = 2}   # digits after the point in amounts
# delimiter = ";"           # in CSV, if not a comma
# query = "select …"        # for a database URL
"""


@dataclass(frozen=True)
class Limits:
    """``window`` in messages; the rest in seconds, ``sessions`` in sessions at a time."""

    window: int = WINDOW
    handshake_seconds: int = 30
    idle_seconds: int = 300
    job_seconds: int = 21600
    sessions: int = 8


@dataclass(frozen=True)
class Settings:
    """node.toml. ``listen`` and ``endpoint`` are HOST:PORT; partners connect to ``endpoint``."""

    name: str
    listen: str
    endpoint: str
    workers: int
    log_level: str
    limits: Limits


@dataclass(frozen=True)
class DatasetEntry:
    """One table of datasets.toml. ``source`` is as written; see :meth:`location`.

    ``columns`` are those that plans may use, ``None`` for all. ``normalizer`` is one for all keys,
    or one for each with commas between. ``decimals`` gives the scale of amount columns.
    """

    name: str
    source: str
    keys: tuple[str, ...]
    normalizer: str = "text"
    columns: tuple[str, ...] | None = None
    query: str | None = None
    decimals: Mapping[str, int] = field(default_factory=dict, hash=False)
    delimiter: str = ","

    @property
    def is_database(self) -> bool:
        return "://" in self.source

    def location(self, directory: Path) -> str:
        """The source with a relative file name resolved against the node's ``directory``."""
        return self.source if self.is_database else str(directory / self.source)


def check_name(name: str) -> str:
    """``name`` if it can name a party or an operator, else ``ConfigError``."""
    if not PARTY_NAME.fullmatch(name):
        raise ConfigError("not a valid name", remedy=f"a name has {_NAME_HINT}")
    if name in RESERVED_NAMES:
        raise ConfigError(f"{name} is a reserved word", remedy="choose another name")
    return name


def parse_endpoint(endpoint: str) -> tuple[str, int]:
    """Host and port of ``HOST:PORT`` or ``[IPV6]:PORT``; raises ``ConfigError``."""
    host, colon, port = endpoint.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    literal = host == f"[{bare}]"
    if not (colon and re.fullmatch(r"[1-9][0-9]{0,4}", port) and int(port) < 1 << 16):
        raise ConfigError("an address is HOST:PORT", remedy="such as 127.0.0.1:7001")
    if literal:
        try:
            ipaddress.IPv6Address(bare)
        except ValueError:
            raise ConfigError("not an IPv6 address", remedy="such as [::1]:7001") from None
    elif len(host) > 253 or not all(map(_HOST_LABEL.fullmatch, host.split("."))):
        raise ConfigError("not a host name", remedy="such as 127.0.0.1:7001 or [::1]:7001")
    return bare, int(port)


def is_wildcard(endpoint: str) -> bool:
    """Whether it means every address of this machine, and so none that partners could call."""
    return parse_endpoint(endpoint)[0] in ("0.0.0.0", "::")


def parse_settings(text: str, where: Path | str = "node.toml") -> Settings:
    """Raises ``ConfigError`` with the line."""
    top = parse_toml(text, where)
    name = top.text("name", form=PARTY_NAME, hint=f"a name has {_NAME_HINT}")
    listen = _endpoint(top, "listen", top.text("listen"))
    endpoint = _endpoint(top, "advertise", top.text("advertise", listen))
    if is_wildcard(endpoint):
        raise top.error(
            "advertise" if top.has("advertise") else "listen",
            f"partners cannot call {endpoint}",
            'add advertise = "HOST:PORT" with the address they can reach',
        )
    limits = top.table("limits")
    settings = Settings(
        name=name,
        listen=listen,
        endpoint=endpoint,
        workers=top.number("workers", 0, low=0, high=4096) or os.cpu_count() or 1,
        log_level=_choice(top, "log_level", "info", LOG_LEVELS),
        limits=Limits(
            window=limits.number("window", Limits.window, low=1, high=MOST_WINDOW),
            handshake_seconds=_seconds(limits, "handshake_seconds", Limits.handshake_seconds),
            idle_seconds=_seconds(limits, "idle_seconds", Limits.idle_seconds),
            job_seconds=_seconds(limits, "job_seconds", Limits.job_seconds),
            sessions=limits.number("sessions", Limits.sessions, low=1, high=1024),
        ),
    )
    limits.done()
    top.done()
    return settings


def read_settings(path: Path) -> Settings:
    return parse_settings(read_text(path), path)


def parse_datasets(text: str, where: Path | str = "datasets.toml") -> dict[str, DatasetEntry]:
    """The datasets by name, in the file's order; raises ``ConfigError`` with the line."""
    top = parse_toml(text, where)
    datasets: dict[str, DatasetEntry] = {}
    for table in top.tables("dataset"):
        dataset = _dataset(table)
        if dataset.name in datasets:
            raise table.error("name", f"dataset {dataset.name!r} is there twice")
        datasets[dataset.name] = dataset
    top.done()
    return datasets


def read_datasets(path: Path) -> dict[str, DatasetEntry]:
    return parse_datasets(read_text(path), path)


def add_dataset(path: Path, dataset: DatasetEntry) -> None:
    """Appends ``dataset`` to datasets.toml; a wrong or second entry raises ``ConfigError``."""
    values: dict[str, Value] = {
        "name": dataset.name,
        "source": dataset.source,
        "keys": dataset.keys,
        "normalizer": dataset.normalizer,
    }
    if dataset.columns is not None:
        values["columns"] = dataset.columns
    if dataset.decimals:
        values["decimals"] = dataset.decimals
    if dataset.delimiter != ",":
        values["delimiter"] = dataset.delimiter
    if dataset.query is not None:
        values["query"] = dataset.query
    append_table(path, "dataset", values, lambda text: parse_datasets(text, path))


def _dataset(table: Table) -> DatasetEntry:
    dataset = DatasetEntry(
        name=table.text("name", form=DATASET_NAME, hint="1 to 64 of A-Z, a-z, 0-9, _ . -"),
        source=table.text("source"),
        keys=table.texts("keys"),
        normalizer=table.text("normalizer", "text"),
        columns=table.texts("columns") if table.has("columns") else None,
        query=table.prose("query") if table.has("query") else None,
        decimals=table.table("decimals").numbers(low=0, high=18),
        delimiter=table.prose("delimiter") if table.has("delimiter") else ",",
    )
    table.done()
    if not dataset.keys:
        raise table.error("keys", "keys must name at least one column")
    normalizers = dataset.normalizer.split(",")
    if len(normalizers) not in (1, len(dataset.keys)) or not set(normalizers) <= set(NORMALIZERS):
        raise table.error(
            "normalizer",
            f"normalizer is not one of {', '.join(NORMALIZERS)}",
            "for several keys, one for all or one for each, with commas between",
        )
    if len(dataset.delimiter) != 1 or dataset.delimiter in '"\n':
        raise table.error("delimiter", "delimiter must be one character")
    if dataset.is_database and dataset.query is None:
        raise table.error("source", "a database needs a query", 'add query = "select …"')
    if dataset.query is not None and not dataset.is_database:
        raise table.error("query", "query is for database URLs only", "remove it")
    return dataset


def _choice(table: Table, key: str, default: str, choices: tuple[str, ...]) -> str:
    value = table.text(key, default)
    if value not in choices:
        raise table.error(key, f"{key} is none of {', '.join(choices)}")
    return value


def _seconds(table: Table, key: str, default: int) -> int:
    return table.number(key, default, low=1, high=30 * 86400)


def _endpoint(table: Table, key: str, value: str) -> str:
    try:
        parse_endpoint(value)
    except ConfigError as error:
        raise table.error(key, f"{key}: {error.what}", error.remedy) from None
    return value
