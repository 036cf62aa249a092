"""Losses that method files share."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark.api.judgeable import judgeable
from benchmark.stylegan2 import Nets


def feature_matching(ours: dict[int, Tensor], theirs: dict[int, Tensor]) -> Tensor:
    """Squared distance of two networks' block features: sum over channels, mean over batch, height, width and blocks.

    Lee et al., "Fix the Noise" (CVPR 2023), feature-matching loss. {px: [N, C, px, px]} each -> float32 scalar.
    """
    distances = [(ours[px].float() - theirs[px].float()).square().sum(dim=1).mean() for px in ours]
    return torch.stack(distances).mean()


def adversarial_gradients(
    nets: Nets, inputs: tuple[Sequence[Tensor], Sequence[Tensor]], reals: Tensor, n: int, rng: torch.Generator
) -> list[Tensor]:
    """Gradients of G's adversarial loss by inputs[0], then of D's by inputs[1], on n new latents and n of the reals.

    `reals` is uint8 [N, 3, R, R]; random noise, no mixing, no augmentation. For methods that probe the networks.
    """
    z = torch.randn(n, nets.cfg.z_dim, generator=rng, device=rng.device)
    chosen = torch.randint(len(reals), (n,), generator=rng, device=rng.device).to(reals.device)
    images = nets.g(z, rng=rng), reals[chosen].to(z.device) / 127.5 - 1
    fake, real = (torch.cat([nets.d(some) for some in judgeable(nets.d, x)]) for x in images)
    by_g = torch.autograd.grad(F.softplus(-fake).mean(), inputs[0], retain_graph=True) if inputs[0] else ()
    return [*by_g, *torch.autograd.grad((F.softplus(fake) + F.softplus(-real)).mean(), inputs[1])]
