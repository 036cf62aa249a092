"""Work in several processes: results in order, few of them ahead, and one process where several are impossible."""

from __future__ import annotations

import multiprocessing
import os
import signal
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from benchmark.system.processes import follow_parent
from benchmark.system.signals import hear_signals, starting_processes

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 2
"""Results per process that may wait for their turn."""


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_processes(work: Callable[[Item], Result], items: Sequence[Item], workers: int, what: str) -> Iterator[Result]:
    """``work`` of each item, in order, by ``workers`` processes; by this one where that is 1 or the pool breaks.

    ``work``, items and results have to be picklable. ``what`` names the work in the warning about a broken pool.
    What ``work`` raises is raised here.
    """
    done = 0
    # A daemon process may not have children, and a script without a __main__ guard breaks the pool: both work here.
    if workers > 1 and len(items) > 1 and not multiprocessing.current_process().daemon:
        try:
            for result in _pooled(work, items, min(workers, len(items))):
                yield result
                done += 1
        except (BrokenProcessPool, OSError) as error:
            warnings.warn(f"{what} in one process, the pool failed: {error}", stacklevel=2)
    for item in items[done:]:
        yield work(item)


def _pooled(work: Callable[[Item], Result], items: Sequence[Item], workers: int) -> Iterator[Result]:
    pool = ProcessPoolExecutor(
        max_workers=workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_depend_on_parent,
    )
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            if len(waiting) >= AHEAD * workers:
                yield waiting.popleft().result()
            with starting_processes():  # the first submissions start them
                waiting.append(pool.submit(work, item))
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _depend_on_parent() -> None:
    """Ctrl-C in a terminal is the parent's; its end is ours."""
    follow_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    hear_signals()
