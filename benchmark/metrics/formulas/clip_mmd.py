"""CMMD: the squared maximum mean discrepancy of CLIP embeddings (Jayasumana et al. 2024, section 4).

Kernel exp(-|x - y|^2 / (2 sigma^2)) with sigma = 10 on embeddings of length 1, times 1,000, as in the paper. The mean
over all pairs, an image with itself included (the V-statistic), is the paper's code; so it is never negative, and is
biased upwards at small numbers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.metrics.base import require_features

Floats = NDArray[np.floating]

SIGMA, SCALE = 10.0, 1000.0
BLOCK = 512


def features_to_cmmd(fakes: Floats, real: Floats) -> float:
    """CMMD of embeddings [n, d] and [m, d], which are brought to length 1; 0 for equal sets.

    Raises DataError for embeddings that are not finite.
    """
    require_features(("generated", fakes, 1), ("reference", real, 1))
    x, y = (_unit(np.asarray(side, np.float64)) for side in (fakes, real))
    return SCALE * (_less_than_one(x, y) * 2 - _less_than_one(x, x) - _less_than_one(y, y))


def _less_than_one(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """1 minus the mean kernel value; with sigma = 10 values are near 1, and differences of them would lose digits."""
    total = 0.0
    for start in range(0, len(x), BLOCK):
        squared = np.maximum(2 - 2 * (x[start : start + BLOCK] @ y.T), 0)
        total -= float(np.expm1(-squared / (2 * SIGMA**2)).sum())
    return total / (len(x) * len(y))


def _unit(x: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    return found
