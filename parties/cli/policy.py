"""``jointcredit policy``: what others may compute on our data."""

from __future__ import annotations

import datetime
from pathlib import Path

import click

from parties.cli import options, ui
from parties.cli.data import find_entry, suggestion
from parties.cli.options import example
from parties.config import DatasetEntry, read_datasets
from parties.datasets import describe
from parties.errors import ConfigError
from parties.home import Home
from parties.requests import FAMILIES
from parties.rules import ANY, Rule, add_rule, check_policy, read_policy
from parties.sources import open_dataset
from parties.status import Exit
from protocols.catalog import CATALOG

_ALLOW = "jointcredit policy allow acme --dataset ledger --columns amount --protocol sum"


@click.group("policy", epilog=example("jointcredit policy show acme"))
def group() -> None:
    """What others may compute on our data.

    Nothing is allowed that no line of DIR/policy.toml allows.
    """


@group.command(epilog=example(f"{_ALLOW} \\", "    --party bank --min-cohort 3 --per-day 10"))
@options.directory
@click.option("--dataset", metavar="NAME", required=True, help="One of our datasets.")
@click.option("--columns", metavar="A,B", default="",
              help="Columns that may enter the computation; keys need no mention.")  # fmt: skip
@click.option("--protocol", required=True,
              help=f"{', '.join(FAMILIES)}, or one method such as {CATALOG[0].name}.")  # fmt: skip
@click.option("--party", required=True, help="Who may ask, and learn a result; or any.")
@click.option("--purpose", help="Only with exactly these words as its purpose.")
@click.option("--reveal", metavar="rows,count", help="For psi: only these.")
@click.option("--beside", metavar="P1,P2", help="No other parties than these, us and the asker.")
@click.option("--min-cohort", type=click.IntRange(1), metavar="K",
              help="sum: contributors behind a total (3 if not given); psi, score: rows the "
              "others bring.")  # fmt: skip
@click.option("--per-day", type=click.IntRange(1), metavar="N", help="Queries of a party a day.")
@click.option("--max-rows", type=click.IntRange(1), metavar="N", help="Bound of every set.")
@click.option("--expires", type=click.DateTime(["%Y-%m-%d"]), metavar="DATE",
              help="The last day, UTC, such as 2027-12-31.")  # fmt: skip
@click.option("--approval", is_flag=True, help="Only once one of our approvers says yes.")
def allow(
    directory: Path,
    dataset: str,
    columns: str,
    protocol: str,
    party: str,
    purpose: str | None,
    reveal: str | None,
    beside: str | None,
    min_cohort: int | None,
    per_day: int | None,
    max_rows: int | None,
    expires: datetime.datetime | None,
    approval: bool,
) -> None:
    """Append a line to DIR/policy.toml. It takes effect at once, also in a running node."""
    home = Home.open(directory)
    entry = find_entry(home, dataset)
    known = [*FAMILIES, *(spec.name for spec in CATALOG)]
    wrong = set(options.words(reveal or "")) - {"rows", "count"}
    if wrong:
        raise click.UsageError("--reveal takes rows, count or both.")
    if protocol not in known:
        raise ConfigError(f"no protocol {protocol!r}", remedy=suggestion(protocol, known))
    rule = Rule(
        dataset=dataset,
        protocol=protocol,
        party=party,
        columns=_columns(home, entry, options.words(columns)),
        purpose=purpose,
        reveal=options.words(reveal or ""),
        beside=None if beside is None else options.words(beside),
        min_cohort=min_cohort,
        max_rows=max_rows,
        per_day=per_day,
        expires=None if expires is None else expires.date(),
        approval=approval,
    )
    add_rule(home.policy_toml, rule)
    number = len(read_policy(home.policy_toml).rules)
    ui.say(f"policy {number}: {_told(rule)}")
    if not rule.columns and protocol.partition(".")[0] in ("sum", "score"):
        ui.note(f"note: {protocol} takes a column; a line without --columns allows nothing")
    if rule.expires is not None and rule.expires < datetime.datetime.now(datetime.UTC).date():
        ui.note(f"note: {rule.expires} is past; the line allows nothing")
    for name in sorted({party, *(rule.beside or ())} - {ANY} - set(home.store().cards())):
        ui.note(f"note: {name} is not trusted yet: jointcredit node trust {directory} CARD")


