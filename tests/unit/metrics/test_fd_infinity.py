"""FD-infinity, the standard error and the bootstrap against Gaussians of known distance and against brute force."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.errors import DataError
from benchmark.metrics.formulas.fd_infinity import bootstrap_fd, fd_std_error, features_to_fd_infinity
from benchmark.metrics.formulas.frechet import Gaussian, features_to_gaussian, frechet_distance

SPREAD = np.linspace(0.7, 1.4, 8)
SHIFT = 0.2
TRUTH = float(np.square(SPREAD - 1).sum() + 8 * SHIFT**2)
"""Distance of N(SHIFT, diag SPREAD^2) to N(0, 1) in eight dimensions."""


def fd(fake: np.ndarray, real: np.ndarray) -> float:
    return frechet_distance(features_to_gaussian(fake), features_to_gaussian(real))


def white(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    """n rows whose sample mean is exactly 0 and sample covariance exactly 1, so that they add no error."""
    x = rng.normal(size=(n, d))
    q, _ = np.linalg.qr(x - x.mean(0))
    return np.sqrt(n - 1) * q


@pytest.fixture(scope="module")
def real() -> np.ndarray:
    return white(np.random.default_rng(0), 40, 8)


@pytest.fixture(scope="module")
def fakes() -> np.ndarray:
    """200 samples of 300."""
    return SPREAD * np.random.default_rng(7).normal(size=(200, 300, 8)) + SHIFT


def covered(intervals: np.ndarray, truth: float) -> float:
    return float(((intervals[:, 0] <= truth) & (truth <= intervals[:, 1])).mean())


def test_fd_infinity_removes_the_bias_and_its_interval_is_honest(real: np.ndarray, fakes: np.ndarray) -> None:
    found = [features_to_fd_infinity(fake, real, seed) for seed, fake in enumerate(fakes)]
    values, errors = np.array([f.value for f in found]), np.array([f.std_error for f in found])
    noise = values.std() / len(values) ** 0.5
    assert np.mean([fd(fake, real) for fake in fakes]) - TRUTH > 4 * noise  # the bias that there is to remove
    assert abs(values.mean() - TRUTH) < 3 * noise
    assert 0.85 < np.sqrt(np.square(errors).mean()) / values.std() < 1.15
    assert 0.9 <= covered(np.array([f.interval for f in found]), TRUTH) <= 0.99
    assert np.mean([f.straight for f in found]) > 0.85


def test_fd_infinity_of_few_images_in_many_dimensions_says_that_it_fails() -> None:
    rng = np.random.default_rng(2)
    real, spread = white(rng, 150, 60), np.linspace(0.7, 1.4, 60)
    truth = np.square(spread - 1).sum()
    few = features_to_fd_infinity(spread * rng.normal(size=(250, 60)), real, 0)
    many = features_to_fd_infinity(spread * rng.normal(size=(3000, 60)), real, 0)
    assert not few.straight and not few.interval[0] < truth < few.interval[1]
    assert many.straight and many.interval[0] < truth < many.interval[1]


def test_fd_infinity_is_reproducible_and_shows_its_points(real: np.ndarray, fakes: np.ndarray) -> None:
    fake = fakes[0]
    found = features_to_fd_infinity(fake, real, 3)
    assert found == features_to_fd_infinity(fake, real, 3) != features_to_fd_infinity(fake, real, 4)
    assert (len(found.sizes), found.sizes[0], found.sizes[-1]) == (15, 30, 300)
    assert set(np.diff(found.sizes)) <= {19, 20}
    assert found.values[-1] == pytest.approx(fd(fake, real), rel=1e-9)  # all images, in some order
    line = np.polyfit(1 / np.array(found.sizes), found.values, 1)
    assert (found.slope, found.value) == pytest.approx(tuple(line))
    assert found.std_error**2 == pytest.approx(found.fit_error**2 + found.sampling_error**2)


def weighted(x: np.ndarray, weights: np.ndarray) -> Gaussian:
    """The fit in which image i counts ``weights[i]`` times."""
    share, n = weights / weights.sum(), len(x)
    mean = share @ x
    return Gaussian(mean, np.sqrt(share * n / (n - 1))[:, None] * (x - mean))


@pytest.mark.parametrize(("n", "m", "d"), [(60, 50, 9), (60, 12, 30), (20, 60, 30), (20, 15, 30)])
def test_std_error_is_the_infinitesimal_jackknife(n: int, m: int, d: int) -> None:
    """Move one weight at a time; both sets, one, the other or none has more images than features."""
    rng = np.random.default_rng(4)
    fake, real = rng.normal(size=(n, d)), 1.2 * rng.normal(size=(m, d)) + 0.05
    reference, step = features_to_gaussian(real), 1e-4
    slopes = [
        frechet_distance(weighted(fake, 1 + step * one), reference)
        - frechet_distance(weighted(fake, 1 - step * one), reference)
        for one in np.eye(n)
    ]
    influence = np.array(slopes) * n / (2 * step)
    assert fd_std_error(fake, real) == pytest.approx(influence.std(ddof=1) / n**0.5, rel=1e-4)


def test_std_error_is_the_spread_of_the_distance(real: np.ndarray, fakes: np.ndarray) -> None:
    values = np.array([fd(fake, real) for fake in fakes])
    errors = np.array([fd_std_error(fake, real) for fake in fakes])
    assert 0.85 < errors.mean() / values.std() < 1.15
    intervals = values[:, None] + 1.96 * errors[:, None] * [-1, 1]
    assert 0.9 <= covered(intervals, values.mean()) <= 0.99


def test_std_error_of_sets_larger_than_a_block() -> None:
    """Repeating every image three times changes the Gaussian by n / (n - 1) only, and the error by sqrt 3."""
    fake, real = np.random.default_rng(5).normal(size=(2, 900, 5)).astype(np.float32)
    once, thrice = fd_std_error(fake + 1, real), fd_std_error(np.tile(fake + 1, (3, 1)), real)
    assert thrice == pytest.approx(once / 3**0.5, rel=2e-3)


def test_bootstrap_interval_covers_the_distance_at_this_n(real: np.ndarray, fakes: np.ndarray) -> None:
    expected = float(np.mean([fd(fake, real) for fake in fakes]))
    intervals = np.array([bootstrap_fd(fake, real, 60, seed) for seed, fake in enumerate(fakes)])
    assert 0.88 <= covered(intervals, expected) <= 0.99
    errors = np.array([fd_std_error(fake, real) for fake in fakes])
    assert (intervals[:, 1] - intervals[:, 0]).mean() == pytest.approx(2 * 1.96 * errors.mean(), rel=0.1)
    assert bootstrap_fd(fakes[0], real, 60, 0) == tuple(intervals[0])


def test_bootstrap_interval_holds_the_distance_where_plain_percentiles_do_not() -> None:
    rng = np.random.default_rng(6)
    real, fake = white(rng, 100, 30), rng.normal(size=(60, 30))
    low, high = bootstrap_fd(fake, real, 60, 0)
    resampled = [fd(fake[rng.integers(0, 60, 60)], real) for _ in range(60)]
    assert low < fd(fake, real) < high < min(resampled)


def test_constant_images_have_a_sure_distance(real: np.ndarray) -> None:
    grey = np.full((120, 8), 0.5)
    expected = 8 * 0.25 + 8  # squared gap of the means, and all the spread of the reference
    found = features_to_fd_infinity(grey, real, 0)
    assert (found.value, *found.interval, found.slope) == pytest.approx((expected, expected, expected, 0), abs=1e-6)
    assert found.straight
    assert bootstrap_fd(grey, real, 40, 0) == pytest.approx((expected, expected))
    both = features_to_fd_infinity(grey, grey, 0)
    assert (both.value, both.std_error) == (0, 0)


def test_hostile_input_is_refused(real: np.ndarray, fakes: np.ndarray) -> None:
    fake = fakes[0].copy()
    with pytest.raises(DataError, match="100 or more generated images; found 99"):
        features_to_fd_infinity(fake[:99], real, 0)
    with pytest.raises(DataError, match="generated images; found 1"):
        fd_std_error(fake[:1], real)
    with pytest.raises(DataError, match="reference images; found 1"):
        bootstrap_fd(fake, real[:1], 40, 0)
    with pytest.raises(DataError, match="at least 40 rounds; found 39"):
        bootstrap_fd(fake, real, 39, 0)
    with pytest.raises(DataError, match=r"reference features must be \[n, 8\].* found shape \[40, 7\]"):
        fd_std_error(fake, real[:, :7])
    fake[[7, 9], 2] = np.nan, np.inf
    for call in (
        lambda: features_to_fd_infinity(fake, real, 0),
        lambda: fd_std_error(fake, real),
        lambda: bootstrap_fd(fake, real, 40, 0),
    ):
        with pytest.raises(DataError, match=r"generated features must be finite numbers: 2 of 300 rows .* row 7"):
            call()
    with pytest.raises(DataError, match="reference features"):
        fd_std_error(real, fake)
