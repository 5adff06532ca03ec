"""What a party's own data answer when a role reads: the ports that protocols may name."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpc.linear_model import LinearModel, parse_model
from parties.columns import Items, load_items, original_keys
from parties.config import DatasetEntry
from parties.data_errors import DataError
from parties.datasets import Dataset, Engine
from parties.errors import ConfigError
from parties.values import load_amounts, load_features
from protocols.plan import Plan


def open_dataset(entry: DatasetEntry, home: Path) -> Dataset:
    """The dataset of a line of datasets.toml, whose relative paths start at ``home``."""
    return Dataset(
        name=entry.name,
        source=Path(entry.location(home)),
        keys=entry.keys,
        normaliser=entry.normalizer,
        columns=entry.columns,
        decimals=entry.decimals,
        delimiter=entry.delimiter,
    )


class LocalData:
    """One party's input to one session. Everything is read once, in worker threads."""

    def __init__(
        self, dataset: Dataset, plan: Plan, me: str, engine: Engine, model: bytes | None = None
    ) -> None:
        self.dataset = dataset
        self._columns = tuple(plan.message.parties[plan.position(me)].input.columns)
        self._engine = engine
        self._model = model

    @property
    def ports(self) -> Mapping[str, Callable[..., Any]]:
        return {
            "items": self._read_items,
            "amounts": self._read_amounts,
            "features": self._read_features,
            "model": self._read_model,
        }

    @cached_property
    def items(self) -> Items:
        return load_items(self.dataset, engine=self._engine)

    @cached_property
    def _features(self) -> NDArray[np.float64]:
        return load_features(
            self.dataset, self._columns, wanted=self.items.digests, engine=self._engine
        )

    @property
    def counts(self) -> dict[str, int]:
        """Of our own rows, for our own people; empty where the role read no identifiers."""
        if "items" not in vars(self):
            return {}
        items = self.items
        return {
            "rows": items.rows,
            "identifiers": len(items.digests),
            "duplicates": items.duplicates,
            "empty": items.empty,
            "invalid": items.invalid,
        }

    def _read_items(self) -> NDArray[np.uint8]:
        """Digests of the distinct identifiers, uint8[n, 16]."""
        return self.items.digests

    def _read_amounts(self, decimals: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Digests, and for each its amounts' sum in minor units."""
        (column,) = self._columns
        declared = self.dataset.decimals.get(column, decimals)
        if declared > decimals:
            raise DataError(
                "decimals-differ",
                f"{self.dataset.where}, column {column!r} has {declared} decimals, the plan says "
                f"{decimals}; ask with --decimals {declared}",
            )
        amounts = load_amounts(self.dataset, column, decimals=decimals, engine=self._engine)
        return amounts.digests, amounts.sums

    def _read_features(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """The plan's columns for these positions among the distinct identifiers."""
        return self._features[:, rows]

    def _read_model(self) -> LinearModel:
        if self._model is None:
            raise ConfigError("this party has no model", remedy="the querier's --model names it")
        return parse_model(read_model(self._model))

    def keys_of(self, positions: NDArray[np.int64]) -> dict[str, list[Any]]:
        """The key columns of these identifiers, as they first stood in the data."""
        rows = self.items.first_row[positions]
        stamp = self.items.stamp
        return original_keys(self.dataset, rows, expect=stamp, engine=self._engine)


def read_model(data: bytes) -> Mapping[str, Any]:
    """A model file's JSON; ``ConfigError`` in words for its owner if it is not one."""
    try:
        document = json.loads(data)
    except (ValueError, UnicodeDecodeError) as error:
        raise ConfigError("the model file is not JSON", remedy=str(error)) from error
    if not isinstance(document, dict):
        raise ConfigError("the model file is not a JSON object with bias and features")
    return document
