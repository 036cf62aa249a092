"""Memorisation as the evaluator measures it: training images beside held-out ones, kept apart in the cache."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmark.errors import DataError
from benchmark.metrics import Evaluator, Samples, Score
from benchmark.metrics.formulas.neighbours import nearest_first
from benchmark.metrics.networks.features import images_to_features, load_feature_network

NAMES = ("memorisation_randconv", "authenticity_randconv")


def pictures(n: int, seed: int) -> np.ndarray:
    """Few large tiles in random colours, uint8 [n, 3, 16, 16]: their features differ far more than those of noise."""
    tiles = np.random.default_rng(seed).integers(0, 256, (n, 3, 2, 2), dtype=np.uint8)
    return tiles.repeat(8, axis=2).repeat(8, axis=3)


def samples(fakes: np.ndarray) -> Samples:
    return Samples(fakes, fakes[:2], fakes[:2])


def score(
    tmp_path: Path, fakes: np.ndarray, held_out: np.ndarray, training: np.ndarray | None, names: tuple[str, ...] = NAMES
) -> dict[str, Score]:
    return Evaluator(names, tmp_path)(samples(fakes), held_out, "digest", training=training).scores


def features(images: np.ndarray) -> np.ndarray:
    return images_to_features(load_feature_network("randconv", {}), images, "cpu", 50, lambda k: None)


def test_copies_of_training_images_are_found_and_fresh_ones_are_not(tmp_path: Path) -> None:
    training, held_out, fresh = pictures(150, 0), pictures(100, 1), pictures(200, 2)
    copied, own = (score(tmp_path, fakes, held_out, training) for fakes in (training[:60], fresh))
    assert [copied[name].value for name in NAMES] == [1, 0]
    assert copied["memorisation_randconv"].n == 60
    assert "image: 0 of held-out images' own" in str(copied["memorisation_randconv"].note)
    assert 0 < own["memorisation_randconv"].value < 0.15
    yardstick = float(str(own["authenticity_randconv"].note).removeprefix("held-out images' own: "))
    assert 0.3 < yardstick < 1 and own["authenticity_randconv"].value == pytest.approx(yardstick, abs=0.15)
    assert copied["authenticity_randconv"].note == own["authenticity_randconv"].note


def test_scores_are_their_definitions(tmp_path: Path) -> None:
    training, held_out, fakes = pictures(40, 0), pictures(30, 1), pictures(25, 2)
    fakes[:7] = training[3:10]
    fakes[:7, :, :4] += 1  # nearly copies
    found = score(tmp_path, fakes, held_out, training)
    t, h, f = (features(images).astype(np.float64) for images in (training, held_out, fakes))

    def between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.sqrt(np.square(a[:, None] - b[None]).sum(2))

    few = np.quantile(between(h, t).min(1), 0.05, method="weibull")
    own = between(t, t)
    np.fill_diagonal(own, np.inf)
    nearest = between(f, t)
    assert found["memorisation_randconv"].value == pytest.approx((nearest.min(1) < few).mean())
    assert found["authenticity_randconv"].value == pytest.approx(
        (own.min(1)[nearest.argmin(1)] < nearest.min(1)).mean()
    )
    assert 7 / 25 <= found["memorisation_randconv"].value < 0.6


@pytest.mark.parametrize(
    ("training", "held_out", "why"),
    [
        (None, pictures(30, 1), "were not given"),
        (pictures(1, 0), pictures(30, 1), "needs 2 training images; there are 1"),
        (pictures(30, 0), pictures(18, 1), "needs 19 held-out images; there are 18"),
        (pictures(30, 0), pictures(30, 0), "30 of 30 are copies"),
        (np.full((30, 3, 16, 16), 7, np.uint8), np.full((30, 3, 16, 16), 7, np.uint8), "copies"),
    ],
)
def test_a_set_that_says_nothing_costs_these_scores_alone(
    training: np.ndarray | None, held_out: np.ndarray, why: str, tmp_path: Path
) -> None:
    found = score(tmp_path, pictures(12, 2), held_out, training, (*NAMES, "fd_randconv"))
    for name in NAMES:
        assert found[name].value is None and str(found[name].reason).startswith("not available: "), name
        assert why in str(found[name].reason)
    assert found["fd_randconv"].value is not None


def test_constant_generated_images_have_defined_scores(tmp_path: Path) -> None:
    found = score(tmp_path, np.full((12, 3, 16, 16), 7, np.uint8), pictures(30, 1), pictures(30, 0))
    assert found["memorisation_randconv"].value in (0, 1) and found["authenticity_randconv"].value in (0, 1)


def test_both_splits_are_kept_apart_in_the_cache(tmp_path: Path) -> None:
    """One digest and one size for both: only the mark tells them apart."""
    training, held_out, fakes = pictures(30, 0), pictures(30, 1), pictures(12, 2)
    evaluator = Evaluator(NAMES, tmp_path)
    work: list[tuple[int, int]] = []
    for expected in (30 + 30 + 12, 12):
        again = evaluator(samples(fakes), held_out, "digest", lambda *seen: work.append(seen), training).scores
        assert work[-1] == (expected, expected)
    assert len(list((tmp_path / "features").glob("*.npz"))) == 2
    assert again == score(tmp_path / "fresh", fakes, held_out, training)
    swapped = Evaluator(NAMES, tmp_path)(samples(fakes), training, "swapped", training=held_out).scores
    assert swapped["authenticity_randconv"].note != again["authenticity_randconv"].note


def test_features_of_training_images_are_made_only_for_metrics_that_need_them(tmp_path: Path) -> None:
    work: list[tuple[int, int]] = []
    evaluator = Evaluator(["kid_randconv"], tmp_path)
    evaluator(samples(pictures(12, 2)), pictures(30, 1), "digest", lambda *seen: work.append(seen), pictures(30, 0))
    assert work[-1] == (42, 42)


def test_wrong_training_images_are_refused(tmp_path: Path) -> None:
    for wrong, why in ((pictures(5, 0)[..., :8, :8], "16 px; found 8 px"), (pictures(5, 0)[:0], "1 or more")):
        with pytest.raises(DataError, match=why):
            score(tmp_path, pictures(12, 2), pictures(30, 1), wrong)


def test_nearest_first_is_a_full_sort() -> None:
    rng = np.random.default_rng(0)
    fakes, reals = rng.normal(size=(50, 4)), rng.normal(size=(30, 4))
    fakes[[7, 20]] = reals[3]  # a tie at distance 0 keeps its order
    distances = np.sqrt(np.square(fakes[:, None] - reals[None]).sum(2)).min(1)
    assert nearest_first(fakes, reals, block=8).tolist() == np.argsort(distances, kind="stable").tolist()
    assert nearest_first(fakes, reals)[:2].tolist() == [7, 20]
    with pytest.raises(DataError, match="real"):
        nearest_first(fakes, reals[:0])
