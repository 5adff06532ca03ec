"""What every test of ``protocols`` shares."""

from __future__ import annotations

import os

import pytest

from tests.protocols.case import Case
from tests.protocols.cases import CASES

SEEDS = int(os.environ.get("JOINTCREDIT_SEEDS", "200"))


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Case:
    """Every case in turn, with pieces small enough that its data takes many frames."""
    chosen: Case = request.param
    shrink(chosen, monkeypatch)
    return chosen


def shrink(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    for target, value in case.small.items():
        monkeypatch.setattr(target, value)


def seeds() -> range:
    """JOINTCREDIT_SEEDS schedules for every case."""
    return range(SEEDS)
