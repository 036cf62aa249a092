"""Progress bars with time left on a terminal; elsewhere a line per finished stage, and one a minute in long ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import Protocol, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

Item = TypeVar("Item")
Advance = Callable[[float], None]
"""Adds units of work to a stage."""

WORTH_A_LINE = 0.05
"""Seconds below which a stage before the jobs was none: it read a cache."""
SILENCE = 60.0
"""Seconds that a log file may stay without a line."""


class Stages(Protocol):
    """A job's report of its progress."""

    def say(self, text: str) -> None:
        """A line that stays above the bars."""

    def stage(self, text: str, total: float) -> AbstractContextManager[Advance]:
        """A bar for one stage."""


class Bars(AbstractContextManager["Bars"]):
    """An overall bar of jobs and, below it, one bar for the stage in hand."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            speed_estimate_period=600,
        )
        self._overall: TaskID | None = None
        self._sizes: list[float] = []
        self._done: set[int] = set()

    def __enter__(self) -> Bars:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def jobs(self, sizes: Sequence[float]) -> None:
        """Start the overall bar; `sizes` are the jobs' shares of the work, in the units of their stages."""
        self._sizes = list(sizes)
        self._overall = self._bars.add_task("all jobs", total=sum(sizes))

    def job_done(self, number: int) -> None:
        """The job of this number (from 0) has ended."""
        self._done.add(number)
        if self._overall is not None:
            self._bars.update(self._overall, completed=sum(self._sizes[n] for n in self._done))

    def say(self, text: str) -> None:
        """A line that stays above the bars."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def stage(self, text: str, total: float, number: int | None = None) -> Iterator[Advance]:
        """A bar for one stage, of job `number` or the one after those that are done; at its end it becomes a line."""
        if self._sizes:
            text = f"[{(len(self._done) if number is None else number) + 1}/{len(self._sizes)}] {text}"
        task = self._bars.add_task(text, total=total)
        begun = said = time.perf_counter()
        done = 0.0

        def advance(n: float) -> None:
            nonlocal done, said
            done += n
            self._bars.advance(task, n)
            if self._overall is not None:
                self._bars.advance(self._overall, n)
            now = time.perf_counter()
            if not self.console.is_terminal and now - said > SILENCE:
                said = now
                left = (now - begun) * (total - done) / done if done else 0
                self.say(f"{text}: {done / total:.0%}, about {left:.0f} s left")

        try:
            yield advance
        finally:
            self._bars.remove_task(task)
        seconds = time.perf_counter() - begun
        if self._sizes or seconds > WORTH_A_LINE:
            self.say(f"{text}: {seconds:.1f} s")

    def over(self, items: Iterable[Item], total: int, text: str) -> Iterator[Item]:
        """The items, counted."""
        with self.stage(text, total) as advance:
            for item in items:
                yield item
                advance(1)
