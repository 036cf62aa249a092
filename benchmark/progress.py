"""Progress bars with time left on a terminal, one line per finished stage elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

Item = TypeVar("Item")
Advance = Callable[[float], None]
"""Adds units of work to a stage."""


class Bars(AbstractContextManager["Bars"]):
    """An overall bar of jobs and, below it, one bar for the stage in hand."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._bars = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
            console=console, disable=not console.is_terminal, speed_estimate_period=60,
        )  # fmt: skip
        self._overall: TaskID | None = None

    def __enter__(self) -> Bars:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def jobs(self, total: int) -> None:
        """Start the overall bar."""
        self._overall = self._bars.add_task("all jobs", total=total)

    def job_done(self) -> None:
        """One more job finished."""
        if self._overall is not None:
            self._bars.advance(self._overall)

    def say(self, text: str) -> None:
        """A line that stays above the bars."""
        self._bars.console.print(text, markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def stage(self, text: str, total: float) -> Iterator[Advance]:
        """A bar for one stage; it disappears when the stage ends."""
        task = self._bars.add_task(text, total=total)
        begun = time.perf_counter()
        try:
            yield lambda n: self._bars.advance(task, n)
        finally:
            self._bars.remove_task(task)
        self.say(f"{text}: {time.perf_counter() - begun:.1f} s")

    def over(self, items: Iterable[Item], total: int, text: str) -> Iterator[Item]:
        """The items, counted."""
        with self.stage(text, total) as advance:
            for item in items:
                yield item
                advance(1)
