"""Identifiers as fixed-width digests, and which of them are the same."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mpc.hashing import encode_parts
from mpc.normalise import Normaliser, Reason

ITEM_BYTES: Final = 16
"""128 bits: among n different identifiers a collision has probability below n² / 2^129."""


@dataclass(frozen=True, eq=False)
class ItemDigests:
    """The items of one block of rows.

    ``digests`` uint8[m, 16]; ``rows`` int64[m], ascending: which of the block's rows they
    are; ``left_out``: how many rows identify nothing, by reason.
    """

    digests: NDArray[np.uint8]
    rows: NDArray[np.int64]
    left_out: Counter[Reason]


def item_digests(
    rule: Sequence[Normaliser], columns: Sequence[Sequence[str | None]]
) -> ItemDigests:
    """One digest for each row that identifies something.

    The digest is the first 16 bytes of ``labelled_hash("item", specs, part, ...)``: SHA-256
    over the rule's names and versions and each normalised part behind its length, so that
    ("ab", "c") and ("a", "bc") differ. ``columns`` has one sequence for each of ``rule``,
    all of one length. A row with a part that identifies nothing is left out, for the
    gravest of its parts' reasons: an invalid part before an empty one.

    **It never leaves this machine**: company numbers and codes are few enough to hash them
    all, so an unkeyed digest is as readable as the identifier.
    """
    specs = ",".join(normaliser.spec for normaliser in rule)
    prefix = encode_parts("item", specs.encode())
    sha256 = hashlib.sha256
    results = [one.bulk(column) for one, column in zip(rule, columns, strict=True)]
    left_out: Counter[Reason] = Counter()
    bad = {i for result in results for i, part in enumerate(result) if isinstance(part, Reason)}
    left_out.update(_gravest([result[i] for result in results]) for i in bad)
    rows = [i for i in range(len(results[0])) if i not in bad]
    if bad:
        results = [[result[i] for i in rows] for result in results]
    frames = [[_frame(part) for part in result if isinstance(part, str)] for result in results]
    hashes = [sha256(prefix + b"".join(parts)).digest() for parts in zip(*frames, strict=True)]
    digests = np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, 32)[:, :ITEM_BYTES]
    return ItemDigests(np.ascontiguousarray(digests), np.array(rows, np.int64), left_out)


def _frame(part: str) -> bytes:
    encoded = part.encode()
    return len(encoded).to_bytes(8, "big") + encoded


def _gravest(parts: Sequence[str | Reason]) -> Reason:
    reasons = [part for part in parts if isinstance(part, Reason)]
    return next((reason for reason in reasons if reason is not Reason.EMPTY), Reason.EMPTY)


def distinct(digests: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The distinct rows of uint8[n, 16], in the order they first occur.

    Returns ``first`` int64[m], ascending: where each distinct digest first stands; and
    ``group`` int64[n] in [0, m): which of them each row is. So
    ``digests[first][group] == digests``.
    """
    words = np.ascontiguousarray(digests).view(np.uint64)
    # Stable sorts: equal rows stay in order. Half a digest nearly always tells two apart.
    order = np.argsort(words[:, 0], kind="stable")
    high, low = _changes(words[:, 0], order), _changes(words[:, 1], order)
    if (low & ~high).any():
        order = np.lexsort((words[:, 1], words[:, 0]))
        high, low = _changes(words[:, 0], order), _changes(words[:, 1], order)
    starts = np.ones(len(order), bool)
    starts[1:] = high | low
    first_sorted = order[starts]
    rank = np.empty_like(first_sorted)
    by_occurrence = np.argsort(first_sorted)
    rank[by_occurrence] = np.arange(len(by_occurrence))
    group = np.empty(len(order), np.int64)
    group[order] = rank[np.cumsum(starts) - 1]
    return first_sorted[by_occurrence], group


def _changes(word: NDArray[np.uint64], order: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Where ``word[order]`` differs from its predecessor."""
    ordered = word[order]
    differs: NDArray[np.bool_] = ordered[1:] != ordered[:-1]
    return differs
