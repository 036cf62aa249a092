"""The server of processes: imports and prepares once what jobs share, then forks a fresh process for each job.

So a method finds the same process whatever ran before it, and starting a job costs a fork. The server itself runs no
method's hooks and computes with one thread, since OpenMP's threads do not survive a fork. What sampling draws of the
source is the same for all jobs of a (domain, seed): a process of its own draws it, before any method's code runs.

It starts early, as a fork of the command, which has PyTorch imported; or later, as a new Python.
The supervisor (supervisor.py) gives orders through one pipe, ("start", number, seat) or ("end" | "close", number);
messages go back as (number, word, ...). All that a job started ends with the job, and all jobs end with the supervisor.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any

from benchmark.running.order import Order, equip
from benchmark.running.worker import DUMP, draw, failure, work
from benchmark.system.devices import Seat, visible_gpus
from benchmark.system.processes import (
    adopt_orphans,
    die_with_parent,
    end_orphans,
    has_ended,
    outlive_parent,
    signal_group,
)
from benchmark.system.signals import hear_signals, starting_processes

if TYPE_CHECKING:
    from benchmark.config import EvalConfig
    from benchmark.metrics.sampling import Drawn
    from benchmark.running.setup import Run

LOOK = 0.05
"""Seconds between two looks at who has ended."""
DEAF = 2.0
"""Seconds after which a process that does not listen to SIGTERM is killed, and everything without a supervisor."""
GRACE = 25.0
"""Seconds that a job which listens has to end its step and save."""
GROUPS = 2
"""(domain, seed) pairs whose drawings are kept."""


@dataclass
class Child:
    """A process of a job, or (`number` None) the one that draws what the jobs of `streams` share."""

    number: int | None
    streams: tuple[str, str, int] | None
    process: ForkProcess
    pipe: Connection
    heard: int
    """Readable once the process has heard a signal."""

    @property
    def pid(self) -> int:
        """Its number."""
        assert self.process.pid is not None
        return self.process.pid


def serve(control: Connection) -> None:
    """What the server's process does until the supervisor lets it go or dies."""
    os.setpgid(0, 0)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # those are for the supervisor
    hear_signals()
    if (parent := multiprocessing.parent_process()) and parent.pid:
        die_with_parent(parent.pid)  # while it imports and prepares, it does not look
    from benchmark.system.startup import prepare_process

    prepare_process()
    adopt_orphans()
    from benchmark.running import job  # noqa: F401 (jobs find all of the engine imported)

    try:
        order: Order = control.recv()
        try:
            run = equip(order) if order.device == "cpu" else None
        except Exception as error:
            control.send((None, "unfit", failure(error)[2]))
            return
        control.send((None, "ready"))
        outlive_parent()
        Server(control, order, run).serve()
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # the supervisor is gone
    sys.stdout.flush(), sys.stderr.flush()
    os._exit(0)  # all that could be left to do is to free memory, which takes seconds


