"""What the bank asks in the demonstration, and how one question is put to its node."""

from __future__ import annotations

import csv
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Event
from typing import Any, Final

from parties.client import Client, NodeError
from parties.config import DatasetEntry, add_dataset
from parties.demo.scene import (
    APPLICANTS,
    BANK,
    CARDHOLDERS,
    ENTERPRISES,
    FLOOR,
    LEAST_ASKED,
    LEAST_SCORED,
    PARTNER,
    PAYABLES,
    SUPPLIERS,
)
from parties.errors import ConfigError
from parties.home import Home
from parties.requests import Query
from parties.results import from_arrow
from parties.status import Exit
from parties.store import DONE, ENDED

PURPOSE: Final = "joint credit check"

OnProgress = Callable[[str, str, int, int], None]
"""Question, stage, how many of its steps are done, of how many."""


@dataclass(frozen=True)
class Question:
    label: str
    query: Query
    model: bytes = b""

    def command(self) -> str:
        """The same question on the command line."""
        query = self.query
        keys = "--keys" if query.protocol == "sum" else "--mine"
        (theirs,) = set(query.theirs.values())
        words = [
            f"jointcredit {query.protocol} --node {BANK} --with {','.join(query.theirs)}",
            f"{keys} {query.mine} --theirs {theirs}",
            *[f"--{name.replace('_', '-')} {value}" for name, value in query.options.items()],
        ]
        if query.model:
            words.append(f"--model {query.model}")
        return " ".join([*words, f"--purpose {PURPOSE!r} --out {self.label.replace(' ', '_')}.csv"])


@dataclass(frozen=True)
class Answer:
    """How a question ended at the bank's node; ``columns`` is its result where it has one."""

    question: Question
    job: str
    state: str
    code: str
    exit_code: int
    message: str
    seconds: float
    columns: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def required(self) -> Answer:
        """Itself if it was answered; ``NodeError`` says why not."""
        if self.state != DONE:
            text = f"{self.question.label}: job {self.job} {self.state}: {self.message}"
            raise NodeError(self.code, self.exit_code or Exit.OTHER, text)
        return self


def which_applicants(enterprise: str) -> Question:
    """(a) Which of the bank's applicants does ``enterprise`` pay?"""
    query = Query("psi", APPLICANTS, {enterprise: PAYABLES}, purpose=PURPOSE,
                  options={"min_rows": LEAST_ASKED})  # fmt: skip
    return Question(f"psi {enterprise}", query)


def what_they_are_paid(floor: int = FLOOR, label: str = "sum") -> Question:
    """(b) What do all enterprises together pay each of the suppliers that (a) found?"""
    query = Query("sum", SUPPLIERS if floor == FLOOR else APPLICANTS,
                  dict.fromkeys(ENTERPRISES, PAYABLES), purpose=PURPOSE,
                  options={"amount": "amount", "floor": floor})  # fmt: skip
    return Question(label, query)


def what_is_refused() -> Question:
    """A total with a floor of one: it would show an enterprise's own amounts."""
    return what_they_are_paid(floor=1, label="sum refused")


def how_likely_is_default(model: bytes) -> Question:
    """(c) The score of each cardholder whom the data partner knows too."""
    query = Query("score", CARDHOLDERS, {PARTNER: CARDHOLDERS}, purpose=PURPOSE,
                  model="model.json", options={"min_rows": LEAST_SCORED})  # fmt: skip
    return Question("score", query, model)


def add_suppliers(bank: Home, found: Mapping[str, Sequence[str]]) -> list[str]:
    """The applicants whom at least ``FLOOR`` enterprises pay, as the bank's dataset for (b).

    ``found`` are the rows that (a) came to, by enterprise. Contributors to a sum get to know its
    key list, so the bank asks about those alone that can pass the floor: nobody is shown the
    others.
    """
    counts = Counter(name for names in found.values() for name in names)
    listed = [name for name, count in counts.items() if count >= FLOOR]
    with (bank.directory / f"{SUPPLIERS}.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([["company"], *([name] for name in listed)])
    entry = DatasetEntry(SUPPLIERS, f"{SUPPLIERS}.csv", ("company",), "name")
    add_dataset(bank.datasets_toml, entry)
    return listed


def ask(home: Home, question: Question, on_progress: OnProgress, stopping: Event) -> Answer:
    """Submits ``question`` to the node of ``home`` and waits for its end, whichever it is.

    A job that was submitted while ``stopping`` was being set is called off here: :func:`cancel_all`
    may have come too early for it.
    """
    began = time.monotonic()
    with Client.open(home.directory) as client:
        job = client.submit(question.query.to_toml(), question.model)
        if stopping.is_set():
            cancel_all(home)
        for seen in client.watch(job):
            if seen.state in ENDED:
                columns = from_arrow(client.result(job)) if seen.state == DONE else {}
                seconds = time.monotonic() - began
                on_progress(question.label, seen.state, 1, 1)
                return Answer(
                    question, job, seen.state, seen.code, seen.exit_code, seen.message, seconds,
                    columns,
                )  # fmt: skip
            on_progress(question.label, seen.stage or seen.state, seen.done, seen.total)
    raise NodeError("link-lost", Exit.LINK, f"the node stopped telling of job {job}")


def cancel_all(home: Home) -> None:
    """Calls off what the node of ``home`` still runs or waits for, so that it can stop at once."""
    with suppress(NodeError, ConfigError), Client.open(home.directory) as client:
        for job in client.jobs():
            if job.state not in ENDED:
                with suppress(NodeError):  # it may have ended meanwhile
                    client.cancel(job.job)
