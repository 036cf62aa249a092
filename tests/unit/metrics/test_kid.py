"""Fréchet and kernel distance against analytic values, scipy and the definitions written out."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

import numpy as np
import pytest
import scipy.linalg

from benchmark.errors import DataError
from benchmark.metrics.formulas.frechet import features_to_gaussian, frechet_distance
from benchmark.metrics.formulas.kid import features_to_kid
from benchmark.metrics.networks.torchvision_guard import declare_missing_operators


def fd(x: np.ndarray, y: np.ndarray) -> float:
    return frechet_distance(features_to_gaussian(x), features_to_gaussian(y))


def exact_sample(rng: np.random.Generator, n: int, mean: np.ndarray, root: np.ndarray) -> np.ndarray:
    """n rows whose sample mean is exactly ``mean`` and sample covariance exactly ``root.T @ root``."""
    x = rng.standard_normal((n, len(mean)))
    q, _ = np.linalg.qr(x - x.mean(0))
    return np.sqrt(n - 1) * q @ root + mean


def test_fd_of_diagonal_gaussians_is_analytic() -> None:
    rng = np.random.default_rng(0)
    mean1, mean2 = rng.normal(size=12), rng.normal(size=12)
    std1, std2 = rng.uniform(0.1, 3, 12), rng.uniform(0.1, 3, 12)
    x = exact_sample(rng, 40, mean1, np.diag(std1))
    y = exact_sample(rng, 55, mean2, np.diag(std2))
    expected = np.square(mean1 - mean2).sum() + np.square(std1 - std2).sum()
    assert fd(x, y) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("seed", range(3))
def test_fd_equals_matrix_square_root_at_full_rank(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(90, 20)) @ rng.normal(size=(20, 20))
    y = rng.normal(size=(70, 20)) @ rng.normal(size=(20, 20)) + 1
    cov1, cov2 = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = scipy.linalg.sqrtm(cov1 @ cov2).real
    expected = np.square(x.mean(0) - y.mean(0)).sum() + np.trace(cov1 + cov2 - 2 * root)
    assert fd(x, y) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize(("n1", "n2"), [(30, 30), (30, 200), (200, 30)])
def test_fd_with_fewer_images_than_features_is_the_same_distance(n1: int, n2: int) -> None:
    """A rotation into more dimensions changes no distance but switches to the low-rank form."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(n1, 10)) @ rng.normal(size=(10, 10))
    y = rng.normal(size=(n2, 10)) + 0.5
    rotation, _ = np.linalg.qr(rng.normal(size=(60, 10)))
    assert fd(x @ rotation.T, y @ rotation.T) == pytest.approx(fd(x, y), rel=1e-9)


def test_fd_survives_dead_and_doubled_features() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(80, 6)), 2 * rng.normal(size=(80, 6))
    dead = np.full((80, 1), 0.25)
    assert fd(np.hstack([x, dead]), np.hstack([y, dead])) == pytest.approx(fd(x, y), rel=1e-9)
    doubled = fd(np.hstack([x, x]), np.hstack([y, y]))
    assert doubled == pytest.approx(2 * fd(x, y), rel=1e-6)


@pytest.mark.parametrize("n", [15, 100])
def test_fd_is_a_distance(n: int) -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(n, 30)).astype(np.float32) * 5
    y = rng.normal(size=(n, 30)).astype(np.float32)
    shift = rng.normal(size=30)
    assert fd(x, x) == pytest.approx(0, abs=1e-8)
    assert fd(x, x[::-1]) == pytest.approx(0, abs=1e-8)
    assert fd(x, y) == pytest.approx(fd(y, x), rel=1e-10)
    assert fd(x + shift, y + shift) == pytest.approx(fd(x, y), rel=1e-9)
    assert fd(x + shift, x.astype(np.float64)) == pytest.approx(shift @ shift, rel=1e-8)


def test_one_image_has_no_covariance() -> None:
    with pytest.raises(DataError, match="two images; found 1"):
        features_to_gaussian(np.zeros((1, 4)))


def kernel(a: np.ndarray, b: np.ndarray) -> float:
    return float((a @ b / len(a) + 1) ** 3)


def kid_by_definition(x: np.ndarray, y: np.ndarray) -> float:
    """Bińkowski et al. 2018: means over distinct pairs within, over all pairs between."""
    within = [np.mean([kernel(s[i], s[j]) for i in range(len(s)) for j in range(len(s)) if i != j]) for s in (x, y)]
    between = np.mean([kernel(a, b) for a in x for b in y])
    return float(sum(within) - 2 * between)


