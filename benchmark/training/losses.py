"""Adversarial losses and regularisers as pure functions."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def generator_adversarial(fake_logits: Tensor) -> Tensor:
    """Non-saturating loss, -log sigmoid(D(G(z))) (Goodfellow et al. 2014); logits [N, P] -> scalar."""
    return F.softplus(-fake_logits).mean()


def discriminator_adversarial(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """-log sigmoid(D(x)) - log(1 - sigmoid(D(G(z)))); logits [N, P] each -> scalar."""
    return F.softplus(fake_logits).mean() + F.softplus(-real_logits).mean()


def r1(real_logits: Tensor, reals: Tensor) -> Tensor:
    """|dD(x)/dx|^2 per image (Mescheder et al. 2018, eq. 9, without gamma / 2); reals [N, 3, R, R], tracked -> [N].

    D(x) is the mean over an image's logits, real_logits [N, P].
    """
    per_image = real_logits.sum() * (len(reals) / real_logits.numel())
    (gradient,) = torch.autograd.grad(per_image, reals, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3))


def path_lengths(images: Tensor, ws: Tensor, noise: Tensor) -> Tensor:
    """|J_w^T y| per image for random images y (Karras et al. 2020, eq. 4); ws [N, L, w_dim] -> [N].

    `noise` is unit normal, of the images' shape; it is scaled by 1/sqrt(H W), so that lengths do not depend on the
    resolution.
    """
    scaled = noise / math.sqrt(images.shape[2] * images.shape[3])
    (gradient,) = torch.autograd.grad((images * scaled).sum(), ws, create_graph=True)
    return gradient.square().sum(dim=2).mean(dim=1).sqrt()
