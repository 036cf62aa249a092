"""The order to a worker: all that it needs to know, as plain values, and the run that is made again from them.

Nothing that imports torch is imported at the top, since the server of workers has to be prepared before that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.system.devices import GPU, Seat

if TYPE_CHECKING:
    from benchmark.results import Doctor
    from benchmark.running.plan import Job
    from benchmark.running.setup import Request, Run


@dataclass(frozen=True)
class Order:
    """What a worker needs to know, as plain values."""

    request: Request
    keys: tuple[str, ...]
    """The first record's key of each job, by which both sides know that they mean the same."""
    out: Path
    seats: tuple[Seat, ...]
    """One for each worker: what it is given of the machine."""
    tensorboard: bool
    doctor: Doctor | None
    environment: dict[str, Any]
    device: str
    """Where the jobs compute, seen from inside a worker: "cpu" or "cuda". Only what is on the CPU can be made before a
    fork: a CUDA context cannot be inherited."""

    @property
    def threads(self) -> int:
        """Of each worker, on the CPU."""
        return self.seats[0].threads


def equip(order: Order) -> Run:
    """The jobs and what they share, made again from the arguments of the command."""
    from rich.console import Console

    from benchmark.errors import ConfigError
    from benchmark.running.setup import prepare
    from benchmark.system.hardware import device_name

    device = GPU if order.device == GPU else order.request.device
    run = prepare(replace(order.request, threads=1, device=device), order.out, Console(quiet=True))
    if order.keys != keys_of(run.jobs):
        raise ConfigError("the suite, a domain or a method's file has changed since the command began; start it again.")
    facts = {**order.environment, "device": device_name(run.device), "threads": order.threads}
    return replace(run, tensorboard=order.tensorboard, doctor=order.doctor, environment=facts)


def keys_of(jobs: Sequence[Job]) -> tuple[str, ...]:
    """The first record's key of each job."""
    return tuple(next(iter(job.record_keys.values())) for job in jobs)
