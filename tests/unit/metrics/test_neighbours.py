"""Precision, recall, density, coverage and memorisation against the definitions written out in full matrices."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest

from benchmark.errors import DataError
from benchmark.metrics.formulas.neighbours import Memorisation, Prdc, features_to_prdc, nearest_training


def all_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Differences first, so that nothing cancels."""
    return np.sqrt(np.square(a[:, None].astype(np.float64) - b[None].astype(np.float64)).sum(2))


def radii(x: np.ndarray, k: int) -> np.ndarray:
    distances = all_distances(x, x)
    return np.array([np.sort(np.delete(row, i))[k - 1] for i, row in enumerate(distances)])


def prdc_by_definition(real: np.ndarray, fake: np.ndarray, k: int) -> Prdc:
    between = all_distances(real, fake)
    in_real, in_fake = between <= radii(real, k)[:, None], between <= radii(fake, k)[None]
    return Prdc(in_real.any(0).mean(), in_fake.any(1).mean(), in_real.sum(0).mean() / k, in_real.any(1).mean())


def same(a: Prdc, b: Prdc) -> bool:
    return astuple(a) == pytest.approx(astuple(b), abs=1e-12)


def clouds(seed: int, n: int = 90, m: int = 70, d: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)).astype(np.float32), (1.2 * rng.normal(size=(m, d)) + 0.3).astype(np.float32)


@pytest.mark.parametrize("block", [7, 32, 1024])
@pytest.mark.parametrize("k", [1, 3, 5])
def test_prdc_is_its_definition(k: int, block: int) -> None:
    real, fake = clouds(0)
    expected = prdc_by_definition(real, fake, k)
    assert 0 < expected.precision < 1 and 0 < expected.recall < 1  # neither answer is trivial
    assert same(features_to_prdc(real, fake, k, block), expected)


@pytest.mark.parametrize("offset", [0.0, 1000.0])
@pytest.mark.parametrize("block", [13, 1024])
def test_prdc_with_ties_and_duplicates_is_its_definition(block: int, offset: float) -> None:
    """A small grid: most distances tie with a radius, and many points coincide."""
    rng = np.random.default_rng(1)
    real, fake = rng.integers(0, 4, (80, 3)) / 8 + offset, rng.integers(1, 6, (60, 3)) / 8 + offset
    assert same(features_to_prdc(real, fake, 3, block), prdc_by_definition(real, fake, 3))


def test_prdc_does_not_depend_on_the_order_of_rows_or_on_a_rigid_motion() -> None:
    rng = np.random.default_rng(2)
    real, fake = clouds(2)
    fake[:20] = real[:20]
    rotation, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    expected = features_to_prdc(real, fake)
    assert same(features_to_prdc(real[rng.permutation(90)], fake[rng.permutation(70)], block=32), expected)
    assert same(features_to_prdc(real @ rotation + 5, fake @ rotation + 5), expected)
    assert same(features_to_prdc(1e-6 * real, 1e-6 * fake), expected)


def test_precision_and_recall_swap_with_the_sets() -> None:
    real, fake = clouds(3)
    there, back = features_to_prdc(real, fake), features_to_prdc(fake, real)
    assert (there.precision, there.recall) == (back.recall, back.precision)


def test_identical_sets_and_far_sets() -> None:
    real, fake = clouds(4)
    assert same(features_to_prdc(real, real[::-1], 5, 17), Prdc(1, 1, 6 / 5, 1))
    assert same(features_to_prdc(real, fake + 1e4), Prdc(0, 0, 0, 0))


def test_one_generated_image_many_times_is_precise_but_covers_nothing() -> None:
    real, _ = clouds(5)
    result = features_to_prdc(real, np.repeat(real[:1], 50, axis=0))
    assert (result.precision, result.recall) == (1, 1 / 90)
    assert same(result, prdc_by_definition(real, np.repeat(real[:1], 50, axis=0), 5))


def test_constant_sets_have_defined_values() -> None:
    grey = np.full((30, 4), 0.3, dtype=np.float32)
    assert same(features_to_prdc(grey, grey[:20], 5), Prdc(1, 1, 30 / 5, 1))
    assert same(features_to_prdc(grey, grey[:20] + 1, 5), Prdc(0, 0, 0, 0))


def test_an_outlier_does_not_swallow_the_others() -> None:
    real, fake = clouds(6)
    real[0] = 1e5
    assert same(features_to_prdc(real, fake), prdc_by_definition(real, fake, 5))


def test_density_and_coverage_of_one_distribution_are_as_the_paper_expects() -> None:
    """Naeem et al. 2020: density 1, coverage 1 - 2^-k for large sets of equal size."""
    rng = np.random.default_rng(7)
    result = features_to_prdc(rng.normal(size=(1500, 4)), rng.normal(size=(1500, 4)), 3)
    assert result.density == pytest.approx(1, abs=0.05)
    assert result.coverage == pytest.approx(1 - 1 / 8, abs=0.03)


@pytest.mark.parametrize("bad", [np.nan, -np.inf, 1e200])
def test_features_that_are_no_numbers_are_refused(bad: float) -> None:
    real, fake = (x.astype(np.float64) for x in clouds(8))
    fake[3, 2] = bad
    for call in (lambda: features_to_prdc(real, fake), lambda: nearest_training(fake, real, real)):
        with pytest.raises(DataError, match="generated features must be finite"):
            call()
    with pytest.raises(DataError, match="real features must be finite"):
        features_to_prdc(fake, real)


