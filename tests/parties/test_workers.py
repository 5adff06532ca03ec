"""Worker processes: what they answer, which of them does what, and how they end."""

from __future__ import annotations

import asyncio
import operator
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from parties.workers import Workers
from protocols.errors import Misuse


@pytest.fixture
def workers() -> Iterator[Workers]:
    made = Workers(2)
    yield made
    made.close()


def test_work_is_done_elsewhere_and_errors_come_back(workers: Workers) -> None:
    async def go() -> None:
        assert await workers.run(operator.mul, 6, 7) == 42
        assert await workers.run(os.getpid) != os.getpid()
        with pytest.raises(ZeroDivisionError):
            await workers.run(operator.truediv, 1, 0)

    asyncio.run(go())


def test_work_in_sequence_stays_in_one_process_and_work_at_once_is_spread(workers: Workers) -> None:
    async def go() -> None:
        first = await workers.run(os.getpid)
        assert [await workers.run(os.getpid) for _ in range(5)] == [first] * 5
        _, other = await asyncio.gather(workers.run(time.sleep, 0.05), workers.run(os.getpid))
        assert other != first
        assert await workers.run(os.getpid) == first

    asyncio.run(go())


def test_a_process_that_dies_ends_its_own_job_alone(workers: Workers) -> None:
    async def go() -> None:
        first = await workers.run(os.getpid)
        died, lived = await asyncio.gather(
            workers.run(os._exit, 1), workers.run(os.getpid), return_exceptions=True
        )
        assert isinstance(died, Misuse)
        assert died.code == "worker-died"
        assert isinstance(lived, int)
        assert await workers.run(os.getpid) not in (first, lived)

    asyncio.run(go())


def test_one_pool_serves_one_event_loop_after_another(workers: Workers) -> None:
    async def go() -> list[int]:
        return await asyncio.gather(*(workers.run(os.getpid) for _ in range(6)))

    assert set(asyncio.run(go())) == set(asyncio.run(go()))


def test_a_worker_does_not_import_the_command_that_runs_the_node(
    workers: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As the script `jointcredit` is: a file, and no module that could be named.
    script = tmp_path / "command.py"
    script.write_text(f"open({str(tmp_path / 'imported')!r}, 'w')")
    main = ModuleType("__main__")
    main.__file__ = str(script)
    monkeypatch.setitem(sys.modules, "__main__", main)
    assert asyncio.run(workers.run(operator.add, 1, 1)) == 2
    assert not (tmp_path / "imported").exists()
