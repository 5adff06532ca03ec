"""Heavy work off the event loop: a small pool of processes on this machine.

Processes, because most of the work holds Python's lock, and spawned ones, because forking a
process that runs gRPC's threads is not safe.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from protocols.errors import Misuse


class Workers:
    """``count`` processes, started when first needed."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._pool: ProcessPoolExecutor | None = None

    async def run(self, call: Callable[..., Any], *args: Any) -> Any:
        """``call(*args)`` in one of the processes; its exception if it raises one."""
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                self._count,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_settle,
            )
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._pool, call, *args)
        except BrokenProcessPool as error:
            self._pool = None  # the next job gets a new one
            raise Misuse("worker-died", "a worker process died: out of memory?") from error

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()


def _settle() -> None:
    """A worker leaves interrupts to its node, and does not outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)
