"""Metrics of translated pictures against constructions whose value is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmark.config import EvalConfig
from benchmark.metrics import Evaluator, Samples, Score
from benchmark.metrics.base import NO_PICTURES, PICTURED, Answers, TranslatedPictures
from benchmark.metrics.catalogue import OF_PICTURES, find_metric
from benchmark.suites import load_suite

DISTANCE, KID, ERROR = OF_PICTURES
N, R = 12, 32


def people(seed: int) -> np.ndarray:
    """float32 in 0 to 1, multiples of 1/255: blocks of random colour."""
    blocks = np.random.default_rng(seed).integers(50, 200, (N, 3, R // 4, R // 4))
    return (np.repeat(np.repeat(blocks, 4, axis=2), 4, axis=3) / 255).astype(np.float32)


def uint8(images: np.ndarray) -> np.ndarray:
    return np.asarray(np.round(images * 255), np.uint8)


INPUTS, RIGHT = people(0), people(1)
ANSWERS = Answers(RIGHT, RIGHT, uint8(RIGHT), uint8(RIGHT))


def scores(tmp_path: Path, drawn: np.ndarray, answers: Answers | str = ANSWERS) -> dict[str, Score]:
    """Of pictures that are drawn so; the target's held-out images are RIGHT."""
    pictures = TranslatedPictures(uint8(INPUTS), uint8(drawn), drawn, answers)
    samples = Samples(uint8(people(2)), uint8(people(2)), pictures=pictures)
    return Evaluator(OF_PICTURES, tmp_path)(samples, uint8(RIGHT), "right").scores


def value(score: Score) -> float:
    assert score.value is not None, score.reason
    return score.value


def test_pictures_that_stay_as_they_are_have_no_distance_and_those_drawn_rightly_no_error(tmp_path: Path) -> None:
    kept, right = scores(tmp_path, INPUTS), scores(tmp_path, RIGHT)
    assert kept[DISTANCE].value == pytest.approx(0, abs=1e-6) and value(right[DISTANCE]) > 0.01
    assert right[ERROR].value == 0 and value(kept[ERROR]) > 0.1
    assert value(right[KID]) < value(kept[KID])
    assert all(score.n == N for found in (kept, right) for score in found.values())


def test_a_constant_offset_is_the_error_and_another_persons_answer_its_ceiling(tmp_path: Path) -> None:
    found = scores(tmp_path, RIGHT + np.float32(0.125))[ERROR]
    assert found.value == pytest.approx(0.125, abs=1e-6) and found.floor == 0
    assert found.ceiling == pytest.approx(value(scores(tmp_path, np.roll(RIGHT, 1, axis=0))[ERROR]))


def test_without_a_right_answer_the_error_alone_says_why(tmp_path: Path) -> None:
    found = scores(tmp_path, INPUTS, "not available: nobody knows")
    assert found.pop(ERROR).reason == "not available: nobody knows"
    assert all(score.value is not None for score in found.values())


@pytest.mark.parametrize("why", [NO_PICTURES, "not available: the domain of the source is not known"])
def test_without_pictures_all_say_why(tmp_path: Path, why: str) -> None:
    images = uint8(people(5))
    found = Evaluator(OF_PICTURES, tmp_path)(Samples(images, images, pictures=why), uint8(RIGHT), "right").scores
    assert {score.reason for score in found.values()} == {why}


def test_progress_comes_to_its_end(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    images = uint8(people(2))
    samples = Samples(images, images, pictures=TranslatedPictures(uint8(INPUTS), uint8(RIGHT), RIGHT, ANSWERS))
    Evaluator(OF_PICTURES, tmp_path)(samples, uint8(RIGHT), "right", lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1] and {total for _, total in seen} == {seen[0][1]}


def test_too_few_pictures_cost_the_kid_alone(tmp_path: Path) -> None:
    images = uint8(people(2))
    two = TranslatedPictures(uint8(INPUTS)[:2], uint8(RIGHT)[:2], RIGHT[:2], replace(ANSWERS, mean=RIGHT[:2]))
    two = replace(two, answers=Answers(RIGHT[:2], RIGHT[:2], uint8(RIGHT)[:2], uint8(RIGHT)[:2]))
    found = Evaluator(OF_PICTURES, tmp_path)(Samples(images, images, pictures=two), uint8(RIGHT), "right").scores
    assert found[KID].reason == "not available: needs 3 translated pictures; there are 2"
    assert found[ERROR].value == 0


def test_a_suite_asks_for_them_by_one_word_and_without_it_nothing_is_told_of_them() -> None:
    plain, asked = load_suite("smoke")[0], load_suite("smoke", ["eval.translate=true"])[0]
    assert asked.eval.metrics == (*plain.eval.metrics, *OF_PICTURES)
    assert "translate" not in plain.eval.content() and asked.eval.content()["translate"] is True
    assert set(EvalConfig().content()) == set(EvalConfig.model_fields) - {"translate"}
    assert {find_metric(name).kind for name in OF_PICTURES} == set(PICTURED)
