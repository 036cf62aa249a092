"""Pictures for metrics to look at."""

from __future__ import annotations

import numpy as np


def pictures(n: int, px: int, seed: int) -> np.ndarray:
    """Smooth waves, a disc and noise: uint8 [n, 3, px, px]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:px, :px] / px
    images = []
    for _ in range(n):
        fx, fy, phase, cx, cy, radius = rng.uniform((1, 1, 0, 0.3, 0.3, 0.1), (6, 6, 6.28, 0.7, 0.7, 0.3))
        wave = 0.5 + 0.4 * np.sin(fx * x * 6.28 + fy * y * 6.28 + phase)
        disc = (x - cx) ** 2 + (y - cy) ** 2 < radius**2
        channels = [np.where(disc, c, wave * c) + rng.normal(0, 0.05, (px, px)) for c in rng.uniform(0.2, 1, 3)]
        images.append(np.stack(channels))
    return np.round(np.clip(np.stack(images), 0, 1) * 255).astype(np.uint8)
