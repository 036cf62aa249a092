"""Real images' own scores: the number of what is measured, against the formulas, and what few images cost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmark.metrics import Evaluator
from benchmark.metrics.formulas.kid import features_to_kid
from benchmark.metrics.networks.features import images_to_features, load_feature_network
from benchmark.metrics.real import real_scores

NAMES = ["kid_randconv", "coverage_randconv", "consistency_randconv", "memorisation_randconv", "step_randconv"]


def pictures(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 3, 16, 16), dtype=np.uint8)


def test_it_is_the_training_images_against_the_held_out_ones(tmp_path: Path) -> None:
    training, held_out = pictures(12, 0), pictures(20, 1)
    found = real_scores(Evaluator(NAMES, tmp_path), training, held_out, "digest", 9)
    assert set(found) == {"kid_randconv", "coverage_randconv"}  # neither pairs nor what needs a third set
    net = load_feature_network("randconv", {})
    x, y = (images_to_features(net, images, "cpu", 50, lambda k: None) for images in (training[:9], held_out))
    value, std_error = features_to_kid(x, y)
    kid = found["kid_randconv"]
    assert (kid.n, kid.value, kid.std_error) == (9, pytest.approx(value), pytest.approx(std_error))


def test_a_metric_that_wants_more_images_costs_itself_alone(tmp_path: Path) -> None:
    found = real_scores(Evaluator(NAMES, tmp_path), pictures(4, 0), pictures(20, 1), "digest", 100)
    assert found["kid_randconv"].value is not None and found["kid_randconv"].n == 4
    assert str(found["coverage_randconv"].reason).startswith("not available: needs 6 generated images")
    one = real_scores(Evaluator(NAMES, tmp_path), pictures(1, 0), pictures(20, 1), "digest", 100)
    assert {score.reason for score in one.values()} == {"not available: 1 training images"}
