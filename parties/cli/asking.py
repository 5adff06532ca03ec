"""A query's own options, shared by the commands that run it and the one that explains it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from parties.cli import options
from parties.cli.data import suggestion
from parties.cli.options import together
from parties.errors import ConfigError
from parties.requests import AUTO, VALID_MINUTES, Query, parse_query
from parties.tomlfile import read_text
from protocols.catalog import CATALOG

F = TypeVar("F", bound=Callable[..., Any])
MOST_MODEL_BYTES = 1 << 20


def methods(family: str) -> list[str]:
    """The methods of a protocol family; the first is what ``auto`` takes."""
    return [spec.name.partition(".")[2] for spec in CATALOG if spec.family == family]


def asking(family: str, *, required: bool = True) -> Callable[[F], F]:
    """Options that say what is asked; :func:`query_of` reads them."""
    several = "PARTY" if family == "psi" else "P1,P2,..."
    mine = "--keys" if family == "sum" else "--mine"
    own = {"sum": "Our dataset whose keys are asked about."}.get(family, "Our dataset.")
    return together(
        click.option("--with", "parties", metavar=several, required=required,
                     help="Who takes part beside us."),
        click.option(mine, "mine", metavar="DATASET", required=required, help=own),
        click.option("--theirs", metavar="DATASET", required=required,
                     help="Their dataset; P1:NAME1,P2:NAME2 where names differ."),
        *_OWN[family](required),
        click.option("--method", type=click.Choice([AUTO, *methods(family)]), default=AUTO,
                     show_default=True),
        click.option("--min-rows", type=click.IntRange(1), metavar="N",
                     help="Refuse to ask about fewer identifiers; policies may demand it."),
        click.option("--purpose", default="", metavar="TEXT",
                     help="Why we ask; all parties sign it."),
        click.option("--valid-minutes", type=click.IntRange(1, 30 * 24 * 60), metavar="N",
                     default=VALID_MINUTES, show_default=True,
                     help="How long others have to accept it."),
    )  # fmt: skip


def _psi(required: bool) -> tuple[Any, ...]:
    return (
        click.option("--reveal", type=click.Choice(["rows", "count"]),
                     help="Which of our identifiers they also hold (the default), or how many."),
        click.option("--to", type=click.Choice(["me", "both"]),
                     help="Who learns it; we alone if not given."),
    )  # fmt: skip


def _sum(required: bool) -> tuple[Any, ...]:
    return (
        click.option("--amount", metavar="COLUMN", required=required,
                     help="Their column to add up for each of our keys."),
        click.option("--floor", type=click.IntRange(1), metavar="N",
                     help="Withhold totals of fewer contributors (3 if not given)."),
        click.option("--decimals", type=click.IntRange(0, 18), metavar="N",
                     help="Digits after the point in the amounts (2 if not given)."),
        click.option("--key-bits", type=click.Choice(["2048", "3072", "4096"]),
                     help="Of the Paillier key (3072 if not given)."),
    )  # fmt: skip


def _score(required: bool) -> tuple[Any, ...]:
    return (
        click.option("--model", metavar="MODEL.json", type=options.FILE, required=required,
                     help="Our model; its weights stay hidden from the others."),
    )  # fmt: skip


_OWN: Mapping[str, Callable[[bool], tuple[Any, ...]]] = {"psi": _psi, "sum": _sum, "score": _score}


def query_of(family: str, given: Mapping[str, Any]) -> Query:
    """The query that these options make; ``ConfigError`` for what does not fit together."""
    values = dict(given)
    if values.get("key_bits"):
        values["key_bits"] = int(values["key_bits"])
    query = Query(
        protocol=family,
        mine=given["mine"],
        theirs=_theirs(options.words(given["parties"]), given["theirs"]),
        method=given["method"],
        purpose=given["purpose"],
        valid_minutes=given["valid_minutes"],
        model=str(given["model"]) if given.get("model") else "",
    )
    known = query.spec().options
    chosen = {name: values[name] for name in sorted(known) if values.get(name) is not None}
    made = Query(**{**vars(query), "options": chosen})
    return parse_query(made.to_toml(), "the query")  # our own words meet the file's checks


def _theirs(parties: tuple[str, ...], text: str) -> dict[str, str]:
    """``NAME`` for all, or ``P1:NAME1,P2:NAME2``."""
    if not parties:
        raise click.UsageError("--with names no party.")
    if len(set(parties)) != len(parties):
        raise click.UsageError("--with names a party twice.")
    if ":" not in text:
        return dict.fromkeys(parties, text)
    named = {}
    for word in options.words(text):
        party, colon, dataset = word.partition(":")
        if not (colon and party and dataset):
            raise click.UsageError(f"--theirs takes NAME or P1:NAME1,P2:NAME2, not {word!r}.")
        if party not in parties:
            hint = suggestion(party, list(parties))
            raise click.UsageError(f"--theirs names {party!r}, which --with does not; {hint}.")
        named[party] = dataset
    missing = [party for party in parties if party not in named]
    if missing:
        raise click.UsageError(f"--theirs names no dataset of {', '.join(missing)}.")
    return {party: named[party] for party in parties}


def read_query(path: Path) -> tuple[Query, str]:
    """A PLAN.toml and its text; its model file is looked for beside it."""
    text = read_text(path)
    return parse_query(text, str(path)), text


def model_of(query: Query, beside: Path) -> bytes:
    """Content of the model file that a query names, ``b""`` if it names none."""
    if not query.model:
        return b""
    path = beside / query.model
    try:
        with path.open("rb") as file:
            content = file.read(MOST_MODEL_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"cannot be read: {error.strerror}", where=path, remedy="see --model"
        ) from None
    if len(content) > MOST_MODEL_BYTES:
        raise ConfigError("larger than 1 MiB: not a model", where=path, remedy="see --model")
    return content


def saved_form(query: Query, plan: Path) -> Query:
    """The query for a file at ``plan``: a model file is named from there."""
    if not query.model:
        return query
    model = os.path.relpath(Path(query.model).resolve(), plan.resolve().parent)
    name = str(Path(query.model).resolve()) if model.startswith("..") else model
    return Query(**{**vars(query), "model": name})


def why(query: Query) -> str:
    """Which method ``auto`` picked, and why; empty where the user chose."""
    if query.method != AUTO:
        return ""
    known = methods(query.protocol)
    reason = "the only one there is" if len(known) == 1 else f"the first of {', '.join(known)}"
    return f"method: {query.spec().name} ({reason} for {query.protocol})"
