"""Batches of real images, in an order that is the same for all methods."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from benchmark.config import TrainConfig
from benchmark.errors import ConfigError
from benchmark.system.random_streams import derive_seed
from benchmark.training import dist

CPU = torch.device("cpu")


def images_per_round(cfg: TrainConfig, group: int, ranks: int = 1) -> int:
    """Images that each of so many `ranks` handles at a time; ConfigError where the batch does not divide so.

    `group` is the discriminator's minibatch-std group, whose statistics need whole groups.
    """
    parts = cfg.accumulate * ranks
    n, remainder = divmod(cfg.batch, parts)
    if remainder or n % min(n, group):
        raise ConfigError(
            f"train.batch={cfg.batch} in {parts} parts (train.accumulate={cfg.accumulate} x {ranks} processes) "
            f"gives {cfg.batch / parts:g} images each; a part must be 1 to {group} images or a multiple of {group} "
            "(the minibatch-std group). Change train.batch, train.accumulate or train.ranks."
        )
    return n


def resident(data: Tensor, device: torch.device) -> Tensor:
    """uint8 `data` on the device where it takes at most a quarter of what is free there, else where it is."""
    if device.type != "cuda" or data.nbytes > torch.cuda.mem_get_info(device)[0] / 4:
        return data
    return data.to(device)


def to_device(x: Tensor, device: torch.device) -> Tensor:
    """`x` of the CPU on the device, without waiting for what the device has still to do."""
    return (
        x.pin_memory().to(device, non_blocking=True) if device.type == "cuda" and x.device != device else x.to(device)
    )


def real_batches(
    data: Tensor,
    n: int,
    mirror: bool,
    seed: Sequence[object],
    start: int,
    rng: torch.Generator,
    device: torch.device = CPU,
) -> Iterator[Tensor]:
    """This rank's batches of uint8 `data` [M, 3, R, R], from image `start` on: float32 [n, 3, R, R] in [-1, 1].

    Endless; each epoch is a permutation given by (seed, epoch) alone. `mirror` flips left-right with
    probability 1/2, drawn from `rng` on the CPU. `data` may be on the CPU or on `device`, the batches are on `device`.
    """
    position = start + dist.rank() * n
    epoch, order = -1, torch.empty(0)
    while True:
        picks = []
        for i in range(position, position + n):
            if i // len(data) != epoch:
                epoch = i // len(data)
                shuffle = torch.Generator().manual_seed(derive_seed(*seed, "epoch", epoch))
                order = torch.randperm(len(data), generator=shuffle)
            picks.append(order[i % len(data)])
        position += n * dist.world()
        x = to_device(data[to_device(torch.stack(picks), data.device)], device).float() / 127.5 - 1
        if mirror:
            flips = to_device(torch.rand(n, generator=rng) < 0.5, device)
            x = torch.where(flips[:, None, None, None], x.flip(3), x)
        yield x
