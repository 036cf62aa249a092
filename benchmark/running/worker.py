"""The process of a job: forked from the server (server.py), it does this one job and ends.

Whatever a method does, it does it here: a hang, a crash, a leak, a changed source or a replaced function of torch
costs this process and the job in hand. Nothing that imports torch is imported at the top, since the server has to be
prepared before that.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeVar

from benchmark.running.order import Order, equip
from benchmark.system.devices import Seat
from benchmark.system.processes import die_with_parent

if TYPE_CHECKING:
    from benchmark.running.plan import Job
    from benchmark.running.setup import Run

Item = TypeVar("Item")
DUMP = signal.SIGUSR1
"""Makes a worker write into the job's log where it is."""
PACE = 0.1
"""Seconds between two messages about progress."""


def work(pipe: Connection, heard: int, server: int, order: Order, seat: Seat, run: Run | None, number: int) -> NoReturn:
    """Do the job of this number on `seat` and end. Messages are tuples: a word, then what belongs to it.

    `heard` is written to when a signal arrives that this process listens to. `run` None: it is made here.
    """
    seat.take()
    become_worker(server, heard)
    from benchmark.running.ranks import start_ranks
    from benchmark.system.hardware import prepare_torch
    from benchmark.system.signals import Stopped, stoppable

    code = 0
    try:
        with stoppable():
            try:
                made = equip(order) if run is None else run
                bars = RemoteBars(pipe)
                made = replace(made, bars=bars, waits=bars.waits)
                made = replace(made, start_ranks=lambda job: start_ranks(order, number, job, bars))
                prepare_torch(seat.threads)  # the server has one: OpenMP's threads do not survive a fork
            except Exception as error:
                pipe.send(("unfit", failure(error)[2]))
                os._exit(1)
            job = made.jobs[number]
            with captured(made.store.out, job):
                verdict = attempt(job, made)
            pipe.send(verdict)
    except Stopped as stopped:
        code = stopped.code
    except BrokenPipeError:
        code = 1  # the server no longer listens
    except SystemExit as ended:  # by a method
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush(), sys.stderr.flush()
    os._exit(code)  # what the method registered for the end, or started, must not keep the process


def draw(pipe: Connection, heard: int, server: int, order: Order, run: Run, job: Job) -> NoReturn:
    """Send what sampling for jobs like this one draws of the source, {settings: Drawn}. No method's hook runs here."""
    become_worker(server, heard)
    from benchmark.running.selection import curve_config
    from benchmark.system.hardware import prepare_torch

    code = 1
    try:
        prepare_torch(order.threads)
        cfg = job.suite.eval
        wanted = [cfg, *([curve_config(cfg)] if cfg.moment_metrics else [])]
        pipe.send({one: run.sampler(job, one).drawn for one in wanted})
        code = 0
    finally:
        os._exit(code)  # where it failed, each job draws for itself, and says why it cannot


def become_worker(server: int, heard: int) -> None:
    """A process group of its own that dies with the server, and listens to signals again."""
    os.setpgid(0, 0)  # Ctrl-C in a terminal is for the command, who tells us once
    die_with_parent(server)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.set_blocking(heard, False)
    signal.set_wakeup_fd(heard, warn_on_full_buffer=False)


def attempt(job: Job, run: Run) -> tuple[str, ...]:
    """("done",), or ("failed", status, reason). Once more with half the images at a time where a GPU is too small."""
    import torch

    from benchmark.running.job import run_job

    try:
        if not fits(job, run):
            smaller = replace(job, parts=2 * job.parts)
            parts = smaller.training.accumulate
            run.bars.say(
                f"{job.label}: out of memory: once more; what is still to be trained, with train.accumulate={parts}"
            )
            run.samplers.clear()
            gc.collect()
            torch.cuda.empty_cache()
            run_job(smaller, run)
    except Exception as error:  # whatever a method does must not take down the others
        traceback.print_exc()
        return failure(error)
    return ("done",)


def fits(job: Job, run: Run) -> bool:
    """Do the job; False where the device was too small.

    The error holds the frames of the attempt, with its networks and graph: it must be gone before the next begins.
    """
    import torch

    from benchmark.running.job import run_job

    try:
        run_job(job, run)
    except torch.OutOfMemoryError:
        traceback.print_exc()
        return False
    return True


def failure(error: Exception) -> tuple[str, str, str]:
    """("failed", status, reason)."""
    import torch

    from benchmark.errors import as_line

    text = as_line(error)
    short = isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in text
    return "failed", "out-of-memory" if short else "failed", text


@contextmanager
def captured(out: Path, job: Job) -> Iterator[None]:
    """What the job prints, and where it stands when it crashes or is asked, goes to its log; none is left if empty."""
    from benchmark.system.folder import Folder

    path = log_path(out, job)
    sys.stdout.flush(), sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    with Folder(out).append(f"logs/{path.name}") as log:
        faulthandler.enable(log)
        faulthandler.register(DUMP, log)
        os.dup2(log.fileno(), 1), os.dup2(log.fileno(), 2)
        try:
            yield
        finally:
            sys.stdout.flush(), sys.stderr.flush()
            os.dup2(saved[0], 1), os.dup2(saved[1], 2)
            faulthandler.unregister(DUMP)
            faulthandler.disable()
            for descriptor in saved:
                os.close(descriptor)
    with contextlib.suppress(OSError):
        if not path.stat().st_size:
            path.unlink()


def log_path(out: Path, job: Job) -> Path:
    """Where what a job prints is kept."""
    return out / "logs" / f"{next(iter(job.record_keys.values()))}.log"


class RemoteBars:
    """The parent's bars, from here."""

    def __init__(self, pipe: Connection) -> None:
        self.pipe = pipe

    def say(self, text: str) -> None:
        """A line that stays above the bars."""
        self.pipe.send(("say", text))

    def waits(self, waiting: bool) -> None:
        """Whether it waits for another process, which is no time of the job's own."""
        self.pipe.send(("waits", waiting))

    @contextmanager
    def stage(self, text: str, total: float) -> Iterator[Callable[[float], None]]:
        """A bar for one stage."""
        self.pipe.send(("stage", text, total))
        unsaid, said = 0.0, time.monotonic()

        def advance(n: float) -> None:
            nonlocal unsaid, said
            unsaid += n
            if time.monotonic() - said > PACE:
                self.pipe.send(("advance", unsaid))
                unsaid, said = 0.0, time.monotonic()

        try:
            yield advance
        finally:
            self.pipe.send(("advance", unsaid))
            self.pipe.send(("stage over",))

    def over(self, items: Iterable[Item], total: int, text: str) -> Iterator[Item]:
        """The items; domains were drawn by the parent, so there is no progress to show."""
        yield from items