def test_too_few_images_and_wrong_shapes_are_refused() -> None:
    real, fake = clouds(9)
    with pytest.raises(DataError, match="6 or more generated images; found 5"):
        features_to_prdc(real, fake[:5])
    with pytest.raises(DataError, match="6 or more real images; found 0"):
        features_to_prdc(real[:0], fake)
    with pytest.raises(DataError, match=r"must be \[n, 6\], d > 0; found shape \[70, 5\]"):
        features_to_prdc(real, fake[:, :5])
    with pytest.raises(DataError, match="found shape"):
        features_to_prdc(real[0], fake[0])
    with pytest.raises(DataError, match="k = 0"):
        features_to_prdc(real, fake, 0)
    with pytest.raises(DataError, match="19 or more held-out images; found 18"):
        nearest_training(fake, real, real[:18])


def memorisation_by_definition(fake: np.ndarray, train: np.ndarray, held_out: np.ndarray) -> tuple[float, ...]:
    to_train, held = all_distances(fake, train), all_distances(held_out, train)
    spacing = radii(train, 1)
    few = np.sort(held.min(1))[0]  # with 19 images the 5 % quantile is the smallest
    return (
        np.median(to_train.min(1)) / np.median(held.min(1)),
        (to_train.min(1) < few).mean(),
        (spacing[to_train.argmin(1)] < to_train.min(1)).mean(),
        (spacing[held.argmin(1)] < held.min(1)).mean(),
    )


def shares(found: Memorisation) -> tuple[float, ...]:
    return found.median_ratio, found.share_nearer, found.authenticity, found.held_out_authenticity


@pytest.mark.parametrize("block", [11, 1024])
def test_memorisation_is_its_definition(block: int) -> None:
    rng = np.random.default_rng(10)
    train, fake, held_out = rng.normal(size=(60, 3)), 0.9 * rng.normal(size=(50, 3)), rng.normal(size=(19, 3))
    found = nearest_training(fake, train, held_out, block)
    expected = memorisation_by_definition(fake, train, held_out)
    assert 0 < expected[1] < 1 and 0 < expected[2] < 1
    assert shares(found) == pytest.approx(expected, rel=1e-9)
    distances = all_distances(fake, train)
    assert (found.nearest == distances.argmin(1)).all()
    np.testing.assert_allclose(found.distances, distances.min(1), rtol=1e-9)
    np.testing.assert_allclose(found.held_out_distances, all_distances(held_out, train).min(1), rtol=1e-9)


@pytest.mark.parametrize("block", [1, 1024])
def test_memorisation_on_a_line(block: int) -> None:
    """Held-out distances 1, 2 .. 19, so one in twenty fresh images is expected below 1; 50 is midway between both."""
    found = nearest_training(
        np.array([[0.5], [1.5], [50.0], [98.0]]), np.array([[0.0], [100.0]]), np.arange(1.0, 20)[:, None], block
    )
    assert found.nearest.tolist() == [0, 0, 0, 1]
    assert found.distances.tolist() == pytest.approx([0.5, 1.5, 50, 2])
    assert shares(found) == pytest.approx((1.75 / 10, 1 / 4, 0, 0))


def test_copies_of_training_images_are_found() -> None:
    rng = np.random.default_rng(11)
    images = rng.normal(size=(300, 64)).astype(np.float32) + 10
    train, held_out = images[:200], images[200:]
    order = rng.permutation(200)
    copies = nearest_training(train[order], train, held_out, block=64)
    assert shares(copies)[:3] == (0, 1, 0)
    assert (copies.nearest == order).all() and (copies.distances == 0).all()
    near = nearest_training(train + 1e-3 * rng.normal(size=train.shape), train, held_out)
    assert near.median_ratio < 1e-2 and near.share_nearer == 1 and near.authenticity == 0


def test_fresh_images_of_the_domain_are_not_taken_for_copies() -> None:
    rng = np.random.default_rng(12)
    fake, train, held_out = rng.normal(size=(3, 1500, 5))
    found = nearest_training(fake, train, held_out)
    assert found.median_ratio == pytest.approx(1, abs=0.04)
    assert found.share_nearer == pytest.approx(0.05, abs=0.025)
    assert found.authenticity == pytest.approx(found.held_out_authenticity, abs=0.05)


def test_a_training_image_that_is_there_twice_does_not_hide_its_copies() -> None:
    rng = np.random.default_rng(13)
    train = np.repeat(rng.normal(size=(40, 8)), 2, axis=0)
    assert nearest_training(train, train, rng.normal(size=(30, 8))).authenticity == 0


def test_held_out_images_that_were_trained_on_are_refused() -> None:
    rng = np.random.default_rng(14)
    train, fake, held_out = rng.normal(size=(60, 4)), rng.normal(size=(20, 4)), rng.normal(size=(40, 4))
    held_out[:10] = train[:10]
    with pytest.raises(DataError, match="10 of 40 are copies"):
        nearest_training(fake, train, held_out)
    with pytest.raises(DataError, match="25 of 25 are copies"):
        nearest_training(fake, np.ones((30, 4)), np.ones((25, 4)))
