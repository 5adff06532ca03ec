"""``jointcredit explain``: who learns what from a query, before anything runs."""

from __future__ import annotations

import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import click

from mpc.errors import Malformed
from mpc.linear_model import LinearModel, parse_model, why_not
from parties.cards import fingerprint
from parties.cli import options, ui
from parties.cli.asking import asking, model_of, query_of, read_query, why
from parties.cli.options import example, together
from parties.errors import ConfigError
from parties.explain import disclosure, reveals_of
from parties.requests import Query, make_plan
from parties.sources import read_model
from protocols.catalog import checked
from protocols.plan import Plan
from protocols.spec import Offer

ASSUMED_ROWS = 1 << 20
DEFAULTS = {"psi": ("partner",), "sum": ("partner-1", "partner-2", "partner-3"), "score": ()}

explaining = together(
    click.option("--node", "directory", metavar="DIR", type=options.FILE,
                 help="Ask our running node, which knows the partners' real bounds and columns; "
                 "nothing is proposed to anybody."),
    click.option("--rows", type=click.IntRange(1, 1 << 32), default=ASSUMED_ROWS,
                 show_default=True, metavar="N",
                 help="Without --node: how many identifiers each party is assumed to bring."),
    click.option("--as", "me", default="querier", show_default=True, metavar="NAME",
                 help="Without --node: what a model calls us."),
    options.as_json,
    options.signing,
)  # fmt: skip


class _PlanOrFamily(click.Group):
    """``explain PLAN.toml``: what is no protocol family is a file."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands:
            return "PLAN.toml", _plan, args
        return super().resolve_command(ctx, args)


@click.group(
    "explain",
    cls=_PlanOrFamily,
    # Options may stand before the file; they are the file's command's to know.
    context_settings={"ignore_unknown_options": True},
    subcommand_metavar="PLAN.toml | psi | sum | score [OPTIONS]",
    epilog=example(
        "jointcredit explain plan.toml --node bank",
        "jointcredit explain sum --with acme,zeta,nova --floor 2",
    ),
)
def group() -> None:
    """Who learns what from a query. Runs nothing.

    Says sizes and costs too. A query is a PLAN.toml, or the options of psi, sum or score, all of
    which may be left out.
    """


@click.command("PLAN.toml", epilog=example("jointcredit explain plan.toml --node bank"))
@click.argument("plan", metavar="PLAN.toml", type=options.FILE)
@explaining
def _plan(plan: Path, **given: Any) -> None:
    """Explain a query that is written down in a file."""
    query, text = read_query(plan)
    _explain(query, text, model_of(query, plan.parent), given)


@group.command(epilog=example("jointcredit explain psi --with acme --reveal count"))
@asking("psi", required=False)
@explaining
def psi(**given: Any) -> None:
    """Explain a private set intersection."""
    _explain_options("psi", given)


@group.command("sum", epilog=example("jointcredit explain sum --with acme,zeta,nova --floor 2"))
@asking("sum", required=False)
@explaining
def sum_(**given: Any) -> None:
    """Explain totals over several contributors."""
    _explain_options("sum", given)


@group.command(epilog=example("jointcredit explain score --model model.json --as bank"))
@asking("score", required=False)
@explaining
def score(**given: Any) -> None:
    """Explain scoring by a model over several parties' columns."""
    _explain_options("score", given)


def _explain_options(family: str, given: dict[str, Any]) -> None:
    if given["directory"] is not None:
        needed = ["parties", "mine", "theirs", *(["amount"] if family == "sum" else [])]
        if not all(given[name] for name in needed):
            raise click.UsageError("With --node, name the parties and the datasets too.")
    elif not given["parties"]:
        parties = DEFAULTS[family]
        if family == "score":
            model = _model(given["model"].read_bytes() if given["model"] else b"")
            parties = tuple(name for name in model.parties if name != given["me"])
        given["parties"] = ",".join(parties)
    given["mine"] = given["mine"] or "ours"
    given["theirs"] = given["theirs"] or "theirs"
    if family == "sum":
        given["amount"] = given["amount"] or "amount"
    query = query_of(family, given)
    _explain(query, query.to_toml(), model_of(query, Path()), given)


def _explain(query: Query, text: str, model: bytes, given: dict[str, Any]) -> None:
    if why(query):
        ui.note(why(query))
    if given["directory"] is None:
        plan = _assumed(query, model, given["rows"], given["me"])
    else:
        connection = (given["directory"], given["operator"], given["passphrase_file"])
        with options.connect(*connection) as client:
            plan = client.explain(text, model)
    assumed = given["directory"] is None
    if given["as_json"]:
        ui.show_json(_facts(plan, assumed))
        return
    told = disclosure(plan)
    if assumed:
        for party in plan.message.parties:
            told = told.replace(fingerprint(party.signing_key), "key not looked up")
    ui.text_block(told)
    if assumed:
        ui.note(
            f"assumed: we are {plan.querier} (--as NAME), {given['rows']:,} identifiers at each "
            "party (--rows N), columns as asked for; --node DIR takes the real ones"
        )


def _assumed(query: Query, model: bytes, rows: int, me: str) -> Plan:
    """The plan as it would be if every party offered what is asked, and ``rows`` identifiers."""
    parsed = _model(model) if query.protocol == "score" else None
    if parsed is not None:
        ours = [name for name in parsed.parties if name not in query.theirs]
        me = ours[0] if len(ours) == 1 else me
    if me in query.theirs:
        raise ConfigError(f"{me} is among the other parties", remedy="--as NAME says who we are")

    def offer(party: str, dataset: str) -> Offer:
        if parsed is not None:
            columns = tuple(feature.column for feature in parsed.of(party))
        else:
            amount = query.options.get("amount")
            columns = (amount,) if isinstance(amount, str) else ()
        return Offer(party, dataset, ("key",), "text/1", columns, rows)

    theirs = [offer(party, dataset) for party, dataset in query.theirs.items()]
    keys = {name: sha256(name.encode()).digest() for name in (me, *query.theirs)}
    document = read_model(model) if model else None
    mine = offer(me, query.mine)
    return make_plan(query, mine, theirs, keys, document, int(time.time()), bytes(16))


def _model(content: bytes) -> LinearModel:
    if not content:
        raise ConfigError("score needs a model", remedy="--model MODEL.json")
    try:
        return parse_model(read_model(content))
    except Malformed as error:
        raise ConfigError(why_not(error)) from None


def _facts(plan: Plan, assumed: bool) -> dict[str, Any]:
    spec, params = checked(plan)
    cost = spec.cost(plan, params)
    return {
        "protocol": spec.name,
        "revision": spec.revision,
        "adversary": spec.adversary.value,
        "purpose": plan.message.purpose,
        "assumed": assumed,
        "parties": [
            {
                "name": party.name,
                "role": party.role,
                "dataset": party.input.dataset,
                "keys": list(party.input.keys),
                "normalizer": party.input.normalizer,
                "columns": list(party.input.columns),
                "min_rows": party.input.min_rows,
                "max_rows": party.input.max_rows,
            }
            for party in plan.message.parties
        ],
        "reveals": [
            {
                "who": reveal.who,
                "what": reveal.what.value,
                "of": list(reveal.of),
                "text": reveal.text,
                "caution": reveal.caution,
            }
            for reveal in reveals_of(plan)
        ],
        "cost": {"bytes": cost.bytes, "core_seconds": round(cost.core_seconds, 3)},
    }
