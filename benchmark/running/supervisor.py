"""The supervisor of jobs in processes of their own: who is next, limits of time and memory, failures."""

from __future__ import annotations

import contextlib
import math
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

import psutil

from benchmark.errors import ConfigError
from benchmark.running.order import Order
from benchmark.running.plan import Job
from benchmark.running.server import GRACE, early, start_server
from benchmark.running.worker import log_path
from benchmark.system.devices import Seat
from benchmark.system.progress import Advance, Bars

LOOK = 0.5
"""Seconds between two looks at time and memory."""
EXIT = {1: "the process ended by itself", -signal.SIGKILL: "killed, as the system does when memory runs out"}
TRIES = 3
"""Servers in a row that may end before they are ready."""


@dataclass(frozen=True)
class Limits:
    """What a job may take; None = anything."""

    seconds: float | None = None
    memory_mb: float | None = None


Failed = Callable[[int, str, str], None]
"""Told the number of a job, a status and a reason."""


@dataclass
class Work:
    """A job that is being done; `pid` None: its process has not started yet."""

    seat: Seat
    pid: int | None = None
    since: float = 0.0
    waits: float | None = None
    """Since when it has waited for what another command makes: its time stands still."""
    told: bool = False
    """It has said how it ended."""
    verdict: tuple[str, str] | None = None
    """(status, reason) of a job that was ended from outside."""
    stage: ExitStack = field(default_factory=ExitStack)
    advance: Advance = lambda n: None

    def wait(self, begins: bool) -> None:
        """It begins or ends to wait."""
        now = time.monotonic()
        if self.waits is not None:
            self.since += now - self.waits
        self.waits = now if begins else None

    @property
    def seconds(self) -> float:
        """That it has worked."""
        return (time.monotonic() if self.waits is None else self.waits) - self.since


class Supervisor:
    """Does jobs, one at a time on each seat of the order. `failed` is called for each that did not end well; `stored`
    says of a job whether its records are there.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        order: Order,
        limits: Limits,
        bars: Bars,
        failed: Failed,
        stored: Callable[[int], bool],
        fail_fast: bool,
    ) -> None:
        self.jobs, self.order, self.limits, self.bars = jobs, order, limits, bars
        self.failed, self.stored, self.fail_fast = failed, stored, fail_fast
        self.waiting = list(range(len(jobs)))
        self.doing: dict[int, Work] = {}
        self.server: BaseProcess | None = None
        self.pipe: Connection | None = None
        self.barren = 0
        """Servers in a row that ended before they were ready."""

    def do(self) -> None:
        """All jobs; returns when none is left. When this process is told to stop, jobs save and end first."""
        try:
            while self.waiting or self.doing:
                self._start_jobs()
                self._listen()
                self._look()
        finally:
            self._dismiss()

    def _start_jobs(self) -> None:
        if self.server is None:
            started = early.pop() if early else start_server("spawn")
            self.server, self.pipe = started.process, started.pipe
            self._order(self.order)
        free = list(self.order.seats)
        for work in self.doing.values():
            free.remove(work.seat)
        while free and (number := self._next()) is not None:
            self.waiting.remove(number)
            self.doing[number] = Work(free.pop(0))
            self._order(("start", number, self.doing[number].seat))

    def _order(self, order: Any) -> None:
        """Tell the server something; that it is gone is found out by `_look`."""
        with contextlib.suppress(OSError):
            assert self.pipe is not None
            self.pipe.send(order)

    def _next(self) -> int | None:
        """The first job that waits for no training of another."""
        busy = {self.jobs[n].train_key for n in self.doing if self.jobs[n].method}
        free = (n for n in self.waiting if not self.jobs[n].method or self.jobs[n].train_key not in busy)
        return next(free, None)

    def _listen(self) -> None:
        """Hear what jobs say, for at most `LOOK` seconds."""
        assert self.pipe is not None
        try:
            if wait([self.pipe], timeout=LOOK):
                while self.pipe.poll():
                    self._hear(*self.pipe.recv())
        except (EOFError, OSError):  # it is gone: `_look` finds out why
            time.sleep(0.05)

    def _hear(self, number: int | None, word: str, *rest: Any) -> None:
        if word == "unfit":
            raise ConfigError(f"worker process: {rest[0]}")
        if number is None:
            self.barren = 0
            return
        work = self.doing.get(number)
        if work is None:
            return
        if word == "started":
            work.pid, work.since = rest[0], time.monotonic()
        elif word == "waits":
            work.wait(rest[0])
        elif word == "say":
            self.bars.say(rest[0])
        elif word == "stage":
            work.advance = work.stage.enter_context(self.bars.stage(rest[0], rest[1], number))
        elif word == "advance":
            work.advance(rest[0])
        elif word == "stage over":
            work.stage.close()
        elif word == "failed":
            work.verdict = work.verdict or (rest[0], rest[1])
        elif word == "done":
            work.told = True
        else:
            self._over(number, rest[0])

    def _over(self, number: int, code: int) -> None:
        """The process of a job has ended, well or not."""
        work = self.doing.pop(number)
        work.stage.close()
        failure = work.verdict
        if failure is None and not work.told:
            why = EXIT.get(code, f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}")
            failure = "out-of-memory" if code == -signal.SIGKILL else "failed", f"its process died: {why}"
        elif failure is None and not self.stored(number):
            failure = "failed", "its process said that it was done, but its records are not in the results folder"
        if failure:
            log = log_path(self.order.out, self.jobs[number])
            said = f" (see logs/{log.name})" if log.is_file() else ""
            self.failed(number, failure[0], failure[1] + said)
            if self.fail_fast:
                self.waiting.clear()
        self.bars.job_done(number)

    def _look(self) -> None:
        """End what takes too much; take note of a server that has ended."""
        assert self.server is not None
        for number, work in self.doing.items():
            self._limit(number, work)
        if self.server.is_alive():
            return
        self.barren += 1
        for number in list(self.doing):
            if self.doing[number].pid is None:  # it never began
                self.waiting.insert(0, number)
                del self.doing[number]
            else:
                self._over(number, self.server.exitcode or 0)
        self.server = None
        if self.barren >= TRIES:
            raise ChildProcessError("the server of worker processes ends again and again; try --jobs 0")

    def _limit(self, number: int, work: Work) -> None:
        if work.pid is None or work.verdict or work.told:
            return
        seconds, memory = work.seconds, memory_mb(work.pid)
        if seconds > (self.limits.seconds or math.inf):
            work.verdict = "timed-out", f"took longer than {self.limits.seconds:g} s (--time-limit)"
        elif memory > (self.limits.memory_mb or math.inf):
            work.verdict = "out-of-memory", f"took more than {self.limits.memory_mb:g} MB (--memory-limit)"
        if work.verdict:
            self._order(("end", number))

    def _dismiss(self) -> None:
        """Have the server end all jobs, those that are at work after the step in hand, and then itself."""
        if self.server is not None:
            self._order(("close", -1))
            self.server.join(GRACE + LOOK)
            self.server.kill()
            self.server.join()
        if self.pipe is not None:
            self.pipe.close()  # a server that an interruption caught at its start ends by that
        for work in self.doing.values():
            work.stage.close()
        self.doing.clear()


def memory_mb(pid: int | None) -> float:
    """Resident memory of a process and those that it started, in MB; 0 where that cannot be known any more."""

    def resident() -> Iterator[int]:
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                yield one.memory_info().rss

    try:
        return sum(resident()) / 2**20
    except psutil.Error:
        return 0.0
