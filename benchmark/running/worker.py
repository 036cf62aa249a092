"""The worker process: does jobs one after the other until none are left or one breaks it.

Whatever a method does, it does it here: a hang, a crash or a leak costs this process and the job in hand, and the
parent (supervisor.py) starts another. Nothing that imports torch is imported at the top, since the process has to be
prepared before that.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from benchmark.results import Doctor
    from benchmark.running.plan import Job
    from benchmark.running.setup import Request, Run

Item = TypeVar("Item")
DUMP = signal.SIGUSR1
"""Makes a worker write into the job's log where it is."""
PACE = 0.1
"""Seconds between two messages about progress."""


@dataclass(frozen=True)
class Order:
    """What a worker needs to know, as plain values."""

    request: Request
    keys: tuple[str, ...]
    """The first record's key of each job, by which both sides know that they mean the same."""
    out: Path
    threads: int
    tensorboard: bool
    doctor: Doctor | None
    environment: dict[str, Any]


def work(pipe: Connection, order: Order) -> None:
    """Ask for the number of a job, do it, until None comes. Messages are tuples: a word, then what belongs to it."""
    with contextlib.suppress(AttributeError, PermissionError):
        os.setpgrp()  # Ctrl-C in a terminal is for the parent, who tells us once
    threading.Thread(target=follow_parent, daemon=True).start()
    from benchmark.system.startup import prepare_process

    prepare_process()
    from benchmark.system.signals import Stopped, stoppable

    try:
        with stoppable():
            try:
                run = equip(pipe, order)
            except Exception as error:
                pipe.send(("unfit", failure(error)[2]))
                return
            pipe.send(("ready",))
            while (number := pipe.recv()) is not None:
                job = run.jobs[number]
                with captured(run.store.out, job):
                    pipe.send(attempt(job, run))
    except Stopped as stopped:
        sys.exit(stopped.code)
    except (BrokenPipeError, EOFError):
        sys.exit(1)  # the parent no longer listens


def equip(pipe: Connection, order: Order) -> Run:
    """The jobs and what they share, made again from the arguments of the command."""
    from rich.console import Console

    from benchmark.errors import ConfigError
    from benchmark.running.setup import prepare

    run = prepare(replace(order.request, threads=order.threads), order.out, Console(quiet=True))
    if order.keys != keys_of(run.jobs):
        raise ConfigError("the suite, a domain or a method's file has changed since the command began; start it again.")
    facts = {**order.environment, "threads": order.threads}
    return replace(run, bars=RemoteBars(pipe), tensorboard=order.tensorboard, doctor=order.doctor, environment=facts)


def keys_of(jobs: Sequence[Job]) -> tuple[str, ...]:
    """The first record's key of each job."""
    return tuple(next(iter(job.record_keys.values())) for job in jobs)


def attempt(job: Job, run: Run) -> tuple[str, ...]:
    """("done",), or ("failed", status, reason). Once more with half the images at a time where a GPU is too small."""
    import torch

    from benchmark.running.job import run_job

    try:
        try:
            run_job(job, run)
        except torch.OutOfMemoryError:
            smaller = replace(job, parts=2 * job.parts)
            remark = f"out of memory: train.accumulate={smaller.training.accumulate} instead of the planned value"
            run.bars.say(f"{job.label}: {remark}")
            traceback.print_exc()
            run.samplers.clear()
            torch.cuda.empty_cache()
            run_job(smaller, replace(run, remarks=(*run.remarks, remark)))
    except Exception as error:  # whatever a method does must not take down the others
        traceback.print_exc()
        return failure(error)
    return ("done",)


def failure(error: Exception) -> tuple[str, str, str]:
    """("failed", status, reason)."""
    import torch

    from benchmark.errors import BenchmarkError

    text = " ".join((str(error) if isinstance(error, BenchmarkError) else f"{type(error).__name__}: {error}").split())
    short = isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in text
    return "failed", "out-of-memory" if short else "failed", text


@contextmanager
def captured(out: Path, job: Job) -> Iterator[None]:
    """What the job prints, and where it stands when it crashes or is asked, goes to its log; none is left if empty."""
    path = log_path(out, job)
    path.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush(), sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    with path.open("ab", buffering=0) as log:
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


def follow_parent() -> None:
    """End with the parent, whatever ended it: first as if asked to, then at once."""
    parent = parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(30)
    os._exit(1)


class RemoteBars:
    """The parent's bars, from here."""

    def __init__(self, pipe: Connection) -> None:
        self.pipe = pipe

    def say(self, text: str) -> None:
        """A line that stays above the bars."""
        self.pipe.send(("say", text))

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
