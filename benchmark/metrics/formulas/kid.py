"""Kernel Inception distance: the unbiased MMD^2 with a cubic kernel (Bińkowski et al. 2018, section 4).

k(x, y) = (x.y / d + 1)^3. This is the U-statistic over the full sets instead of an average over random subsets: it
estimates the same quantity, has less variance and needs no random numbers.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import DataError
from benchmark.metrics.base import require_features

Array = NDArray[np.float64]
AT_LEAST = 3
"""Images a side."""


def features_to_kid(x: NDArray[np.floating], y: NDArray[np.floating]) -> tuple[float, float]:
    """Unbiased MMD^2 of features [m, d] and [n, d], m, n >= 3, and its standard error.

    May be negative for sets that are alike. The standard error is the two-sample delete-one jackknife, as if both sets
    were drawn again. Its square is too large on average (Efron and Stein 1981), by up to a factor of two where the
    sets come from one distribution. Raises DataError for fewer than three rows, and for features that are not finite.
    """
    if min(len(x), len(y)) < AT_LEAST:
        raise DataError(f"the kernel distance needs at least three images a side; found {len(x)} and {len(y)}.")
    require_features(("generated", x, AT_LEAST), ("reference", y, AT_LEAST))
    a, b = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    m, n = len(a), len(b)
    xx = _kernel_sums(a, a)[0] - _kernel_diagonal(a)
    yy = _kernel_sums(b, b)[0] - _kernel_diagonal(b)
    x_to_y, y_to_x = _kernel_sums(a, b)
    cross = x_to_y.sum()
    mean_xx, mean_yy = xx.sum() / (m * (m - 1)), yy.sum() / (n * (n - 1))
    value = mean_xx + mean_yy - 2 * cross / (m * n)
    without_x = _mean_without_each(xx) + mean_yy - 2 * (cross - x_to_y) / ((m - 1) * n)
    without_y = _mean_without_each(yy) + mean_xx - 2 * (cross - y_to_x) / ((n - 1) * m)
    variance = (m - 1) * without_x.var() + (n - 1) * without_y.var()
    return float(value), math.sqrt(variance)


def _mean_without_each(row_sums: Array) -> Array:
    """Mean of the off-diagonal kernel values after leaving out element i, for each i. row_sums: [m], no diagonal."""
    m = len(row_sums)
    means: Array = (row_sums.sum() - 2 * row_sums) / ((m - 1) * (m - 2))
    return means


def _kernel_diagonal(x: Array) -> Array:
    diagonal: Array = (np.square(x).mean(axis=1) + 1) ** 3
    return diagonal


def _kernel_sums(x: Array, y: Array, block: int = 256) -> tuple[Array, Array]:
    """Row sums [m] and column sums [n] of the kernel matrix, made in blocks of rows so that memory stays small."""
    rows, columns = np.empty(len(x)), np.zeros(len(y))
    for start in range(0, len(x), block):
        base = x[start : start + block] @ y.T / x.shape[1] + 1
        k = base * base * base  # many times faster than ** 3
        rows[start : start + block] = k.sum(axis=1)
        columns += k.sum(axis=0)
    return rows, columns
