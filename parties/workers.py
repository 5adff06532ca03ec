"""Heavy work off the event loop: a few processes on this machine.

Processes, because most of the work holds Python's lock, and spawned ones, because forking a
process that runs gRPC's threads is not safe.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from importlib.machinery import ModuleSpec
from typing import Any

from protocols.errors import Misuse


class Workers:
    """``count`` processes, each started when first needed.

    Work goes to the first of those with the least to do: what a process keeps from one block of a
    job to the next (a table of powers, a key) is made in no more of them than do the job.
    """

    def __init__(self, count: int) -> None:
        self._processes = [_Process() for _ in range(count)]

    async def run(self, call: Callable[..., Any], *args: Any) -> Any:
        """``call(*args)`` in one of the processes; its exception if it raises one."""
        return await min(self._processes, key=lambda each: each.jobs).run(call, *args)

    def close(self) -> None:
        for process in self._processes:
            process.close()
        for child in multiprocessing.active_children():
            child.terminate()


class _Process:
    """One worker; ``jobs`` counts what it does and what waits for it."""

    def __init__(self) -> None:
        self.jobs = 0
        self._executor: ProcessPoolExecutor | None = None

    async def run(self, call: Callable[..., Any], *args: Any) -> Any:
        executor = self._executor = self._executor or _start()
        self.jobs += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(executor, call, *args)
        except BrokenProcessPool as error:
            if self._executor is executor:
                self._executor = None  # the next job gets a new one
            raise Misuse("worker-died", "a worker process died: out of memory?") from error
        finally:
            self.jobs -= 1

    def close(self) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)


def _start() -> ProcessPoolExecutor:
    # A spawned process imports its parent's main module again: for `jointcredit node serve` the
    # whole command line, at twice the time and memory that a worker needs. One of this name it
    # leaves alone.
    sys.modules["__main__"].__spec__ = ModuleSpec("__main__", None)
    spawning = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(1, mp_context=spawning, initializer=_settle)


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
