"""Images at the size and in the scale that a network was trained with."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from benchmark.system.pool import cores

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CLIP = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Mean and standard deviation of the channels, 0 to 1, by which published networks scale."""


def resize(images: Tensor, px: int) -> Tensor:
    """uint8 [n, 3, R, R] to float32 [n, 3, px, px] in 0..255, antialiased bicubic without rounding."""
    x = images.float()
    if x.shape[-1] == px:
        return x
    x = F.interpolate(x, size=(px, px), mode="bicubic", antialias=True, align_corners=False)
    return x.clamp_(0, 255)


def standardised(x: Tensor, mean_and_std: tuple[tuple[float, ...], tuple[float, ...]]) -> Tensor:
    """float [n, 3, px, px] in 0..255 to zero mean and unit variance per channel of the network's training set."""
    mean, std = (torch.tensor(values, device=x.device)[:, None, None] for values in mean_and_std)
    return (x / 255 - mean) / std


def clean_resize(images: Tensor, px: int) -> Tensor:
    """uint8 [n, 3, R, R] to float32 [n, 3, px, px] in 0..255, exactly as clean-fid's mode "clean" does it.

    That is Pillow's antialiased bicubic, channel by channel in float, clipped and not rounded. `resize` differs from it
    by less than 0.01 of 255, and takes about a third of the time, for networks with no published numbers to match.
    """
    planes = images.flatten(0, 1).cpu().numpy().astype(np.float32)
    out = np.empty((len(planes), px, px), np.float32)

    def scale(i: int) -> None:
        plane = Image.fromarray(planes[i]).resize((px, px), Image.Resampling.BICUBIC)
        np.clip(np.asarray(plane), 0, 255, out=out[i])

    with ThreadPoolExecutor(cores()) as pool:  # Pillow scales outside of the interpreter lock
        list(pool.map(scale, range(len(planes))))
    return torch.from_numpy(out).view(len(images), 3, px, px).to(images.device)
