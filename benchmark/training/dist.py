"""Data parallelism: rank, world size, flat all-reduces. Start: `torchrun -m benchmark sources train NAME`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

import torch
import torch.distributed as td
from torch import Tensor


def init() -> None:
    """Join the process group that torchrun describes in the environment; without one, do nothing."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not td.is_initialized():
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
        td.init_process_group("nccl" if torch.cuda.is_available() else "gloo")


def world() -> int:
    """Number of processes that train together."""
    return td.get_world_size() if td.is_available() and td.is_initialized() else 1


def rank() -> int:
    """This process's number, 0 for the one that writes files."""
    return td.get_rank() if world() > 1 else 0


def average_(tensors: Sequence[Tensor]) -> None:
    """Replace each tensor by its mean over all processes, in one message; in place."""
    if world() == 1 or not tensors:
        return
    flat = torch.cat([t.reshape(-1) for t in tensors])
    td.all_reduce(flat)
    flat /= world()
    for t, part in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
        t.copy_(part.view_as(t))


def agree(value: float) -> bool:
    """Whether all processes hold the same number (exact below 2^53)."""
    if world() == 1:
        return True
    device = "cuda" if td.get_backend() == "nccl" else "cpu"
    largest = torch.tensor([value, -value], dtype=torch.float64, device=device)
    td.all_reduce(largest, td.ReduceOp.MAX)
    return bool(largest[0] == -largest[1])


def average_gradients(parameters: Iterable[Tensor]) -> None:
    """Average `.grad` over all processes after backward (a hook that calls inner modules cannot escape this one).

    A parameter that only some processes reached, as by a method's random choice, has the gradient 0 on the others.
    """
    parameters = list(parameters)
    if world() == 1 or not parameters:
        return
    reached = torch.tensor([float(p.grad is not None) for p in parameters], device=parameters[0].device)
    td.all_reduce(reached, td.ReduceOp.MAX)
    for p, somewhere in zip(parameters, reached.tolist(), strict=True):
        if somewhere and p.grad is None:
            p.grad = torch.zeros_like(p)
    average_([p.grad for p in parameters if p.grad is not None])
