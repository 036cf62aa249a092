"""Ranks: the processes that train one job together, started by its worker with torch's elastic launcher.

The worker holds the lock of the training, waits, and evaluates afterwards; rank 0 writes the files. All ranks end with
the worker. If one of them fails, the launcher ends the others, and the job fails for the reason of the first.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import NoReturn
from uuid import uuid4

import torch
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

from benchmark.errors import BenchmarkError, MethodError
from benchmark.running.order import Order, equip
from benchmark.running.plan import Job
from benchmark.running.weights import train_checkpoint
from benchmark.system.hardware import prepare_torch
from benchmark.system.processes import die_with_parent
from benchmark.system.progress import Stages
from benchmark.system.signals import Stopped, stoppable
from benchmark.system.startup import prepare_process
from benchmark.training import dist

PRECEDENCE = 5.0
"""Seconds that a rank which lost the others waits before it fails, so that the one with a reason is heard first."""
TOLD = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT")
"""Signals that the launcher takes over while it waits."""


class RankKilled(BenchmarkError, MemoryError):
    """The process of a rank was killed, as the system does when memory runs out."""


def start_ranks(order: Order, number: int, job: Job, bars: Stages) -> None:
    """Have `train.ranks` processes train the job of this number; returns when its weights are stored.

    `bars` must be able to travel to another process. Raises Stopped when this process is told to end, OutOfMemoryError
    where a GPU is too small, RankKilled when a rank was killed, MethodError for any other end of one.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    ranks = job.training.ranks
    try:
        with tempfile.TemporaryDirectory(prefix="ranks-") as reasons, handlers_put_back():
            config = LaunchConfig(
                min_nodes=1,
                max_nodes=1,
                nproc_per_node=ranks,
                run_id=uuid4().hex,
                rdzv_backend="c10d",
                rdzv_endpoint="localhost:0",  # a free port
                local_addr="localhost",
                max_restarts=0,  # the same command resumes
                logs_specs=DefaultLogsSpecs(log_dir=reasons),
            )
            elastic_launch(config, one_rank)(order, number, job.parts, os.getpid(), bars)
    except SignalException as told:
        raise Stopped(told.sigval) from None
    except ChildFailedError as failed:
        raise_failure(failed, ranks)


def one_rank(order: Order, number: int, parts: int, worker: int, bars: Stages) -> None:
    """What each rank's process does: its share of the training. Exits with 128 + the signal that told it to end."""
    die_with_parent(worker)
    prepare_process()
    try:
        with stoppable():
            try:
                dist.init(order.device)
                run = equip(order)
                run = replace(run, bars=bars) if dist.rank() == 0 else run
                prepare_torch(max(1, order.threads // dist.world()))
                train_checkpoint(replace(run.jobs[number], parts=parts), run)
            except dist.PeerLost:
                time.sleep(PRECEDENCE)
                raise
    except Stopped as told:
        sys.exit(told.code)
    dist.leave()


def raise_failure(failed: ChildFailedError, ranks: int) -> NoReturn:
    """The reason of the rank that failed first, as an error of the job."""
    rank, why = failed.get_first_failure()
    who = f"rank {rank} of {ranks}"
    if why.exitcode < 0:
        name = signal.Signals(-why.exitcode).name
        if name == "SIGKILL":
            raise RankKilled(f"{who} was killed ({name}), as the system does when memory runs out") from None
        raise MethodError(f"{who} died: signal {name}") from None
    told: object = why.message
    text = str(told.get("message", told)) if isinstance(told, dict) else str(told)
    if text.startswith("OutOfMemoryError"):
        raise torch.OutOfMemoryError(f"{who}: {text}") from None
    if why.exitcode == 128 + signal.SIGTERM:
        text = "it was told to end (SIGTERM); the training is stored, and the same command resumes it"
    raise MethodError(f"{who}: {text}") from None


@contextmanager
def handlers_put_back() -> Iterator[None]:
    """The launcher installs signal handlers and leaves them; afterwards those of before are back."""
    before = {number: signal.getsignal(number) for number in (getattr(signal, name) for name in TOLD)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
