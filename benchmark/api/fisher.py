"""Fisher information of weights, from the adversarial losses of single samples."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark.stylegan2 import Discriminator, Generator


def fisher_information(
    g: Generator, d: Discriminator, of: tuple[Sequence[Tensor], Sequence[Tensor]], z: Tensor, reals: Tensor
) -> tuple[list[Tensor], list[Tensor]]:
    """Of the weights `of[0]` of g and `of[1]` of d: the mean over samples of the squared gradient, in their shapes.

    For g's by its adversarial loss, for d's by its own, on one latent of z [N, z_dim] (with the anchor noise) and one
    image of `reals`, uint8 [N, 3, R, R], at a time, as Zhao et al. 2022 and 2023 (AdAM, RICK) estimate it. The weights
    must require gradients.
    """
    sums = tuple([torch.zeros_like(w) for w in part] for part in of)
    for latent, image in zip(z.split(1), reals.split(1), strict=True):
        fake, real = d(g(latent, noise="const")), d(image / 127.5 - 1)
        losses = F.softplus(-fake).sum(), (F.softplus(fake) + F.softplus(-real)).sum()
        for loss, part, found in zip(losses, of, sums, strict=True):
            gradients = torch.autograd.grad(loss, list(part), retain_graph=True)
            torch._foreach_addcmul_(found, gradients, gradients, value=1 / len(z))
    return sums[0], sums[1]
