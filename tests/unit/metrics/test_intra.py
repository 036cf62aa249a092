"""Intra-LPIPS and the published distance to the source: on pictures whose distances can be counted by hand."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor

from benchmark.metrics import Evaluator, Samples, Score
from benchmark.metrics.intra import (
    MEMBERS,
    PAIRS,
    balanced_intra,
    cluster_pairs,
    images_to_clusters,
    images_to_intra,
    nearest_centres,
)
from benchmark.metrics.intra import intra as intra_of
from benchmark.metrics.networks.perceptual import PerceptualNetwork, images_to_distances, load_perceptual_network

PUBLISHED = "legacy_uniform_z_independent_noise_randconv"
FACE = "legacy_uniform_z_independent_noise_face_crop_randconv"


class GreyDistance(PerceptualNetwork):
    """The absolute difference of two images' mean levels, so that a test can count in its head."""

    least_px = 1

    def features(self, images: Tensor) -> list[Tensor]:
        return [images.float().mean((1, 2, 3))[:, None, None, None]]

    def distance(self, a: list[Tensor], b: list[Tensor]) -> Tensor:
        return (a[0] - b[0]).abs().flatten()


def greys(*levels: int) -> np.ndarray:
    return np.ones((len(levels), 3, 4, 4), np.uint8) * np.array(levels, np.uint8)[:, None, None, None]


def noise(n: int, seed: int, px: int = 32) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 3, px, px), dtype=np.uint8)


def intra(fakes: np.ndarray, training: np.ndarray, batch: int = 3) -> Score:
    return images_to_intra(GreyDistance(), fakes, training, "cpu", batch, lambda k: None)


def test_intra_by_hand() -> None:
    """Around 0: 1, 3, 7 (2, 6, 4: mean 4). Around 100: 90, 110 (20). Around 200: one image, no pair."""
    found = intra(greys(90, 3, 1, 201, 7, 110), greys(0, 100, 200))
    assert found.value == pytest.approx((4 + 20 + 0) / 3)
    assert (found.n, found.note) == (6, "1 of 3 clusters without a pair, counted as 0")


def test_only_the_first_ten_training_images_are_centres() -> None:
    training = greys(*range(0, 200, 10))
    assert intra(greys(190, 180), training).value == pytest.approx(10 / 10)  # both nearest to 90, one pair of 10
    assert intra(greys(190, 180), training[:10]) == intra(greys(190, 180), training)


def test_collapse_is_counted_not_dropped() -> None:
    """All images around one training image: leaving out the nine empty clusters would give ten times the score."""
    varied = intra(greys(0, 4, 8), greys(*range(0, 200, 20)))
    assert varied.value == pytest.approx(16 / 3 / 10)
    assert varied.note == "9 of 10 clusters without a pair, counted as 0"
    assert intra(greys(5, 5, 5), greys(*range(0, 200, 20))).value == 0
    assert intra(greys(0, 10, 20), greys(10)).value == pytest.approx(40 / 3)  # one-shot


def test_without_any_pair_there_is_nothing_to_measure() -> None:
    """One image, or as many as there are clusters: 0 would call the most varied set collapsed."""
    for fakes in (greys(7), greys(0, 100)):
        assert str(intra(fakes, greys(0, 100)).reason).startswith("not available: no training image has two")


def test_balanced_intra_is_the_authors_formula_for_ten_clusters() -> None:
    """LFS-GAN: entropies to base 10, summed with the clusters' mean distances; empty clusters add nothing."""
    training = greys(*range(0, 200, 20))
    fakes = greys(0, 1, 3, 20, 22, 40, 44, 60, 180, 181, 182, 183)
    found = images_to_clusters(GreyDistance(), fakes, training, "cpu", 5, lambda k: None)
    sizes, means = [3, 2, 2, 1, 4], [2.0, 2.0, 4.0, 0.0, 10 / 6]
    expected = sum(-n / 12 * np.log10(n / 12) * mean for n, mean in zip(sizes, means, strict=True))
    score = balanced_intra(found)
    assert score.value == pytest.approx(expected, rel=1e-6)
    assert (score.n, score.note) == (12, "share of the largest of 10 clusters: 0.333")


def test_balanced_intra_is_the_plain_mean_where_clusters_are_equal_and_0_for_one_cluster() -> None:
    def both(fakes: np.ndarray, training: np.ndarray) -> tuple[float | None, float | None]:
        found = images_to_clusters(GreyDistance(), fakes, training, "cpu", 5, lambda k: None)
        return intra_of(found).value, balanced_intra(found).value

    plain, balanced = both(greys(0, 2, 100, 106), greys(0, 100))
    assert plain == balanced == pytest.approx(4)
    lopsided = both(greys(0, 2, 4, 6, 100, 106), greys(0, 100))
    assert lopsided[1] < lopsided[0]
    assert both(greys(0, 2, 4), greys(0, 100))[1] == 0
    assert both(greys(0, 2, 4), greys(0))[1] is None  # one training image: no balance


