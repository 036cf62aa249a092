"""One task of a request: its jobs are prepared again from the request, compared by their keys, and done here."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import TypeAdapter
from rich.console import Console

from benchmark.engines.request import Asked, Task, cancelled, required_request
from benchmark.errors import ConfigError
from benchmark.running.launch import Launch
from benchmark.running.plan import Job
from benchmark.running.setup import Request, prepare
from benchmark.running.suite import run_suite

REQUEST, LAUNCH = TypeAdapter(Request), TypeAdapter(Launch)


def work(out: Path, number: int, console: Console) -> bool:
    """Do the jobs of a task; whether no record is missing or failed. Stored records are not made again.

    Raises ConfigError where this machine would make other records than were asked for, DataError where nothing was.
    """
    asked = required_request(out)
    if cancelled(out).exists():
        console.print("cancelled", markup=False)
        return False
    if not 0 <= number < len(asked.tasks):
        raise ConfigError(f"{out}: task {number} is unknown, the request has {len(asked.tasks)}.")
    task = asked.tasks[number]
    os.chdir(asked.folder)
    sys.path.insert(0, asked.folder)  # as `python -m` had it, for plug-ins that are modules
    run = prepare(request_of(asked, task), out, console)
    require_same(task, run.jobs)
    records = run_suite(run, console, asked.tensorboard, LAUNCH.validate_python(asked.launch))
    return len(records) == sum(len(job.records) for job in task.jobs) and all(r.status == "done" for r in records)


def request_of(asked: Asked, task: Task) -> Request:
    """The arguments of the command, for the jobs of this task alone."""
    request = REQUEST.validate_python(asked.requests[task.suite])
    only = tuple(dict.fromkeys(job.train_key for job in task.jobs))
    return replace(request, only=only, threads=request.threads or task.threads)


def require_same(task: Task, jobs: Sequence[Job]) -> None:
    """ConfigError where the jobs planned here are not those that were asked for."""
    here = {tuple(job.record_keys.values()) for job in jobs}
    other = [job.label for job in task.jobs if job.records not in here]
    if other or len(here) != len(task.jobs):
        raise ConfigError(
            f"{socket.gethostname()} plans other records than the machine that queued this task"
            f"{f' ({other[0]})' if other else ''}: the suite, a domain, a source or a method's file differs there or "
            "has changed since. Run the same command again; both need the same version and the same --cache."
        )