class Server:
    """The children and their pipes. `run` None: each job prepares itself."""

    def __init__(self, control: Connection, order: Order, run: Run | None) -> None:
        self.control, self.order, self.run = control, order, run
        self.children: list[Child] = []
        self.wanted: dict[int, Seat] = {}
        """Jobs that wait for what is being drawn for them."""
        self.drawn: dict[tuple[str, str, int], dict[EvalConfig, Drawn]] = {}
        self.heard_of = True
        """Whether there is a supervisor at the other end."""

    def serve(self) -> None:
        """Until the supervisor says "close" or is gone; then everything ends."""
        patience = DEAF
        try:
            while True:
                for word, number, *seat in self.orders():
                    if word == "close":
                        patience = GRACE
                        return
                    if word == "start":
                        self.wanted[number] = seat[0]
                    else:
                        self.end(number)
                self.start_wanted()
                self.reap()
        finally:
            self.close(patience)

    def orders(self) -> Iterator[tuple[Any, ...]]:
        """Orders of the supervisor; what children say is passed on meanwhile. EOFError when the supervisor is gone."""
        pipes = {child.pipe: child for child in self.children if not child.pipe.closed}
        for ready in wait([self.control, *pipes] if self.heard_of else list(pipes), timeout=LOOK):
            if ready is self.control:
                yield self.control.recv()
            elif isinstance(ready, Connection):
                self.pass_on(pipes[ready])

    def tell(self, *message: Any) -> None:
        """Say something to the supervisor, while there is one."""
        try:
            if self.heard_of:
                self.control.send(message)
        except OSError:
            self.heard_of = False

    def start_wanted(self) -> None:
        """Fork what was asked for, and where its drawings are missing, first who makes them."""
        for number in list(self.wanted):
            if self.run is None or self.run.jobs[number].streams in self.drawn:
                self.start(number, self.wanted.pop(number))
            elif all(child.number is not None for child in self.children):
                job = self.run.jobs[number]
                self.fork(None, job.streams, draw, self.order, self.run, job)

    def start(self, number: int, seat: Seat) -> None:
        """A process for a job."""
        run = self.run
        if run is not None:
            job = run.jobs[number]
            found = {cfg: run.sampler(job, cfg, drawn) for cfg, drawn in self.drawn[job.streams].items()}
            run = replace(run, samplers=found)
        self.tell(number, "started", self.fork(number, None, work, self.order, seat, run, number))

    def fork(self, number: int | None, streams: tuple[str, str, int] | None, target: Any, *arguments: Any) -> int:
        """A child that does `target`; its number."""
        ours, theirs = multiprocessing.Pipe()
        heard, hears = os.pipe()
        os.set_blocking(hears, False)
        server = os.getpid()  # the child would ask too late for its parent, where this process dies at once

        def child() -> None:
            for pipe in (self.control, ours, *(c.pipe for c in self.children)):
                pipe.close()  # else a supervisor or server would seem to be alive while this process is
            target(theirs, hears, server, *arguments)

        process = multiprocessing.get_context("fork").Process(target=child)
        process.start()
        theirs.close()
        os.close(hears)
        self.children.append(Child(number, streams, process, ours, heard))
        return self.children[-1].pid

    def pass_on(self, child: Child) -> None:
        """Tell the supervisor what a child says."""
        try:
            while not child.pipe.closed and child.pipe.poll():
                message = child.pipe.recv()
                if child.number is not None:
                    self.tell(child.number, *message)
                elif child.streams is not None:
                    self.keep(child.streams, message)
        except (EOFError, OSError):
            child.pipe.close()

    def keep(self, streams: tuple[str, str, int], drawn: dict[EvalConfig, Drawn]) -> None:
        """Have drawings for the jobs to come, and forget old ones."""
        self.drawn[streams] = drawn
        for old in list(self.drawn)[:-GROUPS]:
            del self.drawn[old]

    def end(self, number: int) -> None:
        """Kill a job that took too much; its log says where it was."""
        for child in self.children:
            if child.number == number:
                with contextlib.suppress(OSError):
                    os.kill(child.pid, DUMP)
                    time.sleep(0.2)
                signal_group(child.pid, signal.SIGKILL)

    def reap(self) -> None:
        """After the end of a child end what it started, and say how it ended."""
        for child in list(self.children):
            if not has_ended(child.process):
                continue
            self.pass_on(child)
            signal_group(child.pid, signal.SIGKILL)  # it is not reaped yet, so that the number is still its own
            child.process.join()
            self.children.remove(child)
            child.pipe.close()
            os.close(child.heard)
            if child.number is not None:
                self.tell(child.number, "ended", child.process.exitcode)
            elif child.streams is not None:
                self.drawn.setdefault(child.streams, {})  # it failed: each job draws for itself, and says why it cannot
            if not self.children:
                end_orphans()

    def close(self, patience: float) -> None:
        """End all: those that listen may save within `patience` seconds, the deaf are killed before that."""
        for child in self.children:
            with contextlib.suppress(OSError):
                os.kill(child.pid, signal.SIGTERM)
        begun = time.monotonic()
        while self.children and (passed := time.monotonic() - begun) < patience:
            try:
                for _ in self.orders():
                    pass
            except (EOFError, OSError):
                self.heard_of, patience = False, min(patience, passed + DEAF)
            self.reap()
            for child in self.children if passed > DEAF else ():
                if not wait([child.heard], timeout=0):
                    signal_group(child.pid, signal.SIGKILL)
        for child in self.children:
            signal_group(child.pid, signal.SIGKILL)
        end_orphans()


@dataclass
class Started:
    """A server and the supervisor's end of the pipe to it."""

    process: BaseProcess
    pipe: Connection


early: list[Started] = []
"""The server that waits for its supervisor, if there is one."""


@contextmanager
def early_server(wanted: bool) -> Iterator[None]:
    """Where `wanted` and possible, a server that is forked now; unless it was taken, it ends with the block.

    Threads, and whatever was asked of a GPU, would not survive the fork.
    """
    try:
        if wanted and sys.platform == "linux" and threading.active_count() == 1 and not visible_gpus():
            early.append(start_server("fork"))
        yield
    finally:
        for server in early:
            server.pipe.close()  # it ends by that, too
            server.process.kill()
            server.process.join()
        early.clear()


def start_server(how: str) -> Started:
    """By "fork" or "spawn"."""
    ours, theirs = multiprocessing.Pipe()

    def alone() -> None:
        ours.close()  # else the supervisor would seem to be alive while the server is
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__  # without what the command line put before them
        serve(theirs)

    context = multiprocessing.get_context(how)
    process = context.Process(target=alone) if how == "fork" else context.Process(target=serve, args=(theirs,))  # type: ignore[attr-defined]
    try:
        with starting_processes():
            process.start()
    except BaseException:  # a signal, which waits until the process has started
        ours.close()
        raise
    finally:
        theirs.close()
    return Started(process, ours)