def test_an_image_that_is_as_near_to_two_centres_goes_to_the_first() -> None:
    found = nearest_centres(GreyDistance(), greys(50, 51, 49), greys(0, 100, 0), "cpu", 2, lambda k: None)
    assert found.tolist() == [0, 1, 0]


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 9, 10, 11, 30, MEMBERS, 500])
def test_pairs_of_a_cluster_differ_and_use_all_members_alike(size: int) -> None:
    pairs = cluster_pairs(size)
    assert pairs.shape == (min(size * (size - 1) // 2, PAIRS), 2)
    assert len({frozenset(pair) for pair in pairs.tolist()}) == len(pairs)
    assert all(a != b for a, b in pairs.tolist())
    members = min(size, MEMBERS)
    if size > 1:
        uses = np.bincount(pairs.ravel(), minlength=members)
        assert len(uses) == members and uses.min() > 0 and uses.max() - uses.min() <= 2


def test_intra_is_its_definition_with_a_network(tmp_path: Path) -> None:
    """Small clusters, so that all pairs take part; distances by the network, one pair at a time."""
    training, fakes, net = noise(4, 0), noise(12, 1), load_perceptual_network("randconv", {})

    def distance(a: np.ndarray, b: np.ndarray) -> float:
        return float(images_to_distances(net, a[None], {"b": b[None]}, "cpu", 1, lambda k: None)["b"][0])

    clusters: dict[int, list[np.ndarray]] = {k: [] for k in range(4)}
    for fake in fakes:
        clusters[int(np.argmin([distance(fake, centre) for centre in training]))].append(fake)
    means = [np.mean([distance(a, b) for a, b in combinations(c, 2)] or [0.0]) for c in clusters.values()]
    assert sum(len(c) > 1 for c in clusters.values()) > 1
    work: list[tuple[int, int]] = []
    evaluator = Evaluator(["intra_randconv"], tmp_path, batch=5)
    samples = Samples(fakes, fakes[:2], fakes[:2])
    found = evaluator(samples, noise(3, 2), "digest", lambda *seen: work.append(seen), training).scores
    assert found["intra_randconv"].value == pytest.approx(np.mean(means), rel=1e-5)
    assert work[-1] == (16, 16)  # twelve images and four centres
    again = Evaluator(["intra_randconv"], tmp_path, batch=50)(samples, noise(3, 2), "x", training=training).scores
    assert again["intra_randconv"].value == pytest.approx(found["intra_randconv"].value, rel=1e-6)
    without = evaluator(samples, noise(3, 2), "digest").scores["intra_randconv"]
    assert without.reason == "not available: the training images were not given"


def test_legacy_compares_the_legacy_images_and_the_published_crop(tmp_path: Path) -> None:
    """Only what lies in rows 3/8 to 7/8 and columns 2/8 to 6/8 may count for the crop."""
    source, others = noise(6, 0), noise(8, 1)
    outside = noise(6, 2)
    outside[:, :, 12:28, 8:24] = source[:, :, 12:28, 8:24]
    inside = source.copy()
    inside[:, :, [12, 27], 8:24] = 255 - inside[:, :, [12, 27], 8:24]
    evaluator = Evaluator([PUBLISHED, FACE, "consistency_randconv"], tmp_path)
    seen = [
        evaluator(Samples(others, others[:6], others[:6], legacy=(source, adapted)), noise(3, 3), "digest").scores
        for adapted in (source, outside, inside)
    ]
    assert [round(s[PUBLISHED].value or 0, 6) > 0 for s in seen] == [False, True, True]
    assert [round(s[FACE].value or 0, 6) > 0 for s in seen] == [False, False, True]
    assert seen[0][PUBLISHED].n == 6 and seen[1]["consistency_randconv"].value == pytest.approx(0, abs=1e-6)
    absent = evaluator(Samples(others, others[:6], others[:6]), noise(3, 3), "digest").scores
    assert str(absent[PUBLISHED].reason).startswith("not available: ") and absent["consistency_randconv"].value == 0


def test_images_too_small_for_a_network_are_said_to_be(tmp_path: Path) -> None:
    names = ["consistency_st_lpips_alex", "step_st_lpips_alex", "intra_st_lpips_alex", "fd_randconv"]
    small = noise(6, 0, px=16)
    found = Evaluator(names, tmp_path)(Samples(small, small, small, small), small, "digest", training=small).scores
    for name in names[:3]:
        assert found[name].reason == "not available: needs images of 21 px; these are 16"
    assert found["fd_randconv"].value is not None
