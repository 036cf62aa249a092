"""Few images: every metric gives a value or says what it needs, and says the same before anything is trained."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from benchmark.domains.split import pictures_needed
from benchmark.metrics import Evaluator
from benchmark.metrics.base import Answers, Samples, TranslatedPictures, Translations
from benchmark.metrics.catalogue import METRICS
from benchmark.metrics.intra import NO_PAIR
from benchmark.metrics.paired import NO_PATHS
from benchmark.metrics.sizes import Sizes, needed, shortage

NAMES = tuple(name for name, info in METRICS.items() if info.needs == "nothing")
KINDS = {METRICS[name].kind for name in NAMES}
MOST = 20
SHOWN = 5
"""Translated pictures; how many there are does not hang on the other sizes."""


@pytest.fixture(scope="module")
def evaluator(tmp_path_factory: pytest.TempPathFactory) -> Evaluator:
    return Evaluator(NAMES, tmp_path_factory.mktemp("cache"))


def pictures(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 3, 16, 16), np.uint8)


def samples(n: int, pairs: int) -> Samples:
    """With everything that a metric may ask for."""
    means = [pictures(pairs, seed).astype(np.float32) / 255 for seed in range(4)]
    answers = Answers(means[0], means[1], pictures(pairs, 5), pictures(pairs, 6))
    shown = pictures(SHOWN, 13)
    mean = shown.astype(np.float32) / 255
    return Samples(
        pictures(n, 7),
        pictures(pairs, 8),
        pictures(pairs, 9),
        before=pictures(pairs, 10),
        legacy=(pictures(pairs, 11), pictures(pairs, 12)),
        translations=Translations(means[2], means[3], answers),
        pictures=TranslatedPictures(shown, pictures(SHOWN, 14), mean, Answers(mean, mean, shown, shown)),
    )


def one_size_small() -> list[tuple[int, int, int]]:
    """(training, held out, generated): each from 1 to 20 beside 20 of the others, and all alike."""
    found = {(n, MOST, MOST) for n in range(1, MOST + 1)} | {(n, n, n) for n in range(1, MOST + 1)}
    found |= {(MOST, n, MOST) for n in range(1, MOST + 1)} | {(MOST, MOST, n) for n in range(1, MOST + 1)}
    return sorted(found | set(product((1, 2, 19), repeat=3)))


def test_every_kind_of_metric_is_tried() -> None:
    assert {info.kind for info in METRICS.values()} - KINDS <= {"translation_error", "fd_infinity", "cmmd"}


@pytest.mark.parametrize(("training", "held_out", "generated"), one_size_small())
def test_every_metric_has_a_value_or_a_reason_at_every_size(
    evaluator: Evaluator, training: int, held_out: int, generated: int
) -> None:
    there = Sizes(generated, generated, held_out, training)
    drawn = samples(generated, generated)
    scores = evaluator(drawn, pictures(held_out, 1), f"{held_out}", training=pictures(training, 2)).scores
    assert tuple(scores) == NAMES
    for name, score in scores.items():
        if score.reason in (NO_PAIR, NO_PATHS):  # by what the images show, or by what was drawn; not by sizes
            continue
        reason = shortage(METRICS[name], there)
        assert score.reason == reason, "what is said before the training is what the cell says"
        assert (score.value is None) == (reason is not None)
        values = (score.value, score.std_error, *(score.interval or ()), score.floor, score.ceiling)
        assert all(np.isfinite(v) for v in values if v is not None)
        METRICS[name].value_of(score)  # a record can hold it


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_what_is_said_to_be_enough_is_enough_and_one_less_is_not(kind: str) -> None:
    info = next(info for info in METRICS.values() if info.kind == kind)
    needs = needed(info)
    enough = Sizes(*(max(1, n) for n in vars(needs).values()))
    assert shortage(info, enough) is None
    for what, n in vars(needs).items():
        if n > 1:
            said = shortage(info, replace(enough, **{what: n - 1}))
            assert said and f"needs {n} " in said and f"there are {n - 1}" in said


@pytest.mark.parametrize("evaluated", ["equal", "flat"])
def test_sets_without_variance_have_values_or_reasons(tmp_path: Path, evaluated: str) -> None:
    """One picture many times, on any side."""
    flat = np.repeat(pictures(1, 0), 24, axis=0) if evaluated == "equal" else np.full((24, 3, 16, 16), 128, np.uint8)
    means = flat.astype(np.float32) / 255
    answers = Answers(means, means, flat, flat)
    still = Samples(flat, flat, flat, flat, (flat, flat), Translations(means, means, answers))
    still = replace(still, pictures=TranslatedPictures(flat, flat, means, answers))
    for drawn, real in product((still, samples(24, 24)), (flat, pictures(24, 1))):
        digest = f"{real is flat}"
        scores = Evaluator(NAMES, tmp_path)(drawn, real, digest, training=real).scores
        assert all(score.reason or np.isfinite(score.value) for score in scores.values())


@pytest.mark.parametrize(
    ("held_out", "training", "train", "test", "pictures"),
    [
        (3, 1, 64, 48, 9),
        (6, 1, 64, 48, 18),
        (19, 2, 64, 48, 57),
        (3, 1, 64, 2, None),
        (2, 1, 64, 48, 4),
    ],
)
def test_the_number_of_pictures_that_would_do(
    held_out: int, training: int, train: int, test: int, pictures: int | None
) -> None:
    assert pictures_needed(held_out, training, train, test) == pictures
