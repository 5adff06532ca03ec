"""A query as its user writes it (PLAN.toml), and the plan proper that is made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from mpc.errors import Malformed
from mpc.wire.v1.plan_pb2 import Input, Party
from mpc.wire.v1.plan_pb2 import Plan as PlanMessage
from parties.errors import ConfigError
from parties.tomlfile import parse_toml, toml_value
from protocols.catalog import CATALOG, checked
from protocols.errors import Misuse
from protocols.plan import PARTY_NAME, Plan
from protocols.spec import AnySpec, Offer, Request

AUTO: Final = "auto"
VALID_MINUTES: Final = 24 * 60
FAMILIES: Final = tuple(dict.fromkeys(spec.family for spec in CATALOG))


@dataclass(frozen=True)
class Query:
    """PLAN.toml. ``theirs`` maps each other party to its dataset, in the plan's order."""

    protocol: str
    mine: str
    theirs: Mapping[str, str]
    method: str = AUTO
    purpose: str = ""
    valid_minutes: int = VALID_MINUTES
    model: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    def spec(self) -> AnySpec:
        """The protocol that the method names; the first of the family for ``auto``."""
        family = [spec for spec in CATALOG if spec.family == self.protocol]
        methods = [spec.name.partition(".")[2] for spec in family]
        if self.method == AUTO:
            return family[0]
        if self.method not in methods:
            listed = ", ".join((AUTO, *methods))
            raise ConfigError(
                f"{self.protocol} has no method {self.method!r}", remedy=f"it has {listed}"
            )
        return family[methods.index(self.method)]

    def to_toml(self) -> str:
        """What :func:`parse_query` reads back as the same query."""
        lines = [f"{key} = {toml_value(value)}" for key, value in self._top() if value != ""]
        lines += ["", "[theirs]"]
        lines += [f"{name} = {toml_value(dataset)}" for name, dataset in self.theirs.items()]
        if self.options:
            lines += ["", "[options]"]
            lines += [f"{key} = {toml_value(value)}" for key, value in self.options.items()]
        return "\n".join(lines) + "\n"

    def _top(self) -> list[tuple[str, Any]]:
        return [
            ("protocol", self.protocol),
            ("method", self.method),
            ("purpose", self.purpose),
            ("valid_minutes", self.valid_minutes),
            ("mine", self.mine),
            ("model", self.model),
        ]


def parse_query(text: str, where: str = "PLAN.toml") -> Query:
    """Raises ``ConfigError`` with the line for whatever is unknown, missing or of a wrong type."""
    top = parse_toml(text, where)
    protocol = top.text("protocol")
    if protocol not in FAMILIES:
        raise top.error("protocol", f"protocol is one of {', '.join(FAMILIES)}")
    theirs = top.table("theirs")
    datasets = {name: theirs.text(name) for name in theirs.names()}
    theirs.done()
    if not datasets:
        raise top.error("theirs", "[theirs] must name a party", 'such as: acme = "ledger"')
    for name in datasets:
        if not PARTY_NAME.fullmatch(name):
            raise theirs.error(name, f"{name!r} is no party name")
    query = Query(
        protocol=protocol,
        method=top.text("method", AUTO),
        purpose=top.prose("purpose") if top.has("purpose") else "",
        valid_minutes=top.number("valid_minutes", VALID_MINUTES, low=1, high=30 * 24 * 60),
        mine=top.text("mine"),
        theirs=datasets,
        model=top.text("model", ""),
        options=top.table("options").values(),
    )
    top.done()
    spec = query.spec()
    for key in query.options:
        if key not in spec.options:
            listed = ", ".join(sorted(spec.options))
            raise top.error("options", f"{spec.name} has no option {key!r}", f"it has {listed}")
    return query


def make_plan(
    query: Query,
    mine: Offer,
    theirs: Sequence[Offer],
    keys: Mapping[str, bytes],
    model: Mapping[str, Any] | None,
    now: int,
    nonce: bytes,
) -> Plan:
    """The plan proper. ``keys`` are the parties' signing keys by name.

    Raises ``ConfigError`` for a request that does not fit what the parties offer.
    """
    spec = query.spec()
    offers = (mine, *theirs)
    for offer in theirs:
        if offer.normalizer != mine.normalizer or len(offer.keys) != len(mine.keys):
            raise ConfigError(
                f"{offer.party} identifies rows of {offer.dataset} by {_how(offer)}, our "
                f"{mine.dataset} by {_how(mine)}",
                remedy="agree on one normaliser and the same number of key columns",
            )
    try:
        draft = spec.draft(Request(mine, tuple(theirs), query.options, model))
        message = PlanMessage(
            protocol=spec.name,
            revision=spec.revision,
            parameters=draft.parameters,
            purpose=query.purpose,
            created=now,
            expires=now + 60 * query.valid_minutes,
            nonce=nonce,
        )
        for offer, role, columns in zip(offers, draft.roles, draft.columns, strict=True):
            brings = Input(
                dataset=offer.dataset,
                keys=offer.keys,
                normalizer=offer.normalizer,
                columns=columns,
                max_rows=offer.max_rows,
                min_rows=draft.min_rows if offer is mine else 1,
            )
            message.parties.append(
                Party(name=offer.party, signing_key=keys[offer.party], role=role, input=brings)
            )
        plan = Plan.build(message)
        checked(plan)
    except Misuse as error:
        raise ConfigError(str(error)) from error
    except Malformed as error:
        raise ConfigError(f"no plan can be made of this request: {error.code}") from error
    return plan


def _how(offer: Offer) -> str:
    return f"{offer.normalizer} of {len(offer.keys)} column{'s' * (len(offer.keys) > 1)}"
