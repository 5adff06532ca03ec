"""What a party tells others of its datasets before any plan: names, columns, a row bound."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path

from mpc.normalise import key_rule
from parties.config import DatasetEntry
from parties.data_errors import DataError
from parties.datasets import Engine, describe, stamp
from parties.logs import log
from parties.rpc.v1.peer_pb2 import DatasetCard, DescribeResponse
from parties.rules import ANY, Policy, Rule, family
from parties.sources import open_dataset
from protocols.spec import Offer

LEAST_BOUND = 16


class Offers:
    """``home`` is the node's directory. Counting rows is done once for each state of a file."""

    def __init__(self, home: Path, engine: Engine) -> None:
        self._home, self._engine = home, engine
        self._counting = threading.Lock()
        self._described: dict[tuple[str, str], tuple[tuple[str, ...], int]] = {}

    def card(self, entry: DatasetEntry, policy: Policy, caller: str | None) -> DatasetCard | None:
        """What ``caller`` may know of a dataset; everything, for ourselves (``None``)."""
        rules = [
            rule
            for rule in policy.rules
            if rule.dataset == entry.name and caller is not None and _concerns(rule, caller)
        ]
        if caller is not None and not rules:
            return None
        here, bound = self._facts(entry)
        offered = [name for name in here if entry.columns is None or name in entry.columns]
        if caller is not None:
            allowed = {column for rule in rules for column in rule.columns}
            offered = [name for name in offered if name in allowed]
        return DatasetCard(
            name=entry.name,
            keys=entry.keys,
            normalizer=",".join(each.spec for each in key_rule(entry.normalizer, len(entry.keys))),
            columns=offered,
            max_rows=bound,
            protocols=sorted({family(rule.protocol) for rule in rules}),
        )

    def all_for(
        self, datasets: Mapping[str, DatasetEntry], policy: Policy, caller: str
    ) -> DescribeResponse:
        """Every dataset that some policy line lets ``caller`` know of, and that can be read."""
        cards = []
        for entry in datasets.values():
            try:
                cards.append(self.card(entry, policy, caller))
            except DataError as error:
                log("dataset-unreadable", code=error.code, peer=caller)
        return DescribeResponse(datasets=[card for card in cards if card is not None])

    def _facts(self, entry: DatasetEntry) -> tuple[tuple[str, ...], int]:
        """Column names, and a power of two that the number of rows does not exceed."""
        dataset = open_dataset(entry, self._home)
        key = (entry.name, stamp(dataset))
        with self._counting:  # partners that ask at once wait for one count
            if key not in self._described:
                facts = describe(dataset, engine=self._engine)
                bound = max(LEAST_BOUND, 1 << max(facts.rows - 1, 0).bit_length())
                self._described[key] = (tuple(column.name for column in facts.columns), bound)
            return self._described[key]


def _concerns(rule: Rule, caller: str) -> bool:
    current = rule.expires is None or datetime.datetime.now(datetime.UTC).date() <= rule.expires
    return current and rule.party in (ANY, caller)


def offer_of(party: str, card: DatasetCard) -> Offer:
    """A dataset card as protocols take it when they draft a plan."""
    return Offer(
        party=party,
        dataset=card.name,
        keys=tuple(card.keys),
        normalizer=card.normalizer,
        columns=tuple(card.columns),
        max_rows=card.max_rows,
    )


def find_card(cards: Iterable[DatasetCard], name: str) -> DatasetCard | None:
    return next((card for card in cards if card.name == name), None)
