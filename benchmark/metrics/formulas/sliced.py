"""Sliced 2-Wasserstein distance of features: MIND, the Monge inception distance (Berthet et al. 2026).

arXiv 2605.06797: MIND = 3 d E_u [ W2^2 (u.X, u.Y) ], u uniform on the unit sphere of the d features. Along one
direction the best transport pairs sorted values. The factor 3 d is the paper's; no root is taken.

Chosen here: 1,000 directions from a fixed seed, the same for all that is compared. Sets of different sizes are compared
whole, by their quantile functions; the paper and its implementations draw equal numbers. At equal numbers both agree.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.metrics.base import require_features

Floats = NDArray[np.floating]
Array = NDArray[np.float64]

DIRECTIONS = 1000
BLOCK = 100
"""Directions that are worked on together: projections of 10,000 images then take 8 MB."""


def features_to_mind(fakes: Floats, real: Floats, directions: int = DIRECTIONS) -> float:
    """MIND of features [n, d] and [m, d], n, m >= 1; 0 for equal sets, biased upwards at small n and m.

    Units: 3 d times the squared unit of the features. Raises DataError for features that are not finite.
    """
    require_features(("generated", fakes, 1), ("reference", real, 1))
    x, y, d = np.asarray(fakes, np.float64), np.asarray(real, np.float64), fakes.shape[1]
    rng = np.random.default_rng(0)
    total = 0.0
    for start in range(0, directions, BLOCK):
        u = rng.standard_normal((min(BLOCK, directions - start), d))
        u /= np.linalg.norm(u, axis=1, keepdims=True)
        total += float(squared_transport(np.sort(u @ x.T), np.sort(u @ y.T)).sum())
    return 3 * d * total / directions


def squared_transport(a: Array, b: Array) -> Array:
    """W2^2 [k] of sorted values [k, n] and [k, m], each of weight 1/n and 1/m: the integral of (F^-1 - G^-1)^2."""
    n, m = a.shape[1], b.shape[1]
    ends = np.union1d(np.arange(1, n + 1) * m, np.arange(1, m + 1) * n)  # in units of 1 / (n m), so that none is missed
    lengths = np.diff(ends, prepend=0) / (n * m)
    left, right = (ends - 1) // m, (ends - 1) // n
    found: Array = np.square(a[:, left] - b[:, right]) @ lengths
    return found
