"""Devices of this machine and who is given which: seats of workers, as plain values.

A worker sees the GPUs of its seat and no others: CUDA_VISIBLE_DEVICES is set in its process before CUDA is initialised
there, so that "cuda" is the seat's first GPU.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.errors import ConfigError

GPU = "cuda"
"""Where a worker that has GPUs computes."""
VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Seat:
    """What one worker is given of the machine."""

    threads: int
    """Of the CPU."""
    gpus: tuple[str, ...] = ()
    """As CUDA_VISIBLE_DEVICES names them; none: the worker computes on the CPU, and the variable stays as it is."""

    def take(self) -> None:
        """Let this process see the seat's GPUs only. It must not have used CUDA yet."""
        if self.gpus:
            os.environ[VISIBLE] = ",".join(self.gpus)


def visible_gpus() -> tuple[str, ...]:
    """The GPUs that this process sees, cuda:0 first, as CUDA_VISIBLE_DEVICES has to name them for another process."""
    import torch

    count = torch.cuda.device_count()
    named = [name.strip() for name in os.environ.get(VISIBLE, "").split(",") if name.strip()]
    return tuple(named or map(str, range(count)))[:count]


def chosen_gpus(text: str, gpus: Sequence[str]) -> tuple[str, ...]:
    """Those of `gpus` that --devices asks for: "auto" all of them, "cpu" none, "cuda:0,cuda:2" the first and the third.

    Raises ConfigError for anything else, a GPU that is not there, and one that is named twice.
    """
    if text in ("auto", "cpu"):
        return tuple(gpus) if text == "auto" else ()
    numbers = []
    for name in (part.strip() for part in text.split(",")):
        if not re.fullmatch(r"cuda:\d{1,3}", name):
            raise ConfigError(
                f"--devices {text}: {name!r} is no GPU; expected auto, cpu, or a list such as cuda:0,cuda:2."
            )
        numbers.append(int(name[5:]))
        if numbers[-1] >= len(gpus):
            there = f"cuda:0 to cuda:{len(gpus) - 1}" if len(gpus) > 1 else "cuda:0 only" if gpus else "no CUDA device"
            raise ConfigError(f"--devices {text}: {name} does not exist, PyTorch finds {there} here.")
        if numbers[-1] in numbers[:-1]:
            raise ConfigError(
                f"--devices {text}: {name} is named twice. For several workers on one GPU: --device {name} --jobs 2"
            )
    return tuple(gpus[number] for number in numbers)


def cpu_seats(workers: int, threads: int) -> tuple[Seat, ...]:
    """Seats of so many workers that share the CPU's threads."""
    return (Seat(max(1, threads // workers)),) * workers


def gpu_seats(gpus: Sequence[str], ranks: int, threads: int, workers: int | None = None) -> tuple[Seat, ...]:
    """Seats with `ranks` GPUs each; `workers` None: as many as there are GPUs for, and then none may be left over.

    More workers than that share GPUs, in turn. They share the CPU's threads. Raises ConfigError.
    """
    whole, rest = divmod(len(gpus), ranks)
    if not whole or (rest and workers is None):
        raise ConfigError(
            f"each job takes {ranks} GPUs (--ranks-per-job), and {len(gpus)} are to be used: "
            + (f"name {whole * ranks} of them with --devices." if whole else "ask for fewer, or name more of them.")
        )
    size = workers or whole
    groups = [tuple(gpus[i * ranks : (i + 1) * ranks]) for i in range(whole)]
    return tuple(Seat(max(1, threads // size), groups[i % whole]) for i in range(size))
