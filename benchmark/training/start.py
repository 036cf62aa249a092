"""What happens before the first step: buffers, the warm-up of D's head, the method's `prepare`, the optimisers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from benchmark.api import Method
from benchmark.api.extra import Extra, checked
from benchmark.api.optimiser import Adam
from benchmark.config import TrainConfig
from benchmark.stylegan2 import Nets
from benchmark.training import dist, losses
from benchmark.training.kernels import kernels
from benchmark.training.together import tensors_of


def settings_of(method: Method, cfg: TrainConfig) -> TrainConfig:
    """The settings that a method trains with, from its suite's: with what it changes, its augmentation included."""
    return method.settings(cfg.model_copy(update={"augment": method.augment or cfg.augment}))


def prepared(nets: Nets, reals: Tensor, method: Method, cfg: TrainConfig, rng: torch.Generator) -> Extra:
    """What the method remembers and trains besides the networks, as it leaves them before the first step.

    g begins with the average's anchor noise and centre of W: the average copies them back after each step, and those
    of the source, which losses are about, would be lost. All processes begin with what rank 0 has made: on a GPU the
    last digits of what each computes for itself may differ.
    """
    torch._foreach_copy_(list(nets.g.buffers()), list(nets.g_ema.buffers()))
    with kernels(cfg):
        if steps := method.warm_up():
            warm_up_head(nets, reals, steps, cfg, rng)
        extra = checked(method.prepare(nets, reals, rng), method.name, nets.g.mapping.w_avg.device)
    dist.share_(tensors_of(nets.g, nets.g_ema, nets.d, extra))
    return extra


def warm_up_head(nets: Nets, reals: Tensor, steps: int, cfg: TrainConfig, rng: torch.Generator) -> None:
    """Train D's epilogue, in place, on fakes of the average and on the reals, uint8 [N, 3, R, R].

    With the loop's batch, learning rate and lazy R1; without its augmentation. All processes of a training do the same.
    """
    lazy_every = cfg.r1_every if cfg.r1_gamma else None
    head = [p.requires_grad_(True) for p in nets.d.b4.parameters()]
    optimiser = adam(head, cfg.lr_d, lazy_every)
    rounds = cfg.accumulate * cfg.ranks
    n = cfg.batch // rounds
    for step in range(steps):
        chosen = torch.randint(len(reals), (rounds, n), generator=rng, device=rng.device).to(reals.device)
        batches = [reals[some].to(rng.device) / 127.5 - 1 for some in chosen]
        for x in batches:
            z = torch.randn(n, nets.cfg.z_dim, generator=rng, device=rng.device)
            with torch.no_grad():
                fakes = nets.g_ema(z, rng=rng)
            (losses.discriminator_adversarial(nets.d(x), nets.d(fakes)) / rounds).backward(inputs=head)
        optimiser.step()
        optimiser.zero_grad()
        if lazy_every and step % lazy_every == 0:
            for x in batches:
                penalty = losses.r1(nets.d(x.requires_grad_(True)), x).mean()
                (penalty * (cfg.r1_gamma / 2 * lazy_every / rounds)).backward(inputs=head)
            optimiser.step()
            optimiser.zero_grad()


def adam(parameters: Sequence[Tensor], lr: float, lazy_every: int | None) -> Adam:
    """Adam with betas (0, 0.99), corrected for a regulariser every `lazy_every` steps (Karras et al. 2020, app. B)."""
    ratio = lazy_every / (lazy_every + 1) if lazy_every else 1.0
    return Adam(parameters, lr=lr * ratio, betas=(0.0, 0.99**ratio))
