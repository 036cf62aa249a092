"""Metrics of translations against constructions whose value can be computed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmark.metrics import Evaluator, Samples
from benchmark.metrics.base import Answers, Translations
from benchmark.metrics.catalogue import find_metric
from benchmark.metrics.translation import NO_TRANSLATIONS, TRANSLATED, translation_error, translations_to_scores

N, R = 20, 32
NAMES = ("distance_averaged_l1", "translation_error_l1", "share_of_the_way_l2", "identity_retrieval_edges")
INFOS = [find_metric(name) for name in NAMES]


def people(seed: int) -> np.ndarray:
    """Blocks of random grey: each image has edges of its own."""
    blocks = np.random.default_rng(seed).uniform(0.2, 0.8, (N, 3, R // 4, R // 4))
    return np.repeat(np.repeat(blocks, 4, axis=2), 4, axis=3).astype(np.float32)


SOURCE = people(0)
RIGHT = (0.9 - 0.8 * SOURCE).astype(np.float32)  # light becomes dark: edges stay


def uint8(images: np.ndarray) -> np.ndarray:
    return np.asarray(images * 255, np.uint8)


def score(adapted: np.ndarray, again: np.ndarray = RIGHT) -> dict[str, float]:
    answers = Answers(RIGHT, again, uint8(RIGHT), uint8(again))
    found = translations_to_scores(INFOS, Translations(SOURCE, adapted.astype(np.float32), answers))
    assert all(s.n == N for s in found.values())
    return {name: s.value for name, s in found.items() if s.value is not None}


def test_the_source_itself_has_gone_no_way_and_keeps_every_identity() -> None:
    found = score(SOURCE)
    assert found["distance_averaged_l1"] == 0 and found["share_of_the_way_l2"] == pytest.approx(0, abs=1e-6)
    assert found["identity_retrieval_edges"] == 1 and found["translation_error_l1"] > 0.1


def test_the_right_answer_has_no_error_and_has_gone_the_whole_way() -> None:
    found = score(RIGHT)
    assert found["translation_error_l1"] == 0 and found["share_of_the_way_l2"] == pytest.approx(1, abs=1e-6)
    assert found["identity_retrieval_edges"] == 1


@pytest.mark.parametrize("share", [0.25, 0.5, 0.9, 1.2])
def test_between_the_two_the_share_is_the_share(share: float) -> None:
    found = score(SOURCE + share * (RIGHT - SOURCE))
    assert found["share_of_the_way_l2"] == pytest.approx(share, abs=1e-5)


def test_a_constant_offset_is_the_error() -> None:
    assert score(RIGHT + 0.125)["translation_error_l1"] == pytest.approx(0.125, abs=1e-6)


def test_the_right_medium_with_other_people_loses_identity_alone() -> None:
    found = score(np.roll(RIGHT, 3, axis=0))
    assert found["identity_retrieval_edges"] == 0
    assert found["share_of_the_way_l2"] > 0.3  # on average the colours are right


def test_half_of_the_people_are_half_of_the_retrieval() -> None:
    mixed = RIGHT.copy()
    mixed[: N // 2] = np.roll(RIGHT[: N // 2], 1, axis=0)
    assert score(mixed)["identity_retrieval_edges"] == 0.5


def test_floors_and_ceilings_are_other_grain_and_other_people() -> None:
    again = RIGHT + 0.02
    answers = Answers(RIGHT, again.astype(np.float32), uint8(RIGHT), uint8(RIGHT))
    found = translations_to_scores(INFOS, Translations(SOURCE, SOURCE, answers))
    error, share = found["translation_error_l1"], found["share_of_the_way_l2"]
    assert error.floor == pytest.approx(0.02, abs=1e-5) and error.ceiling is not None and error.ceiling > 0.05
    assert share.floor == 0 and share.ceiling == pytest.approx(1, abs=0.2)
    assert found["identity_retrieval_edges"].floor == 1 / N and found["identity_retrieval_edges"].ceiling == 1


def test_grain_that_averages_away_counts_for_little() -> None:
    rng = np.random.default_rng(3)
    grainy = np.mean([RIGHT + rng.normal(0, 0.1, RIGHT.shape) for _ in range(8)], axis=0)
    found = score(grainy)
    assert found["translation_error_l1"] < 0.025 and found["identity_retrieval_edges"] == 1


def test_the_floor_is_a_second_set_of_right_answers_and_no_lower_bound() -> None:
    """Eight draws of grain in each: without any the error is 1/sqrt(2) of the floor, with one for all 3/sqrt(2)."""
    rng = np.random.default_rng(4)

    def averaged() -> np.ndarray:
        return (RIGHT + rng.normal(0, 0.1 / 8**0.5, RIGHT.shape)).astype(np.float32)

    answers = Answers(averaged(), averaged(), uint8(RIGHT), uint8(RIGHT))
    one = RIGHT + rng.normal(0, 0.1, RIGHT.shape[1:]).astype(np.float32)
    clean, again, alike = (translation_error(adapted, SOURCE, answers) for adapted in (RIGHT, averaged(), one))
    assert clean.floor is not None and clean.value is not None
    assert again.value == pytest.approx(clean.floor, rel=0.05)
    assert clean.value / clean.floor == pytest.approx(2**-0.5, rel=0.05)
    assert alike.value / clean.floor == pytest.approx(3 * 2**-0.5, rel=0.1)


def test_standard_errors_cover_the_spread_over_images() -> None:
    shares = np.random.default_rng(1).uniform(0.2, 0.8, (N, 1, 1, 1)).astype(np.float32)
    answers = Answers(RIGHT, RIGHT, uint8(RIGHT), uint8(RIGHT))
    found = translations_to_scores(INFOS, Translations(SOURCE, SOURCE + shares * (RIGHT - SOURCE), answers))
    share = found["share_of_the_way_l2"]
    assert share.std_error == pytest.approx(float(shares.std()) / N**0.5, rel=0.35)


def test_without_an_answer_only_the_distance_has_a_value() -> None:
    reason = "not available: the right answer is not known; x shows other drawings than the source"
    found = translations_to_scores(INFOS, Translations(SOURCE, RIGHT, reason))
    assert found.pop("distance_averaged_l1").value is not None
    assert {s.reason for s in found.values()} == {reason}
    assert {s.reason for s in translations_to_scores(INFOS, None).values()} == {NO_TRANSLATIONS}


def test_the_evaluator_scores_them_beside_the_perceptual_error(tmp_path) -> None:
    name = "translation_error_st_lpips_alex"
    big = [np.repeat(np.repeat(x, 2, axis=2), 2, axis=3) for x in (SOURCE, RIGHT)]
    source, right = (uint8(x) for x in big)
    answers = Answers(big[1], big[1], right, np.roll(right, 2, axis=3))
    samples = Samples(right, source, right, translations=Translations(big[0], big[1], answers))
    scores = Evaluator((*NAMES, name), tmp_path)(samples, right, "d").scores
    assert scores["translation_error_l1"].value == 0 and scores[name].value == pytest.approx(0, abs=1e-6)
    error = scores[name]
    assert error.floor is not None and error.ceiling is not None and 0 < error.floor < error.ceiling
    without = Evaluator((name,), tmp_path)(replace(samples, translations=None), right, "d").scores
    assert without[name].reason == NO_TRANSLATIONS


def test_every_kind_is_in_the_catalogue() -> None:
    assert {info.kind for info in INFOS} == set(TRANSLATED)
