"""The Fréchet distance's standard error, and its extrapolation to endless images.

The distance of n generated images is biased upwards by about slope / n, and the slope depends on the generator (Chong
and Forsyth 2020), so it ranks generators only at equal n, and even then partly by their bias. FD-infinity is the
intercept of a straight line through distances of subsets against 1 / N.

Everything here is about the generated images; the reference set is taken as it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import DataError
from benchmark.metrics.base import require_features
from benchmark.metrics.formulas.frechet import Gaussian, features_to_gaussian, frechet_distance

Features = NDArray[np.floating]
Array = NDArray[np.float64]
Interval = tuple[float, float]

SIZES = 15
"""Subsets in a fit, as in the paper."""

AT_LEAST = 100
"""Least number of images: with fewer, the smallest subset (a tenth) is meaningless."""

NORMAL = 1.96
"""Half-width of a 95 % interval of a normal distribution, in standard deviations."""


@dataclass(frozen=True)
class FdInfinity:
    """FD(N) = value + slope / N, fitted to ``values`` at ``sizes``.

    ``std_error`` joins two independent parts: ``fit_error``, of the intercept given these images, from the scatter
    about the line; and ``sampling_error``, of drawing the images. ``interval`` is 95 %. ``straight`` is False where the
    larger half of the sizes points to another intercept: usually N is then too small against the number of features
    for a straight line, and the value is wrong by more than the interval says (a few in a hundred are false alarms).
    """

    value: float
    interval: Interval
    std_error: float
    slope: float
    sizes: tuple[int, ...]
    values: tuple[float, ...]
    fit_error: float
    sampling_error: float
    straight: bool


def features_to_fd_infinity(fake: Features, real: Features, seed: int) -> FdInfinity:
    """FD-infinity of features [n, d] of generated images against [m, d] of reference images.

    15 sizes, evenly spaced from n / 10 to n; each has its own random subset, drawn without replacement. The fit alone
    is far too sure of itself, because all subsets come from the same n images: on Gaussians its 95 % interval covers
    the truth in six of ten cases, and in four with the beginnings of one shuffled order, whose distances wander off the
    line together. Hence own subsets, and the sampling error beside the fit's.
    Raises DataError for n < 100, m < 2, different widths or features that are not finite.
    """
    require_features(("generated", fake, AT_LEAST), ("reference", real, 2))
    n, rng = len(fake), np.random.default_rng(seed)
    reference = features_to_gaussian(real)
    sizes = np.linspace(n / 10, n, SIZES).round().astype(int)
    values = [frechet_distance(features_to_gaussian(fake[rng.permutation(n)[:size]]), reference) for size in sizes]
    line, upper = _fit(sizes, values), _fit(sizes[SIZES // 2 :], values[SIZES // 2 :])
    sampling_error = fd_std_error(fake, real)
    spread = math.hypot(line.spread, NORMAL * sampling_error)
    return FdInfinity(
        value=line.intercept,
        interval=(line.intercept - spread, line.intercept + spread),
        std_error=math.hypot(line.error, sampling_error),
        slope=line.slope,
        sizes=tuple(sizes.tolist()),
        values=tuple(values),
        fit_error=line.error,
        sampling_error=sampling_error,
        straight=abs(upper.intercept - line.intercept) <= math.hypot(line.spread, upper.spread),
    )


def fd_std_error(fake: Features, real: Features) -> float:
    """Standard error of the Fréchet distance of features [n, d] and [m, d] from drawing the n generated images.

    The infinitesimal jackknife: an image x that gets more weight moves the distance by 2 (x - mu1).(mu1 - mu2) +
    |x - mu1|^2 - (x - mu1)' T (x - mu1), T the map that transports the one Gaussian to the other; the standard error is
    the standard deviation of that over sqrt n. Costs one distance, draws nothing, and is the limit of many rounds of
    ``bootstrap_fd``. Too large where n is less than a few times the features' effective number.
    Raises DataError as ``bootstrap_fd``.
    """
    return fd_with_std_error(fake, real)[1]


def fd_with_std_error(fake: Features, real: Features) -> tuple[float, float]:
    """The Fréchet distance and its ``fd_std_error`` from one fit of the two Gaussians."""
    require_features(("generated", fake, 2), ("reference", real, 2))
    a, b = features_to_gaussian(fake), features_to_gaussian(real)
    return frechet_distance(a, b), _std_error(fake, a, b)


def _std_error(fake: Features, a: Gaussian, b: Gaussian) -> float:
    root, gap, n = _transport_root(a, b), a.mean - b.mean, len(fake)
    influence = np.empty(n)
    for start in range(0, n, 1024):  # never a second copy of all features in float64
        x = fake[start : start + 1024] - a.mean
        squares = np.square(x).sum(axis=1) - np.square(x @ root).sum(axis=1)
        influence[start : start + 1024] = 2 * x @ gap + squares * n / (n - 1)
    return float(influence.std(ddof=1)) / math.sqrt(n)


def bootstrap_fd(fake: Features, real: Features, rounds: int, seed: int) -> Interval:
    """95 % bootstrap interval of the Fréchet distance at this n over the generated images; features [n, d], [m, d].

    A resample repeats images, so its covariance is that of fewer, and its distance is biased upwards once more, by
    about as much as the distance itself: plain percentiles mostly lie above what they should cover. So the resampled
    distances are moved to have their mean at the distance. The interval is for the expected distance *at this n*, bias
    included, which is what scores of equal n compare; for the distance without bias take FD-infinity.
    Raises DataError for fewer than two rows, different widths, features that are not finite, or fewer than 40 rounds.
    """
    require_features(("generated", fake, 2), ("reference", real, 2))
    if rounds < 40:
        raise DataError(f"a 95 % bootstrap interval needs at least 40 rounds; found {rounds}.")
    n, rng = len(fake), np.random.default_rng(seed)
    reference = features_to_gaussian(real)
    value = frechet_distance(features_to_gaussian(fake), reference)
    draws = [frechet_distance(features_to_gaussian(fake[rng.integers(0, n, n)]), reference) for _ in range(rounds)]
    low, high = np.quantile(draws, [0.025, 0.975]) - np.mean(draws) + value
    return max(float(low), 0.0), float(high)


class _Line(NamedTuple):
    """Least squares: intercept with its standard error and half the width of its 95 % interval."""

    intercept: float
    slope: float
    error: float
    spread: float


def _fit(sizes: NDArray[np.int64], values: Sequence[float]) -> _Line:
    """Values against 1 / sizes."""
    from scipy import stats  # slow to import; listing the metrics must not wait for it

    fit = stats.linregress(1 / sizes, values)
    error = 0.0 if math.isnan(fit.intercept_stderr) else float(fit.intercept_stderr)  # NaN where all values are equal
    return _Line(float(fit.intercept), float(fit.slope), error, error * float(stats.t.ppf(0.975, len(sizes) - 2)))


def _transport_root(a: Gaussian, b: Gaussian) -> Array:
    """R [d, r] with R R' = T, the transport map from a to b on the span of a's images.

    With A = Fa Fb' = U S V', T = Fb' V S^-1 V' Fb: no inverse of a covariance, which with n <= d there is not.
    """
    _, s, vt = np.linalg.svd(a.factor @ b.factor.T, full_matrices=False)
    kept = s > s[0] * len(s) * np.finfo(np.float64).eps
    root: Array = b.factor.T @ (vt[kept].T / np.sqrt(s[kept]))
    return root
