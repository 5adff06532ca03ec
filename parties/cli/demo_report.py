"""What a demonstration came to, for people: fits 80 columns, plain where there is no terminal."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from parties.cli import ui
from parties.demo import decisions, statement
from parties.demo.questions import Question
from parties.demo.run import RESULTS, Outcome
from parties.demo.scene import FLOOR, PARTNER, WITHHELD_COLUMNS
from parties.demo.summary import SUMMARY_JSON

HEAD: Final = 4
_NUMBER: Final = re.compile(r"[\d,.]*( [kMG]?B|%)?")
_STYLES: Final = {decisions.APPROVE: "green", decisions.REFER: "yellow", decisions.USUAL: "dim"}


def show(outcome: Outcome, kept: bool) -> None:
    """On standard output. ``kept``: whether the directory is still there afterwards."""
    page = _Page()
    _parties(page, outcome)
    _suppliers(page, outcome)
    _totals(page, outcome)
    _scores(page, outcome)
    _refused(page, outcome)
    _decisions(page, outcome)
    _learnt(page, outcome)
    _links(page, outcome)
    _checks(page, outcome, kept)


class _Page:
    def __init__(self) -> None:
        self._console = Console(highlight=False, markup=False, emoji=False)

    def heading(self, text: str) -> None:
        self._console.print()
        self._console.print(Text(text, "bold"))

    def text(self, text: str, style: str = "", indent: int = 2, mark: str = "") -> None:
        """Wrapped; ``mark`` stands before the first line, the others align with its text."""
        width = max(20, self._console.width - indent - len(mark))
        for line in Text(ui.clean(text), style).wrap(self._console, width):
            line.rstrip()
            self._console.print(Text(" " * indent + mark) + line)
            mark = " " * len(mark)

    def command(self, question: Question) -> None:
        self.text(f"$ {question.command()}", "dim")

    def table(
        self, columns: Sequence[str], rows: Iterable[Sequence[Any]], styled: int | None = None
    ) -> None:
        """Numbers to the right; ``styled`` is the column whose words have a colour."""
        rows = list(rows)
        table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
        for at, name in enumerate(columns):
            right = all(_NUMBER.fullmatch(_shown(row[at])) for row in rows)
            table.add_column(name, justify="right" if right else "left")
        for row in rows:
            cells = [Text(_shown(cell)) for cell in row]
            if styled is not None:
                cells[styled].stylize(_STYLES.get(str(row[styled]), ""))
            table.add_row(*cells)
        self._console.print(Padding(table, (0, 0, 0, 2), expand=False))


def _shown(cell: object) -> str:
    if cell is None:
        return ""
    return f"{cell:,}" if isinstance(cell, int | Decimal) else ui.clean(cell)


def _parties(page: _Page, outcome: Outcome) -> None:
    seconds = outcome.seconds
    page.heading(f"A joint credit check between {len(outcome.actors)} parties, real data")
    page.text(
        f"Each party is a process with its own keys, data and policy. Nodes ready after "
        f"{seconds['starting']:.1f} s, all questions answered {seconds['asking']:.1f} s later."
    )
    rows = []
    for actor in outcome.actors:
        peak = outcome.memory[actor.name]
        memory = None if peak is None else ui.bytes_text(peak)
        allowed = [rule.protocol for rule in actor.rules]
        holds = ", ".join(entry.name for entry in actor.datasets)
        rows.append((actor.name, actor.kind, holds, ", ".join(allowed) or "nothing", memory))
    page.table(("party", "is", "holds", "lets the bank", "peak memory"), rows)


def _suppliers(page: _Page, outcome: Outcome) -> None:
    answers = outcome.answers.suppliers
    table = outcome.conclusions.suppliers
    page.heading(f"1  Which of the bank's {len(table)} applicants do enterprises pay?")
    page.command(next(iter(answers.values())).question)
    sizes = {e.of[0]: e.size for e in outcome.learnt if e.what == "set-size"}
    rows = [
        (name, sizes[name], len(answer.columns["company"]), f"{answer.seconds:.1f}")
        for name, answer in answers.items()
    ]
    page.table(("enterprise", "suppliers", "applicants among them", "seconds"), rows)
    paid = sum(count > 0 for count in table.columns["enterprises"])
    page.text(f"{paid} applicants are suppliers of at least one enterprise.")


def _totals(page: _Page, outcome: Outcome) -> None:
    answer = outcome.answers.totals
    totals = [total for total in answer.columns["total"] if total is not None]
    page.heading("2  What do they owe each in total, no enterprise's part shown?")
    page.command(answer.question)
    page.text(
        f"Asked about the {len(answer.columns['company'])} applicants alone that at least {FLOOR} "
        "enterprises pay, as 1 has shown: enterprises learn the key list of a sum, and nobody who "
        f"could not pass the floor needs to be on it. {len(totals)} totals came out, from "
        f"{min(totals):,} to {max(totals):,} pounds, {sum(totals):,} together, "
        f"in {answer.seconds:.1f} s. The ledgers are payments of 2018, read as what fell due then."
    )


def _scores(page: _Page, outcome: Outcome) -> None:
    made, answer = outcome.conclusions, outcome.answers.scores
    page.heading("3  How likely is a cardholder to default?")
    page.command(answer.question)
    rows = [
        (name, f"{q.auc:.4f}", f"{q.ks:.4f}", f"{q.default_rate:.1%}")
        for name, q in (
            ("the bank's columns alone", made.bank_only),
            (f"with {PARTNER}'s", made.joint),
        )
    ]
    page.table(("model", "AUC", "KS", "defaults among the best 80 %"), rows)
    known, everybody = len(answer.columns["id"]), len(made.cardholders)
    page.text(
        f"On the {known:,} of {everybody:,} cardholders whom both parties know, none of them used "
        f"to fit a model. Scored in {answer.seconds:.1f} s. {', '.join(WITHHELD_COLUMNS)} are in "
        f"the partner's file too; no line of its policy lets them be used."
    )


def _refused(page: _Page, outcome: Outcome) -> None:
    answer = outcome.answers.refused
    page.heading("Refused: the same totals with a floor of 1, an enterprise's own amounts")
    page.command(answer.question)
    page.text(f"{answer.message}", "yellow")
    page.text(f"Exit code {answer.exit_code}. The owner's node decides, whoever asks.")


def _decisions(page: _Page, outcome: Outcome) -> None:
    suppliers, cards = outcome.conclusions.suppliers, outcome.conclusions.cardholders
    page.heading(f"Decisions on suppliers: {_counted(suppliers)}")
    _head(page, suppliers, ("company", "total_gbp", "decision", "reason"))
    page.heading(f"Decisions on cardholders: {_counted(cards)}")
    _head(page, cards, tuple(cards.columns))
    page.text("Companies and people: the two data sets have no row in common, and none is joined.")


def _counted(table: decisions.Table) -> str:
    return ", ".join(f"{count:,} {decision}" for decision, count in table.counts.items())


def _head(page: _Page, table: decisions.Table, shown: Sequence[str]) -> None:
    columns = [table.columns[name] for name in shown]
    rows = []
    for at in table.head(HEAD):
        row = [column[at] for column in columns]
        rows.append([f"{cell:.4f}" if isinstance(cell, float) else cell for cell in row])
    page.table([name.replace("_", " ") for name in shown], rows, shown.index("decision"))


def _learnt(page: _Page, outcome: Outcome) -> None:
    page.heading("Who learned what: the protocols' own statements, with the sizes it came to")
    names = [actor.name for actor in outcome.actors]
    for parties, lines in statement.alike(outcome.learnt, names):
        page.text(", ".join(parties) + (", each of them" if len(parties) > 1 else ""), "bold")
        for line in lines:
            sizes = [f"{name} {n:,}" if len(line.sizes) > 1 else f"{n:,}"
                     for name, n in line.sizes if n is not None]  # fmt: skip
            page.text(line.text + (f": {', '.join(sizes)}" if sizes else ""), indent=4, mark="- ")
            if line.caution:
                page.text(f"note: {line.caution}", "dim", indent=6)


def _links(page: _Page, outcome: Outcome) -> None:
    page.heading("What crossed the links, before TLS")
    names = [actor.name for actor in outcome.actors]
    rows = []
    for at, one in enumerate(names):
        for other in names[at + 1 :]:
            there, back = outcome.sent.get((one, other), 0), outcome.sent.get((other, one), 0)
            if there or back:
                rows.append((one, other, there, back))
    page.table(("from", "to", "bytes there", "bytes back"), rows)


def _checks(page: _Page, outcome: Outcome, kept: bool) -> None:
    page.heading("Every answer against the same computed in the clear from all files")
    rows = [
        (check.name, check.compared, "equal" if check.passed else "DIFFERS", check.detail)
        for check in outcome.checks
    ]
    page.table(("answers", "compared", "verdict", "how"), rows)
    if kept:
        page.text(f"Tables, logs, nodes and {SUMMARY_JSON} are in {outcome.directory}")
        whole = ", ".join(name for name in outcome.tables if name.startswith("decisions"))
        page.text(f"Whole tables in {RESULTS}/: {whole}")
    else:
        page.text("Nothing is kept; --dir DIR keeps nodes, whole tables, logs and summary.json.")
    total = f"{outcome.seconds['all']:.1f} s in all."
    if outcome.passed:
        page.text(f"All answers are right. {total}", "bold green")
    else:
        page.text(f"WRONG ANSWERS, see below. {total}", "bold red")
