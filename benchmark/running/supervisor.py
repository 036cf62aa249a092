"""The supervisor of worker processes: who does which job, limits of time and memory, failures."""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

import psutil

from benchmark.errors import ConfigError
from benchmark.running.plan import Job
from benchmark.running.worker import DUMP, Order, log_path, work
from benchmark.system.progress import Advance, Bars

GRACE = 30.0
"""Seconds that a worker has to end its step and save when it is told to stop."""
LOOK = 0.5
"""Seconds between two looks at time and memory."""
EXIT = {1: "the process ended by itself", -signal.SIGKILL: "killed, as the system does when memory runs out"}


@dataclass(frozen=True)
class Limits:
    """What a job may take; None = anything."""

    seconds: float | None = None
    memory_mb: float | None = None


Failed = Callable[[int, str, str], None]
"""Told the number of a job, a status and a reason."""


@dataclass
class Worker:
    """A process, the pipe to it, and the job that it does."""

    process: SpawnProcess
    pipe: Connection
    ready: bool = False
    job: int | None = None
    since: float = 0.0
    verdict: tuple[str, str] | None = None
    """(status, reason) of a job that was ended from outside."""
    stage: ExitStack = field(default_factory=ExitStack)
    advance: Advance = lambda n: None


class Supervisor:
    """`size` processes that do jobs. `failed` is called for each that did not end well."""

    def __init__(
        self, jobs: Sequence[Job], order: Order, size: int, limits: Limits, bars: Bars, failed: Failed, fail_fast: bool
    ) -> None:
        self.jobs, self.order, self.size, self.limits, self.bars = jobs, order, size, limits, bars
        self.failed, self.fail_fast = failed, fail_fast
        self.waiting = list(range(len(jobs)))
        self.workers: list[Worker] = []
        self.barren = 0
        """Workers in a row that ended before they were ready."""

    def do(self) -> None:
        """All jobs; returns when none is left. When this process is told to stop, workers save and end first."""
        try:
            while self.waiting or any(w.job is not None for w in self.workers):
                self._hire()
                self._listen()
                self._look()
        finally:
            self._dismiss()

    def _hire(self) -> None:
        while len(self.workers) < min(self.size, len(self.waiting) + sum(w.job is not None for w in self.workers)):
            ours, theirs = multiprocessing.Pipe()
            process = multiprocessing.get_context("spawn").Process(target=work, args=(theirs, self.order))
            process.start()
            theirs.close()
            self.workers.append(Worker(process, ours))
        for worker in self.workers:
            if worker.ready and worker.job is None and (number := self._next()) is not None:
                worker.job, worker.since = number, time.monotonic()
                self.waiting.remove(number)
                with contextlib.suppress(OSError):  # it died just now: `_look` finds that out
                    worker.pipe.send(number)

    def _next(self) -> int | None:
        """The first job that waits for no training of another worker."""
        busy = {self.jobs[w.job].train_key for w in self.workers if w.job is not None and self.jobs[w.job].method}
        free = (n for n in self.waiting if not self.jobs[n].method or self.jobs[n].train_key not in busy)
        return next(free, None)

    def _listen(self) -> None:
        """Hear what workers say, for at most `LOOK` seconds."""
        pipes = {w.pipe: w for w in self.workers}
        for pipe in wait([*pipes, *(w.process.sentinel for w in self.workers)], timeout=LOOK):
            if isinstance(pipe, Connection):
                self._hear(pipes[pipe])

    def _hear(self, worker: Worker) -> None:
        try:
            while worker.pipe.poll():
                word, *rest = worker.pipe.recv()
                if word == "ready":
                    worker.ready, self.barren = True, 0
                elif word == "unfit":
                    raise ConfigError(f"worker process: {rest[0]}")
                elif word == "say":
                    self.bars.say(rest[0])
                elif word == "stage":
                    worker.advance = worker.stage.enter_context(self.bars.stage(rest[0], rest[1], worker.job))
                elif word == "advance":
                    worker.advance(rest[0])
                elif word == "stage over":
                    worker.stage.close()
                else:
                    self._over(worker, None if word == "done" else (rest[0], rest[1]))
        except (EOFError, OSError):  # it is gone: `_look` finds out why
            return

    def _over(self, worker: Worker, failure: tuple[str, str] | None) -> None:
        """The worker's job has ended, well or not."""
        number, worker.job = worker.job, None
        worker.stage.close()
        if number is None:
            return
        if failure:
            log = log_path(self.order.out, self.jobs[number])
            said = f" (see logs/{log.name})" if log.is_file() else ""
            self.failed(number, failure[0], failure[1] + said)
            if self.fail_fast:
                self.waiting.clear()
        self.bars.job_done(number)

    def _look(self) -> None:
        """End what takes too much; take note of who has ended."""
        for worker in list(self.workers):
            if worker.process.is_alive():
                self._limit(worker)
                continue
            self._hear(worker)
            self.workers.remove(worker)
            code = worker.process.exitcode or 0
            why = EXIT.get(code, f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}")
            if worker.job is not None:
                status = "out-of-memory" if code == -signal.SIGKILL else "failed"
                self._over(worker, worker.verdict or (status, f"its process died: {why}"))
            elif not worker.ready:
                self.barren += 1
                if self.barren > 2:
                    raise ChildProcessError(f"worker processes end before they begin ({why}); try --jobs 0")

    def _limit(self, worker: Worker) -> None:
        if worker.job is None or worker.verdict:
            return
        seconds, memory = time.monotonic() - worker.since, memory_mb(worker.process.pid)
        if seconds > (self.limits.seconds or math.inf):
            worker.verdict = "timed-out", f"took longer than {self.limits.seconds:g} s (--time-limit)"
        elif memory > (self.limits.memory_mb or math.inf):
            worker.verdict = "out-of-memory", f"took more than {self.limits.memory_mb:g} MB (--memory-limit)"
        if worker.verdict:
            with contextlib.suppress(OSError):
                os.kill(worker.process.pid or 0, DUMP)  # its log says where it was
                time.sleep(0.2)
            worker.process.kill()
            worker.process.join()

    def _dismiss(self) -> None:
        """Send everybody home: who is idle at once, who works after the step in hand."""
        for worker in self.workers:
            if worker.job is None and worker.ready:
                with contextlib.suppress(OSError):
                    worker.pipe.send(None)
            else:
                worker.process.terminate()
        until = time.monotonic() + GRACE
        for worker in self.workers:
            worker.process.join(max(until - time.monotonic(), 0.1))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.stage.close()
            worker.pipe.close()
        self.workers.clear()


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
