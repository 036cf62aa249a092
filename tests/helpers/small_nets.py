"""Small networks on which methods are tried, their images, and the steps that hooks receive.

Two sizes: 16 px (`source`, `CFG`, `TRAIN`), and the 32 px of `benchmark.conformity.trial` (`toy_source`).
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.api import Extra, Generator, GeneratorStep, Method, Nets
from benchmark.config import NetConfig, TrainConfig
from benchmark.conformity.trial import toy_source
from benchmark.training.train import train, trainable

CFG = NetConfig(resolution=16, z_dim=8, w_dim=12, mapping_layers=2, channel_base=96, channel_max=10, mbstd_group=2)
TRAIN = TrainConfig(kimg=0.012, batch=4, r1_gamma=1, r1_every=2, ema_kimg=0.01, precision="fp32")
"""Three steps."""


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@cache
def source() -> Nets:
    """Networks of 16 px in which nothing is at its initial value: g and its average differ. Copy before use."""
    nets = Nets.create(CFG, seed=1)
    noise = rng(2)
    with torch.no_grad():
        for net in (nets.g, nets.g_ema, nets.d):
            for p in net.parameters():
                p.add_(torch.randn(p.shape, generator=noise), alpha=0.1)
    return nets


def at_the_source() -> Nets:
    """A copy of the networks of 32 px, in which g is at its average: the adapted generator equals the source."""
    nets = toy_source().copy()
    nets.g.load_state_dict(nets.g_ema.state_dict())
    return nets


def reals() -> np.ndarray:
    """uint8 [8, 3, 16, 16]."""
    return np.random.default_rng(3).integers(0, 256, (8, 3, 16, 16), np.uint8)


@cache
def trained(method: Method) -> Nets:
    """The networks of 16 px after three steps. Copy before a change."""
    nets = source().copy()
    train(nets, reals(), method, TRAIN, ("small", 0))
    return nets


def prepared(method: Method) -> tuple[Nets, Extra, list[nn.Parameter], list[nn.Parameter]]:
    """The networks of 16 px as they enter the loop, the method's extra, and what trains in G and D."""
    nets = source().copy()
    extra = method.prepare(nets, torch.from_numpy(reals()), rng()) or Extra()
    return nets, extra, *trainable(nets, method, extra)


def generator_step(
    nets: Nets, source: Generator, extra: Extra | None = None, images: Tensor | None = None, n: int = 4
) -> GeneratorStep:
    """What `generator_loss` receives in the first step: `n` latents and their images, or the `images` given."""
    z = torch.randn(n, nets.cfg.z_dim, generator=rng(6))
    images = nets.g(z, rng=rng(7)) if images is None else images
    return GeneratorStep(nets, source, z, None, images, rng(8), 0, Extra() if extra is None else extra)


def moved(start: nn.Module, end: nn.Module) -> set[str]:
    """Names of parameters that differ, and of those that are new."""
    before = dict(start.named_parameters())
    return {n for n, p in end.named_parameters() if n not in before or not p.equal(before[n])}


def count(parameters: list[nn.Parameter]) -> int:
    return sum(p.numel() for p in parameters)
