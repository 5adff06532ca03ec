"""policy.toml: the ``[[allow]]`` lines with which a data owner permits what others may compute."""

from __future__ import annotations

import datetime
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from parties.config import DATASET_NAME, PARTY_NAME, DatasetEntry
from parties.tomlfile import Table, Value, append_table, parse_toml, read_text

ANY: Final = "any"
# A sum over two contributors tells each of them the other's amount.
SUM_COHORT: Final = 3
POLICY_TOML: Final = """\
# What others may compute on our data. Nothing is allowed but what a line below allows; a change
# takes effect at once. `jointcredit policy allow` appends here, `policy check` finds dead lines.
#
# [[allow]]
# dataset = "ledger"
# columns = ["amount"]      # that may enter the computation or be handed over
# protocol = "sum"          # psi, sum, score; or one protocol such as "psi.ecdh"
# party = "bank-a"          # who asks, and the only other to learn a result; or "any"
# purpose = "credit check"  # only with exactly these words
# reveal = ["count"]        # for psi: only these of rows, count, sum
# beside = ["acme", "zeta"] # no parties in the plan but these, us and the one who asks
# min_cohort = 3            # sum: contributors, and the floor; else: rows the querier must bring
# max_rows = 100000         # bound of every party's set, ours included
# per_day = 10              # plans a day of one party on this dataset in this family (psi, sum)
# expires = 2027-12-31      # the last day
# approval = true           # and one of our approvers must say yes
"""
_PROTOCOL: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?")


@dataclass(frozen=True)
class Rule:
    """One ``[[allow]]`` line; ``None`` and the empty ``reveal`` mean "whatever the plan says"."""

    dataset: str
    protocol: str
    party: str
    columns: tuple[str, ...] = ()
    purpose: str | None = None
    reveal: tuple[str, ...] = ()
    beside: tuple[str, ...] | None = None
    min_cohort: int | None = None
    max_rows: int | None = None
    per_day: int | None = None
    expires: datetime.date | None = None
    approval: bool = False
    line: int = field(default=0, compare=False)

    @property
    def cohort(self) -> int:
        if self.min_cohort is not None:
            return self.min_cohort
        return SUM_COHORT if family(self.protocol) == "sum" else 1


@dataclass(frozen=True)
class Policy:
    rules: tuple[Rule, ...] = ()


def family(protocol: str) -> str:
    """``psi`` for ``psi.ecdh``."""
    return protocol.partition(".")[0]


def parse_policy(text: str, where: Path | str = "policy.toml") -> Policy:
    """Raises ``ConfigError`` with the line."""
    top = parse_toml(text, where)
    rules = tuple(map(_rule, top.tables("allow")))
    top.done()
    return Policy(rules)


def read_policy(path: Path) -> Policy:
    return parse_policy(read_text(path), path)


def add_rule(path: Path, rule: Rule) -> None:
    """Appends ``rule`` to policy.toml; one that is not valid raises ``ConfigError``."""
    optional: dict[str, Value | None] = {
        "purpose": rule.purpose,
        "reveal": rule.reveal or None,
        "beside": rule.beside,
        "min_cohort": rule.min_cohort,
        "max_rows": rule.max_rows,
        "per_day": rule.per_day,
        "expires": rule.expires,
        "approval": rule.approval or None,
    }
    values: dict[str, Value] = {
        "dataset": rule.dataset,
        "columns": rule.columns,
        "protocol": rule.protocol,
        "party": rule.party,
        **{key: value for key, value in optional.items() if value is not None},
    }
    append_table(path, "allow", values, lambda text: parse_policy(text, path))


def check_policy(
    policy: Policy,
    datasets: Mapping[str, DatasetEntry],
    parties: Collection[str],
    families: Collection[str],
    now: datetime.datetime,
) -> tuple[str, ...]:
    """One text for each reason why a line can never match.

    ``parties`` are the names in the trust store, ``families`` those of the protocols there are.
    """
    today = now.astimezone(datetime.UTC).date()
    findings = []
    for number, rule in enumerate(policy.rules, 1):
        for finding in _dead(rule, datasets, parties, families, today):
            findings.append(f"policy {number} (line {rule.line}): {finding}")
    return tuple(findings)


def _dead(
    rule: Rule,
    datasets: Mapping[str, DatasetEntry],
    parties: Collection[str],
    families: Collection[str],
    today: datetime.date,
) -> list[str]:
    found = []
    dataset = datasets.get(rule.dataset)
    if dataset is None:
        found.append(f"dataset {rule.dataset} is not in datasets.toml")
    else:
        known = dataset.columns
        unknown = [name for name in rule.columns if known is not None and name not in known]
        found += [f"column {name} is not one of dataset {rule.dataset}'s" for name in unknown]
    if family(rule.protocol) in ("sum", "score") and not rule.columns:
        found.append(f"{family(rule.protocol)} reads columns, and the line names none")
    if family(rule.protocol) not in families:
        found.append(f"no protocol {rule.protocol}; there are {', '.join(sorted(families))}")
    named = {rule.party, *(rule.beside or ())} - {ANY}
    found += [f"party {name} is not trusted" for name in sorted(named - set(parties))]
    if rule.expires is not None and rule.expires < today:
        found.append(f"expired on {rule.expires}")
    return found


def _rule(table: Table) -> Rule:
    def count(key: str) -> int | None:
        return table.number(key, low=1, high=1 << 32) if table.has(key) else None

    rule = Rule(
        dataset=table.text("dataset", form=DATASET_NAME),
        protocol=table.text("protocol", form=_PROTOCOL, hint="such as psi or psi.ecdh"),
        party=table.text("party", form=PARTY_NAME),
        columns=table.texts("columns"),
        purpose=table.text("purpose") if table.has("purpose") else None,
        reveal=table.texts("reveal", ()),
        beside=table.texts("beside") if table.has("beside") else None,
        min_cohort=count("min_cohort"),
        max_rows=count("max_rows"),
        per_day=count("per_day"),
        expires=table.date("expires") if table.has("expires") else None,
        approval=table.flag("approval", False),
        line=table.line,
    )
    table.done()
    return rule
