"""Small sets of features for which these formulas have answers that can be worked out by hand."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Example(NamedTuple):
    """Generated [n, d] and reference features [m, d], what the metric has to say, how far off it may be."""

    fakes: NDArray[np.float64]
    reals: NDArray[np.float64]
    answer: float
    tolerance: float
    training: NDArray[np.float64] | None = None


def quantiles() -> Example:
    """(0, 1) and (0, 2, 4), both columns alike so that the factor 3 d counts.

    Quantile functions differ by 0 on a third, by 2 and by 1 on a sixth each and by 3 on a third: W2^2 = 5/6 + 3 = 23/6
    along (1, 0). Along u it is (u1 + u2)^2 as much, 1 on average: 3 * 2 * 23 / 6 = 23. A thousand directions give that
    to about 2 %.
    """
    fakes, reals = np.array([0.0, 1]), np.array([0.0, 2, 4])
    return Example(np.stack([fakes] * 2, axis=1), np.stack([reals] * 2, axis=1), 23.0, 0.08)


def directions() -> Example:
    """Two images along each of three axes, of different lengths: three different images. The reference has one."""
    fakes = np.concatenate([np.eye(3), 5 * np.eye(3)])
    return Example(fakes, np.ones((4, 3)), 3.0, 1e-6)


def right_angle() -> Example:
    """Copies of one embedding against copies of another at a right angle, |x - y|^2 = 2: 2,000 (1 - exp(-2 / 200))."""
    fakes, reals = np.tile([[3.0, 0.0]], (4, 1)), np.tile([[0.0, 0.5]], (5, 1))
    return Example(fakes, reals, -2000 * math.expm1(-0.01), 1e-6)