def test_kid_and_its_error_are_the_definition_and_its_jackknife() -> None:
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(9, 5)), rng.normal(size=(12, 5)) + 0.3
    value, std_error = features_to_kid(x, y)
    assert value == pytest.approx(kid_by_definition(x, y), rel=1e-11)
    without_x = np.array([kid_by_definition(np.delete(x, i, 0), y) for i in range(len(x))])
    without_y = np.array([kid_by_definition(x, np.delete(y, i, 0)) for i in range(len(y))])
    variance = (len(x) - 1) * without_x.var() + (len(y) - 1) * without_y.var()
    assert std_error == pytest.approx(variance**0.5, rel=1e-10)
    assert features_to_kid(y, x) == pytest.approx((value, std_error), rel=1e-10)


def test_kid_of_sets_larger_than_a_block() -> None:
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(1500, 3)), rng.normal(size=(1100, 3)) + 1
    xx, yy, xy = ((a @ b.T / 3 + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))
    expected = sum((k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)) for k in (xx, yy)) - 2 * xy.mean()
    assert features_to_kid(x, y)[0] == pytest.approx(expected, rel=1e-10)


def test_kid_is_unbiased_and_its_error_is_honest() -> None:
    """In one dimension the kernel is 1 + 3xy + 3(xy)^2 + (xy)^3, so MMD^2 is known from three moments."""
    rng = np.random.default_rng(6)
    shift = 0.5
    moments1, moments2 = np.array([0, 1, 0]), np.array([shift, 1 + shift**2, 3 * shift + shift**3])
    truth = np.square(moments1 - moments2) @ [3, 3, 1]
    draws = [features_to_kid(rng.normal(size=(60, 1)), rng.normal(size=(60, 1)) + shift) for _ in range(600)]
    values, errors = np.array(draws).T
    assert abs(values.mean() - truth) < 4 * values.std() / len(values) ** 0.5
    assert 0.85 < np.sqrt(np.square(errors).mean()) / values.std() < 1.3


def test_kid_of_one_distribution_is_zero_on_average_and_its_error_is_on_the_safe_side() -> None:
    rng = np.random.default_rng(7)
    draws = [features_to_kid(rng.normal(size=(50, 8)), rng.normal(size=(40, 8))) for _ in range(500)]
    values, errors = np.array(draws).T
    assert abs(values.mean()) < 4 * values.std() / len(values) ** 0.5
    assert (values < 0).any()
    assert 1.0 < np.square(errors).mean() / values.var() < 3.0


def test_kid_needs_three_images() -> None:
    with pytest.raises(DataError, match="found 2 and 5"):
        features_to_kid(np.zeros((2, 4)), np.zeros((5, 4)))


@pytest.fixture(scope="module")
def clean_fid() -> Iterator[ModuleType]:
    """The published formulas, as the clean-fid package has them."""
    declare_missing_operators()
    from cleanfid import fid

    patch, root_of = pytest.MonkeyPatch(), scipy.linalg.sqrtm
    # clean-fid 0.1.35 wants an argument that scipy 1.18 no longer has, and what it then returns
    patch.setattr(fid.linalg, "sqrtm", lambda x, disp: (root_of(x), None))
    yield fid
    patch.undo()


def feature_like(seed: int, n: int, m: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    """Dependent, non-negative, float32, as pooled features are."""
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(d, d)) / d**0.5
    x, y = rng.normal(size=(n, d)) @ mix, rng.normal(size=(m, d)) @ mix + 0.1
    return np.maximum(x, 0).astype(np.float32), np.maximum(y, 0).astype(np.float32)


@pytest.mark.parametrize(("n", "m"), [(400, 300), (80, 300), (60, 50)])
def test_fd_agrees_with_clean_fid(clean_fid: ModuleType, n: int, m: int) -> None:
    """To rounding with more images than features; with fewer, as far as the square root of a singular matrix goes."""
    x, y = feature_like(n, n, m, 128)
    moments = [(f.mean(0, dtype=np.float64), np.cov(f.astype(np.float64), rowvar=False)) for f in (x, y)]
    expected = clean_fid.frechet_distance(*moments[0], *moments[1])
    assert fd(x, y) == pytest.approx(expected, rel=1e-10 if min(n, m) > 128 else 1e-6)


@pytest.mark.parametrize("n", [90, 1500])
def test_kid_agrees_with_clean_fid(clean_fid: ModuleType, n: int) -> None:
    """One subset of full size is the full U-statistic; in float64, as clean-fid sums in the type that it is given."""
    x, y = feature_like(n, n, n, 64)
    expected = clean_fid.kernel_distance(x.astype(np.float64), y.astype(np.float64), num_subsets=1, max_subset_size=n)
    assert features_to_kid(x, y)[0] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("side", [0, 1])
def test_features_that_are_no_numbers_are_refused(bad: float, side: int) -> None:
    sets = [np.ones((4, 3)), np.ones((5, 3))]
    sets[side][2, 1] = bad
    with pytest.raises(DataError, match=r"must be finite numbers: 1 of . rows are not, the first is row 2;"):
        features_to_kid(*sets)
