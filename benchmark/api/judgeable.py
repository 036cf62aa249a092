"""Any number of images for the discriminator, whose minibatch-std wants at most one group, or whole groups."""

from __future__ import annotations

import torch
from torch import Tensor

from benchmark.stylegan2 import Discriminator


def judgeable(d: Discriminator, images: Tensor) -> tuple[Tensor, ...]:
    """Images [N, 3, R, R] in batches that `d` takes: all as one where it can, else whole groups and then the rest."""
    rest = len(images) % d.cfg.mbstd_group
    return images.tensor_split([len(images) - rest]) if 0 < rest < len(images) else (images,)


def feature_maps(d: Discriminator, images: Tensor) -> dict[int, Tensor]:
    """The maps of `d.features` of any number of images."""
    first, *others = [d.features(some)[1] for some in judgeable(d, images)]
    return {px: torch.cat([x, *(maps[px] for maps in others)]) for px, x in first.items()} if others else first
