"""Who learned what, and what crossed which link: read from the nodes' own records.

The words are those of each protocol's ``reveals`` for the plan that really ran, the same that an
approver reads beforehand; the sizes are what it came to.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from parties.explain import reveals_of
from parties.home import Home
from parties.store import DONE, Job, Store
from protocols.plan import Plan
from protocols.spec import Learned, Reveal

Records = Mapping[str, Mapping[str, Job]]
"""By party and job id: what each node has written down."""

_BOUND = re.compile(r" \(at most [\d,]+\)")
_NAME = "\0"


@dataclass(frozen=True)
class Learnt:
    """One thing that ``who`` came to know from ``job``; ``size`` is how much of it there was,
    ``None`` where that is no number."""

    who: str
    job: str
    protocol: str
    what: str
    of: tuple[str, ...]
    text: str
    caution: str
    size: int | None


@dataclass(frozen=True)
class Line:
    """The same thing learnt from one party or several, to print."""

    text: str
    sizes: tuple[tuple[str, int | None], ...]
    caution: str


def read_records(homes: Mapping[str, Home]) -> Records:
    """All nodes' jobs; the nodes have stopped."""
    records = {}
    for name, home in homes.items():
        store = Store(home.state / "jobs.sqlite")
        try:
            records[name] = {job.id: job for job in store.all()}
        finally:
            store.close()
    return records


def learnt(records: Records, querier: str, jobs: Sequence[str]) -> list[Learnt]:
    """What everybody learned from those of the querier's ``jobs`` that were done."""
    found = []
    for job in (records[querier][each] for each in jobs):
        if job.state != DONE:
            continue
        plan = Plan.parse(job.plan)
        notes = {name: records[name][job.id].summary["notes"] for name in plan.names}
        found += [
            Learnt(
                reveal.who, job.id, plan.protocol, reveal.what, reveal.of, reveal.text,
                reveal.caution, _size(reveal, plan, notes),
            )
            for reveal in reveals_of(plan)
        ]  # fmt: skip
    return found


def _size(reveal: Reveal, plan: Plan, notes: Mapping[str, Mapping[str, Any]]) -> int | None:
    mine = notes[reveal.who]
    match reveal.what:
        case Learned.SET_SIZE if "peer_rows" in mine:
            return int(mine["peer_rows"])
        case Learned.SET_SIZE:
            theirs = notes[reveal.of[0]]
            return int(theirs["scored"] + theirs["left_out"])
        case Learned.MATCHED_ROWS | Learned.MATCHED_COUNT:
            return int(mine["matched"] if "matched" in mine else mine["scored"])
        case Learned.KEY_LIST | Learned.CONTRIBUTORS:
            return int(mine["keys"])
        case Learned.TOTALS | Learned.KEYS_PASSED:
            return int(mine["passed"])
        case Learned.FEATURE_NAMES:
            return len(plan.message.parties[plan.position(reveal.who)].input.columns)
        case Learned.PARTIAL_LOGIT | Learned.SUMMED_LOGIT:
            return int(mine["scored"])
        case _:
            return None


def lines(found: Sequence[Learnt], who: str) -> list[Line]:
    """What ``who`` learned, the same thing from several parties in one line.

    The bounds that an approver read give way to the sizes that it came to.
    """
    grouped: dict[tuple[str, str], list[tuple[str, int | None]]] = {}
    for each in found:
        if each.who == who:
            source = each.of[0] if len(each.of) == 1 else ""
            text, caution = (_without(_BOUND.sub("", t), source) for t in (each.text, each.caution))
            grouped.setdefault((text, caution), []).append((source, each.size))
    made = []
    for (text, caution), sizes in grouped.items():
        name = sizes[0][0] if len(sizes) == 1 else "each"
        made.append(Line(text.replace(_NAME, name), tuple(sizes), caution.replace(_NAME, name)))
    return made


def _without(text: str, name: str) -> str:
    return re.sub(rf"\b{re.escape(name)}\b", _NAME, text) if name else text


def alike(
    found: Sequence[Learnt], parties: Sequence[str]
) -> list[tuple[tuple[str, ...], list[Line]]]:
    """The parties' lines; those who learned the very same stand together."""
    grouped: dict[tuple[Line, ...], list[str]] = {}
    for name in parties:
        grouped.setdefault(tuple(lines(found, name)), []).append(name)
    return [(tuple(names), list(same)) for same, names in grouped.items()]


def bytes_sent(records: Records) -> dict[tuple[str, str], int]:
    """By sender and receiver: bytes of messages of all jobs that were done, without TLS."""
    sent: dict[tuple[str, str], int] = {}
    for name, jobs in records.items():
        for job in jobs.values():
            for peer, each in job.summary.get("traffic", {}).items():
                sent[name, peer] = sent.get((name, peer), 0) + int(each["sent"])
    return sent