def _columns(home: Home, entry: DatasetEntry, asked: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the columns that are no keys; ``ConfigError`` for one that cannot be offered."""
    there = [column.name for column in describe(open_dataset(entry, home.directory)).columns]
    offered = [name for name in there if entry.columns is None or name in entry.columns]
    for name in asked:
        if name not in (*offered, *entry.keys):
            raise ConfigError(
                f"dataset {entry.name!r} offers no column {name!r}",
                where=home.datasets_toml,
                remedy=suggestion(name, [column for column in offered if column not in entry.keys]),
            )
    return tuple(name for name in asked if name not in entry.keys)


@group.command(epilog=example("jointcredit policy show acme --json"))
@options.directory
@options.as_json
def show(directory: Path, as_json: bool) -> None:
    """The lines of DIR/policy.toml; refusals name them by these numbers."""
    rules = read_policy(Home.open(directory).policy_toml).rules
    if as_json:
        ui.show_json([{"policy": n, **_facts(rule)} for n, rule in enumerate(rules, 1)])
    elif rules:
        ui.show_table(
            ("policy", "dataset", "protocol", "party", "columns", "conditions"),
            [
                (n, rule.dataset, rule.protocol, rule.party, rule.columns, _conditions(rule))
                for n, rule in enumerate(rules, 1)
            ],
        )
    else:
        ui.note("no line: nothing is allowed; see policy allow")


@group.command(epilog=example("jointcredit policy check acme"))
@options.directory
@options.as_json
@click.pass_context
def check(context: click.Context, directory: Path, as_json: bool) -> None:
    """Find lines that can never allow anything: exit code 1 if there are any, 2 for a bad file."""
    home = Home.open(directory)
    policy = read_policy(home.policy_toml)
    datasets = read_datasets(home.datasets_toml)
    now = datetime.datetime.now(datetime.UTC)
    findings = check_policy(policy, datasets, home.store().cards(), FAMILIES, now)
    if as_json:
        ui.show_json({"lines": len(policy.rules), "findings": list(findings)})
    else:
        for finding in findings:
            ui.say(finding)
        if not findings:
            count = len(policy.rules)
            ui.say(f"{count} line{'s' * (count != 1)}, none of them dead")
    if findings:
        context.exit(Exit.OTHER)


def _facts(rule: Rule) -> dict[str, object]:
    return {
        "dataset": rule.dataset,
        "protocol": rule.protocol,
        "party": rule.party,
        "columns": rule.columns,
        "purpose": rule.purpose,
        "reveal": rule.reveal or None,
        "beside": rule.beside,
        "min_cohort": rule.min_cohort,
        "max_rows": rule.max_rows,
        "per_day": rule.per_day,
        "expires": rule.expires and rule.expires.isoformat(),
        "approval": rule.approval,
        "line": rule.line,
    }


def _conditions(rule: Rule) -> str:
    told = []
    for name, value in list(_facts(rule).items())[4:-2]:
        if value is not None:
            shown = "+".join(value) if isinstance(value, tuple) else value
            told.append(f"{name.replace('_', ' ')} {shown}")
    return ", ".join(told + ["needs approval"] * rule.approval)


def _told(rule: Rule) -> str:
    columns = f" with {', '.join(rule.columns)}" if rule.columns else ""
    conditions = _conditions(rule)
    text = f"{rule.party} may ask {rule.protocol} of {rule.dataset}{columns}"
    return text + (f"; {conditions}" if conditions else "")
