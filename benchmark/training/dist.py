"""Several processes that train one network: rank, world size, and what they share.

They are started by torch's launcher: by a job of `run` (running/ranks.py), or by hand for
`torchrun -m benchmark sources train NAME`. Alone, each function here does nothing or gives back what it was given.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as td
from torch import Tensor

Value = TypeVar("Value")
PATIENCE = timedelta(minutes=10)
"""How long a process waits for one that is alive but does not come, as when rank 0 writes a large file."""


class PeerLost(RuntimeError):
    """A message to the other processes failed, mostly because one of them is dead: why is known there, not here."""


def init(device: str) -> None:
    """Join the process group that torchrun describes in the environment; without one, do nothing.

    What is on the CPU goes by gloo, what is on a GPU by NCCL. On "cuda", each process takes the GPU of its local rank.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not td.is_initialized():
        on_gpus = device.startswith("cuda")
        if on_gpus:
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
        td.init_process_group("cpu:gloo,cuda:nccl" if on_gpus else "gloo", timeout=PATIENCE)


def leave() -> None:
    """Leave the process group, if there is one."""
    if td.is_available() and td.is_initialized():
        td.destroy_process_group()


def world() -> int:
    """Number of processes that train together."""
    return td.get_world_size() if td.is_available() and td.is_initialized() else 1


def rank() -> int:
    """This process's number, 0 for the one that writes files."""
    return td.get_rank() if world() > 1 else 0


@contextmanager
def _together() -> Iterator[None]:
    """Around each message: what fails in it is the peers'."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise PeerLost(f"no answer from the other processes of this training: {error}") from error


def average_(tensors: Sequence[Tensor]) -> None:
    """Replace each tensor by its mean over all processes, in one message; in place."""
    if world() == 1 or not tensors:
        return
    flat = torch.cat([t.reshape(-1) for t in tensors])
    with _together():
        td.all_reduce(flat)
    flat /= world()
    for t, part in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
        t.copy_(part.view_as(t))


def share_(tensors: Iterable[Tensor]) -> None:
    """Replace each tensor by that of rank 0; in place."""
    for t in tensors if world() > 1 else ():
        own = t.detach().flatten().clone()
        with _together():
            td.broadcast(own.view(torch.uint8), 0)  # whatever its type
        t.detach().copy_(own.view(t.shape))


def anywhere(flags: Tensor) -> list[bool]:
    """Of each flag, bool [N] on the CPU, whether any process has set it."""
    shared = flags.int()
    if world() > 1 and len(flags):
        with _together():
            td.all_reduce(shared, td.ReduceOp.MAX)
    return [bool(each) for each in shared.tolist()]


def largest(value: int) -> int:
    """The largest of what the processes hold."""
    if world() == 1:
        return value
    shared = torch.tensor(value)
    with _together():
        td.all_reduce(shared, td.ReduceOp.MAX)
    return int(shared)


def agree(value: int) -> bool:
    """Whether all processes hold the same number."""
    highest, lowest = largest(value), -largest(-value)
    return highest == lowest


def in_all(values: Collection[int]) -> set[int]:
    """Those numbers that every process holds."""
    return set.intersection(*map(set, _gathered(sorted(values))))


def means(terms: Mapping[str, Tensor]) -> dict[str, float]:
    """The mean of each named vector, over all processes that have one of that name."""
    if world() == 1:
        return {name: values.mean().item() for name, values in terms.items()}
    found: dict[str, list[float]] = {}
    for own in _gathered({name: values.tolist() for name, values in terms.items()}):
        for name, values in own.items():
            found.setdefault(name, []).extend(values)
    return {name: torch.tensor(values).mean().item() for name, values in found.items()}


def _gathered(value: Value) -> list[Value]:
    """What each process holds, by rank; plain values only."""
    if world() == 1:
        return [value]
    found: list[Value | None] = [None] * world()
    with _together():
        td.all_gather_object(found, value)
    return [each for each in found if each is not None]


def average_gradients(parameters: Iterable[Tensor]) -> None:
    """Average `.grad` over all processes after backward (a hook that calls inner modules cannot escape this one).

    A parameter that only some processes reached, as by a method's random choice, has the gradient 0 on the others.
    """
    parameters = list(parameters)
    if world() == 1 or not parameters:
        return
    reached = anywhere(torch.tensor([p.grad is not None for p in parameters]))
    for p, somewhere in zip(parameters, reached, strict=True):
        if somewhere and p.grad is None:
            p.grad = torch.zeros_like(p)
    average_([p.grad for p in parameters if p.grad is not None])
