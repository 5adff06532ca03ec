"""``jointcredit data``: the datasets that plans can name."""

from __future__ import annotations

import difflib
from dataclasses import asdict
from pathlib import Path

import click

from parties.cli import options, ui
from parties.cli.options import example
from parties.config import NORMALIZERS, DatasetEntry, add_dataset, read_datasets
from parties.data_check import check as check_dataset
from parties.data_errors import DataError
from parties.datasets import Description, describe
from parties.errors import ConfigError
from parties.home import Home
from parties.sources import open_dataset


@click.group("data", epilog=example("jointcredit data check acme ledger"))
def group() -> None:
    """Our datasets, and those partners offer us."""


@group.command(
    epilog=example("jointcredit data add acme ledger ap.csv --key supplier --normalize name")
)
@options.directory
@click.argument("name")
@click.argument("source")
@click.option("--key", "keys", metavar="COLUMN", multiple=True, required=True,
              help="A column that identifies a row; several where one does not.")  # fmt: skip
@click.option("--normalize", "normalizer", metavar="RULE", default="text", show_default=True,
              help=f"How identifiers are made alike: {', '.join(NORMALIZERS)}; for several keys "
              "one for all, or one for each with commas between.")  # fmt: skip
@click.option("--columns", metavar="A,B", help="The only other columns that plans may use.")
@click.option("--decimals", metavar="COLUMN=N", multiple=True,
              help="An amount column's digits after the point; 0 for one in pence.")  # fmt: skip
@click.option("--delimiter", default=",", help="Between the cells of a CSV, if not a comma.")
def add(
    directory: Path,
    name: str,
    source: str,
    keys: tuple[str, ...],
    normalizer: str,
    columns: str | None,
    decimals: tuple[str, ...],
    delimiter: str,
) -> None:
    """Add SOURCE, a .csv, .csv.gz or .parquet file, as dataset NAME.

    The file stays where it is and is read when a plan needs it. Being listed shows nothing to
    anybody: see `jointcredit policy allow`.
    """
    home = Home.open(directory)
    if "://" in source:
        raise ConfigError("databases are not supported", where=source, remedy="export a file")
    entry = DatasetEntry(
        name=name,
        source=str(Path(source).resolve()),
        keys=keys,
        normalizer=normalizer,
        columns=None if columns is None else options.words(columns),
        decimals=dict(map(_decimals, decimals)),
        delimiter={"\\t": "\t", "tab": "\t"}.get(delimiter, delimiter),
    )
    facts = describe(open_dataset(entry, home.directory))
    _check_columns(entry, facts)
    add_dataset(home.datasets_toml, entry)
    ui.say(f"added {name}: {facts.rows:,} rows, keys {', '.join(keys)} ({normalizer})")


def _decimals(text: str) -> tuple[str, int]:
    column, equals, digits = text.rpartition("=")
    if not (equals and column and digits.isascii() and digits.isdigit()):
        raise click.UsageError(f"--decimals takes COLUMN=N, such as amount=2, not {text!r}.")
    return column, int(digits)


def _check_columns(entry: DatasetEntry, facts: Description) -> None:
    there = [column.name for column in facts.columns]
    for column in (*entry.keys, *(entry.columns or ()), *entry.decimals):
        if column not in there:
            remedy = suggestion(column, there)
            if len(there) == 1:
                remedy = f"the header has one column: is {entry.delimiter!r} the delimiter?"
            raise ConfigError(f"no column {column!r}", where=entry.source, remedy=remedy)


def suggestion(name: str, known: list[str]) -> str:
    """The nearest of ``known`` names, or all of them."""
    near = difflib.get_close_matches(name, known, 1)
    return f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known) or 'none'}"


def find_entry(home: Home, name: str) -> DatasetEntry:
    """The dataset of that name; ``ConfigError`` with the nearest there is."""
    entries = read_datasets(home.datasets_toml)
    if name not in entries:
        remedy = suggestion(name, list(entries)) if entries else "add it: jointcredit data add"
        raise ConfigError(f"no dataset {name!r}", where=home.datasets_toml, remedy=remedy)
    return entries[name]


@group.command("list", epilog=example("jointcredit data list bank --with acme"))
@options.directory
@click.option("--with", "party", metavar="PARTY", help="A partner's, as far as it lets us see.")
@options.signing
@options.as_json
def list_(
    directory: Path,
    party: str | None,
    operator: str | None,
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """Our own datasets, or what a partner offers us (then our node must be running)."""
    home = Home.open(directory)
    if party is None:
        columns: tuple[str, ...] = ("name", "source", "keys", "normalizer", "columns")
        rows: list[tuple[object, ...]] = [
            (each.name, each.source, each.keys, each.normalizer, each.columns or ("all",))
            for each in read_datasets(home.datasets_toml).values()
        ]
    else:
        with options.connect(directory, operator, passphrase_file) as client:
            offered = client.partner(party).datasets
        columns = ("name", "keys", "normalizer", "columns", "max_rows", "protocols")
        rows = [
            (each.name, tuple(each.keys), each.normalizer, tuple(each.columns), each.max_rows,
             tuple(each.protocols))
            for each in offered
        ]  # fmt: skip
    if as_json:
        ui.show_json([dict(zip(columns, row, strict=True)) for row in rows])
    elif rows:
        ui.show_table(columns, rows)
    else:
        ui.note(f"{party} offers us no dataset" if party else "no datasets yet: see data add")


@group.command(epilog=example("jointcredit data check acme ledger"))
@options.directory
@click.argument("name")
@click.option("--ranges", is_flag=True, help="Show each numeric column's least and greatest cell.")
@options.as_json
def check(directory: Path, name: str, ranges: bool, as_json: bool) -> None:
    """Read all of dataset NAME and count: rows, duplicates, empty and invalid identifiers.

    No cell of the data is shown without --ranges.
    """
    home = Home.open(directory)
    try:
        found = check_dataset(open_dataset(find_entry(home, name), home.directory), ranges=ranges)
    except FileNotFoundError:
        raise DataError("no-such-file", f"dataset {name!r}: its file is gone") from None
    if as_json:
        told = asdict(found)
        if not ranges:
            for column in told["columns"]:
                del column["minimum"], column["maximum"]
        ui.show_json({"dataset": name, **told})
        return
    ui.show_facts(
        [
            ("rows", found.rows),
            ("distinct identifiers", found.distinct),
            ("duplicates", found.duplicates),
            ("empty identifiers", found.empty),
            *((f"invalid: {reason}", count) for reason, count in found.invalid.items()),
        ]
    )
    if found.columns:
        shown = ("minimum", "maximum") if ranges else ()
        ui.say("")
        ui.show_table(
            ("column", "type", "empty", "not numbers", "refused as amounts", *shown),
            [
                (each.name, each.type, each.empty, each.non_numeric,
                 ", ".join(f"{code} {count:,}" for code, count in each.refused.items()),
                 *(getattr(each, name) for name in shown))
                for each in found.columns
            ],
        )  # fmt: skip
