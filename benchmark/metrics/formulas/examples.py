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


def gaussians() -> Example:
    """Moments that are exact: means (0, 0), (1, 2), covariances ((4, 0), (0, 1)), ((2, 1), (1, 5)).

    For 2 x 2, tr (S1 S2)^(1/2) = (tr S1 S2 + 2 (det S1 det S2)^(1/2))^(1/2) = (13 + 2 * 6)^(1/2) = 5, hence the
    distance 5 + 5 + 7 - 2 * 5 = 7.
    """
    plain = signs(4)[:, 1:3]  # two columns of mean 0, at right angles
    fakes = math.sqrt(3 / 4) * plain @ np.diag([2.0, 1.0])
    root = np.linalg.cholesky([[2.0, 1.0], [1.0, 5.0]]).T
    reals = math.sqrt(7 / 8) * np.concatenate([plain, plain]) @ root + [1, 2]
    return Example(fakes, reals, 7.0, 1e-5)


def kernel() -> Example:
    """(0, 1, 2) and (0, 1, 1, -1) by k(x, y) = (x y + 1)^3, all twice over so that the division by d counts.

    Means over pairs: (1 + 1 + 27) / 3, (1 + 1 + 1 + 8 + 0 + 0) / 6, and (4 + 17 + 54) / 12 between the sets:
    29 / 3 + 11 / 6 - 2 * 75 / 12 = -1.
    """
    fakes, reals = np.array([0.0, 1, 2]), np.array([0.0, 1, 1, -1])
    return Example(np.stack([fakes] * 2, axis=1), np.stack([reals] * 2, axis=1), -1.0, 1e-5)


def dropped_mode(answer: float) -> Example:
    """Reference at 0, 1, ..., 9 and again from 1000 on, generated at 0.5, ..., 9.5: one of two modes, well drawn.

    With k = 5: every generated image is in a ball (precision 1), half of the reference is reached (recall and coverage
    1/2), and the balls of 0, ..., 9 hold 5 + 5 + 5 + 6 * 7 = 57 of 5 * 10 (density). Exchanged sets give recall 1.
    """
    reals = np.arange(10.0)[:, None]
    return Example(reals + 0.5, np.concatenate([reals, reals + 1000]), answer, 1e-9)


def endless() -> Example:
    """Two normal distributions, one std apart in one of four dimensions: FD of endless samples 1, std error 0.05."""
    reals = np.tile(signs(8)[:, 1:5], (50, 1)) * math.sqrt(399 / 400)
    rng = np.random.default_rng(0)
    return Example(rng.standard_normal((2000, 4)) + np.array([1, 0, 0, 0]), reals, 1.0, 0.2)


def copies() -> Example:
    """Training images at 0, 10, ..., 190 and at 19.75, 29.75; held-out ones a step of 1 from training images.

    Two of four generated images, at a distance of 0.5, are nearer than held-out ones; the other two are farther off and
    authentic, since 20 and 30 have another training image at 0.25. Sets exchanged give 1 and 0, or no answer.
    """
    tens = np.arange(0.0, 200.0, 10.0)
    training = np.concatenate([tens, [19.75, 29.75]])
    fakes = np.array([0.5, 10.5, 21.5, 31.5])
    return Example(fakes[:, None], tens[:19, None] + 1, 0.5, 1e-9, training[:, None])


def signs(n: int) -> NDArray[np.float64]:
    """Sylvester's matrix [n, n] of 1 and -1 with orthogonal rows and columns, n a power of two."""
    matrix = np.ones((1, 1))
    while len(matrix) < n:
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    return matrix
