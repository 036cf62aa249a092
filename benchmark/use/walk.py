"""Walks for videos: latents or a control that move smoothly and come back to where they began."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from benchmark.errors import ConfigError
from benchmark.metrics.sampling import to_uint8
from benchmark.system.random_streams import generator
from benchmark.use.adapted import Adapted, latent, one_hot
from benchmark.use.pictures import tiled


def control_walk(
    net: Adapted, seeds: Sequence[int], frames: int, psi: float, noise: str = "method", label: int | None = None
) -> Iterator[np.ndarray]:
    """uint8 [3, H, W] frames of one sheet of all seeds, while the control goes from its smallest value to its largest
    and back. Raises ConfigError for a method without a control that is a number.
    """
    grid = [value for value in net.method.controls if isinstance(value, float)]
    if len(grid) < 2:
        raise ConfigError(f"{net.method.name} has no control that moves smoothly; try --walk latents.")
    low, high = min(grid), max(grid)
    for i in range(frames):
        share = (1 - math.cos(2 * math.pi * i / frames)) / 2
        yield tiled([*net.pictures(seeds, low + (high - low) * share, psi, noise, label)])


@torch.inference_mode()
def latent_walk(
    net: Adapted,
    seeds: Sequence[int],
    frames: int,
    psi: float,
    control: float | int | str | None = None,
    noise: str = "method",
    label: int | None = None,
) -> Iterator[np.ndarray]:
    """uint8 [3, R, R] frames on a closed curve in w that passes the seeds' latents in turn, with the noise held.

    Between four neighbours it is the Catmull-Rom spline (Catmull and Rom 1974).
    """
    if len(seeds) < 2:
        raise ConfigError("a video of latents needs two or more seeds.")
    g, c = net.generator(control), one_hot(label, net.source.cfg.c_dim)
    points = [g.mapping(latent(seed, g.cfg.z_dim), c, psi=psi) for seed in seeds]
    maps = net.noise(g, control, noise, generator("generate", seeds[0]))
    for i in range(frames):
        at = i * len(points) / frames
        ws = catmull_rom([points[(int(at) + k) % len(points)] for k in (-1, 0, 1, 2)], at % 1)
        yield to_uint8(g.synthesis(ws, maps)[0])[0]


def catmull_rom(points: Sequence[Tensor], t: float) -> Tensor:
    """The cubic through the second (t = 0) and the third (t = 1) of four points, with central differences as slopes."""
    before, a, b, after = points
    return 0.5 * (
        2 * a + (b - before) * t + (2 * before - 5 * a + 4 * b - after) * t**2 + (3 * a - before - 3 * b + after) * t**3
    )
