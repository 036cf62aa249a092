"""Losses that method files share."""

from __future__ import annotations

import torch
from torch import Tensor


def feature_matching(ours: dict[int, Tensor], theirs: dict[int, Tensor]) -> Tensor:
    """Squared distance of two networks' block features: sum over channels, mean over batch, height, width and blocks.

    Lee et al., "Fix the Noise" (CVPR 2023), feature-matching loss. {px: [N, C, px, px]} each -> float32 scalar.
    """
    distances = [(ours[px].float() - theirs[px].float()).square().sum(dim=1).mean() for px in ours]
    return torch.stack(distances).mean()
