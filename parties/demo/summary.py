"""The outcome for machines: ``summary.json``. Money is decimal text, sizes are bytes."""

from __future__ import annotations

import json
from typing import Any, Final

from parties import __version__
from parties.cards import fingerprint
from parties.demo.questions import Answer
from parties.demo.run import LOGS, NODES, RESULTS, Outcome
from parties.demo.scene import BANK, Actor
from parties.home import Home
from parties.rules import read_policy
from protocols.plan import Plan

SUMMARY_JSON: Final = "summary.json"


def write_summary(outcome: Outcome) -> dict[str, Any]:
    """Into ``summary.json`` of the outcome's directory; and what it says."""
    made = summary(outcome)
    text = json.dumps(made, indent=2, ensure_ascii=False) + "\n"
    (outcome.directory / SUMMARY_JSON).write_text(text, "utf-8")
    return made


def summary(outcome: Outcome) -> dict[str, Any]:
    """Paths are relative to the outcome's directory."""
    made = outcome.conclusions
    refused = outcome.answers.refused
    totals = outcome.answers.totals.columns
    return {
        "version": __version__,
        "ok": outcome.passed,
        "seconds": {name: round(value, 3) for name, value in outcome.seconds.items()},
        "parties": {actor.name: _party(actor, outcome) for actor in outcome.actors},
        "jobs": [_job(answer, outcome) for answer in outcome.answers.all],
        "results": {
            "suppliers": {
                name: list(answer.columns["company"])
                for name, answer in outcome.answers.suppliers.items()
            },
            "totals": {
                name: {"total_gbp": str(total), "contributors": contributors}
                for name, total, contributors in zip(
                    totals["company"], totals["total"], totals["contributors"], strict=True
                )
            },
            "decisions": {
                "suppliers": made.suppliers.counts,
                "cardholders": made.cardholders.counts,
            },
            "files": [f"{RESULTS}/{name}" for name in outcome.tables],
        },
        "figures": {"joint": vars(made.joint), "bank_only": vars(made.bank_only)},
        "refused": {
            "job": refused.job,
            "code": refused.code,
            "exit_code": refused.exit_code,
            "message": refused.message,
        },
        "learnt": [vars(each) for each in outcome.learnt],
        "links": [
            {"from": sender, "to": receiver, "bytes": count}
            for (sender, receiver), count in sorted(outcome.sent.items())
        ],
        "checks": [
            {
                "name": check.name,
                "passed": check.passed,
                "compared": check.compared,
                "faults": check.faults,
                "detail": check.detail,
            }
            for check in outcome.checks
        ],
    }


def _party(actor: Actor, outcome: Outcome) -> dict[str, Any]:
    home = Home(outcome.directory / NODES / actor.name)
    return {
        "kind": actor.kind,
        "directory": f"{NODES}/{actor.name}",
        "log": f"{LOGS}/{actor.name}.log",
        "listen": home.settings().listen,
        "fingerprint": fingerprint(home.identity().signing_key),
        "datasets": [entry.name for entry in actor.datasets],
        "trusts": actor.trusts,
        "policy_lines": len(read_policy(home.policy_toml).rules),
        "peak_memory_bytes": outcome.memory[actor.name],
    }


def _job(answer: Answer, outcome: Outcome) -> dict[str, Any]:
    parties = {
        name: jobs[answer.job].summary
        for name, jobs in outcome.records.items()
        if answer.job in jobs and jobs[answer.job].summary
    }
    plan = Plan.parse(outcome.records[BANK][answer.job].plan)
    return {
        "job": answer.job,
        "question": answer.question.label,
        "protocol": plan.protocol,
        "plan_hash": plan.hash.hex(),
        "parties": plan.names,
        "state": answer.state,
        "exit_code": answer.exit_code,
        "seconds": round(answer.seconds, 3),
        "command": answer.question.command(),
        "at": parties,
    }
