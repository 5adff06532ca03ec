"""An error in one sweep (a full disk, say) ended all sweeping: withdrawn cards no longer bit."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from parties import serve


class Failing:
    """A node whose disk is full."""

    def __init__(self) -> None:
        self.swept = 0

    def expire(self, now: float) -> None:
        raise OSError("no space left on device")

    def end_idle(self) -> None:
        raise OSError("no space left on device")

    def drop_strangers(self) -> None:
        self.swept += 1


def test_an_error_does_not_end_the_sweeping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "SWEEP_SECONDS", 0)
    node: Any = Failing()

    async def run() -> None:
        sweeper = asyncio.create_task(serve._sweep(node))
        for _ in range(100):
            await asyncio.sleep(0)
        assert not sweeper.done()
        sweeper.cancel()
        with suppress(asyncio.CancelledError):
            await sweeper

    asyncio.run(run())
    assert node.swept > 2
