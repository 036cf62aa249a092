"""Perceptual path length in w (Karras et al. 2019, section 4.1; as in StyleGAN2: ends of paths, whole images).

PPL = E [ d(G(w0), G(w0 + eps (w1 - w0))) / eps^2 ], eps = 1e-4, w0 and w1 of two latents, the noise of both images the
same, no truncation. Images above 256 px are averaged down to 256. The mean leaves out the lowest and the highest 1 %.

Chosen here: the distance is the network's of the metric's name. NVIDIA's numbers are with LPIPS VGG-16 and 50,000
paths; `ppl_lpips_vgg` is that distance at as many paths as the suite has samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from benchmark.metrics.base import Score
from benchmark.metrics.networks.features import full_precision
from benchmark.metrics.networks.finite import require_finite
from benchmark.metrics.networks.perceptual import PerceptualNetwork
from benchmark.stylegan2 import Generator, Noise

EPSILON = 1e-4
PX = 256
OUTER = 0.01
"""Share of the distances that is left out at either end."""


@dataclass(frozen=True)
class ShortPaths:
    """Pairs of neighbouring images of a generator, made batch by batch when they are asked for: there are many.

    ``ends``: z [2, n, z_dim] of both ends of each path. ``noise`` gives the maps of a batch, from the stream's start.
    """

    generator: Generator
    ends: Tensor
    noise: Callable[[], Callable[[int], Noise]]
    batch: int

    def __len__(self) -> int:
        return self.ends.shape[1]

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """float32 [k, 3, r, r] twice, 0..255, neither rounded nor clamped; DataError where some are not finite."""
        draw = self.noise()
        for start in range(0, len(self), self.batch):
            with full_precision():
                first, last = (self.generator.mapping(z) for z in self.ends[:, start : start + self.batch])
                maps = draw(len(first))
                images = (self.generator.synthesis(w, maps)[0] for w in (first, first.lerp(last, EPSILON)))
                a, b = (_reduced(image.float() * 127.5 + 127.5) for image in images)
            for end in (a, b):
                require_finite(end, "images along paths", start)
            yield a, b


def _reduced(images: Tensor) -> Tensor:
    """Averaged down to PX where they are larger."""
    factor = images.shape[-1] // PX
    return F.avg_pool2d(images, factor) if factor > 1 else images


def path_lengths(
    net: PerceptualNetwork, paths: Iterable[tuple[Tensor, Tensor]], device: str, tick: Callable[[int], None]
) -> NDArray[np.float64]:
    """Squared speed [n] at the beginning of each path; ``tick(k)`` after every k images.

    DataError where one is not finite: those at either end are left out of the mean, and it would go unnoticed.
    """
    found: list[NDArray[np.float64]] = []
    for a, b in paths:
        with full_precision():
            distance = net.distance(net.features(a.to(device)), net.features(b.to(device)))
        require_finite(distance, "distances along paths", sum(map(len, found)))
        found.append(distance.double().cpu().numpy() / EPSILON**2)
        tick(2 * len(a))
    return np.concatenate(found)


def lengths_to_score(lengths: NDArray[np.float64]) -> Score:
    """Mean of those between the 1 % and the 99 % quantile, widened to the next length, as in NVIDIA's code."""
    low = np.quantile(lengths, OUTER, method="lower")
    high = np.quantile(lengths, 1 - OUTER, method="higher")
    kept = lengths[(lengths >= low) & (lengths <= high)]
    std_error = float(kept.std(ddof=1)) / math.sqrt(len(kept)) if len(kept) > 1 else None
    return Score.measured(float(kept.mean()), len(lengths), std_error)
