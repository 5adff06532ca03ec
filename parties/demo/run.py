"""The demonstration from an empty directory to checked results."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any, Final

from parties.demo import plaintext, questions, statement
from parties.demo.conclusions import Conclusions, conclude
from parties.demo.nodes import make_nodes, running
from parties.demo.plaintext import Check, check_refused
from parties.demo.questions import Answer, OnProgress, Question, ask
from parties.demo.scene import BANK, ENTERPRISES, Actor, actors
from parties.demo.statement import Learnt, Records
from parties.home import Home
from parties.outputs import write_table
from parties.store import DONE, WAITING

NODES, LOGS, RESULTS = "nodes", "logs", "results"
STARTING: Final = "nodes"
"""What ``OnProgress`` calls the nodes' start."""
_THREADS = 16  # as many as there are questions, and the oracle


@dataclass(frozen=True)
class Answers:
    """The bank's questions, answered; all but ``refused``."""

    suppliers: Mapping[str, Answer]
    totals: Answer
    scores: Answer
    refused: Answer

    @property
    def all(self) -> tuple[Answer, ...]:
        return (*self.suppliers.values(), self.totals, self.scores, self.refused)


@dataclass(frozen=True)
class Outcome:
    """All there is to tell. ``memory`` is in bytes by party, ``None`` where the system does not
    tell; ``sent`` in bytes by sender and receiver; ``seconds`` of wall time by stage."""

    directory: Path
    actors: Sequence[Actor]
    answers: Answers
    conclusions: Conclusions
    learnt: Sequence[Learnt]
    sent: Mapping[tuple[str, str], int]
    memory: Mapping[str, int | None]
    records: Records
    seconds: Mapping[str, float]

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)

    @property
    def checks(self) -> tuple[Check, ...]:
        return (*self.conclusions.checks, check_refused(self.answers.refused))

    @property
    def tables(self) -> dict[str, Mapping[str, Sequence[Any]]]:
        """What is written to the results folder, by file name."""
        made = {f"suppliers_{n}.csv": a.columns for n, a in self.answers.suppliers.items()}
        made["totals.csv"] = self.answers.totals.columns
        made["scores.csv"] = self.answers.scores.columns
        made["decisions_suppliers.csv"] = self.conclusions.suppliers.columns
        made["decisions_cardholders.csv"] = self.conclusions.cardholders.columns
        return made


def run(directory: Path, example: Path, on_progress: OnProgress) -> Outcome:
    """Everything, below ``directory``, which is empty. ``on_progress`` is called from threads.

    Raises ``NodeError`` for a node that does not start and for a question that is not answered;
    results that are not right are told in the outcome's checks.
    """
    began = time.monotonic()
    for name in (NODES, LOGS, RESULTS):
        (directory / name).mkdir()
    cast = actors()
    homes = make_nodes(cast, example, directory / NODES)
    ready: list[str] = []

    def on_ready(name: str) -> None:
        ready.append(name)
        stage = "starting" if len(ready) < len(cast) else DONE
        on_progress(STARTING, stage, len(ready), len(cast))

    on_progress(STARTING, "starting", 0, len(cast))
    stopping = Event()
    with ThreadPoolExecutor(_THREADS) as pool:
        right = pool.submit(plaintext.expected, example)
        with running(list(homes.values()), directory / LOGS, on_ready) as nodes:
            started = time.monotonic()
            try:
                answers = ask_all(homes[BANK], example, pool, on_progress, stopping)
            except BaseException:
                stopping.set()
                nodes.terminate()  # begins nothing new: then what runs can be called off
                questions.cancel_all(homes[BANK])
                raise
            asked = time.monotonic()
            memory = nodes.peak_memory()
    records = statement.read_records(homes)
    conclusions = conclude(
        example,
        {name: answer.columns["company"] for name, answer in answers.suppliers.items()},
        answers.totals.columns,
        answers.scores.columns,
        records[BANK][answers.scores.job].summary["notes"],
        right.result(),
    )
    seconds = {"starting": started - began, "asking": asked - started}
    seconds["all"] = time.monotonic() - began
    learnt = statement.learnt(records, BANK, [answer.job for answer in answers.all])
    outcome = Outcome(
        directory, cast, answers, conclusions, learnt,
        statement.bytes_sent(records), memory, records, seconds,
    )  # fmt: skip
    for name, columns in outcome.tables.items():
        write_table(directory / RESULTS / name, columns)
    return outcome


def ask_all(
    bank: Home,
    example: Path,
    pool: ThreadPoolExecutor,
    on_progress: OnProgress,
    stopping: Event,
) -> Answers:
    """All at a time but the totals, whose key list is what the first questions found."""

    def put(question: Question) -> Future[Answer]:
        return pool.submit(ask, bank, question, on_progress, stopping)

    by_enterprise = {name: questions.which_applicants(name) for name in ENTERPRISES}
    what_paid, what_refused = questions.what_they_are_paid(), questions.what_is_refused()
    how_likely = questions.how_likely_is_default((example / "model.json").read_bytes())
    for question in (*by_enterprise.values(), what_paid, how_likely, what_refused):
        on_progress(question.label, WAITING, 0, 0)
    asked = {name: put(question) for name, question in by_enterprise.items()}
    scores, refused = put(how_likely), put(what_refused)
    suppliers = {name: each.result().required() for name, each in asked.items()}
    found = {name: answer.columns["company"] for name, answer in suppliers.items()}
    questions.add_suppliers(bank, found)
    totals = put(what_paid).result().required()
    return Answers(suppliers, totals, scores.result().required(), refused.result())
