"""Known answers: which pairs of domains have one, and that undoing the source's medium gives the drawing back."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.domains.answers import KnownAnswer, known_answer, mean_response
from benchmark.domains.cards import Card, list_cards
from benchmark.domains.media import apply_medium, draw_fields

R = 32


def card(kind: str = "dicebear", style: str = "open-peeps", medium: str = "") -> Card:
    about = {"schema": 1, "name": f"{style}-{medium}", "title": "t", "kind": kind, "style": style, "medium": medium}
    return Card.model_validate({**about, "creator": "c", "licence": "l", "attribution": "a"})


def drawing(n: int = 4) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.repeat(np.repeat(rng.uniform(0.1, 0.95, (n, 3, R // 8, R // 8)), 8, axis=2), 8, axis=3)


def test_ink_is_undone_up_to_the_grain_that_averaging_leaves() -> None:
    x = drawing()
    inked = np.mean([apply_medium("ink", x, draw_fields(range(9 * i, 9 * i + 4), R)) for i in range(32)], axis=0)
    back = KnownAnswer("ink", "charcoal").clean(inked)
    assert np.abs(back - x).mean() < 0.02
    assert np.abs(inked - x).mean() > 0.05  # it was not there before


def test_the_answer_of_a_clean_source_is_the_medium_itself() -> None:
    x, known = drawing(), KnownAnswer("", "sepia")
    assert known.clean(x) is x
    np.testing.assert_array_equal(
        known.answers(x, [3, 1, 4, 1]), apply_medium("sepia", x, draw_fields([3, 1, 4, 1], R))
    )


def test_ink_answers_linearly_in_each_channel() -> None:
    paper, cover = mean_response("ink", R)
    np.testing.assert_allclose(paper, np.array([244, 238, 224]) / 255, atol=0.03)
    assert np.all(np.abs(cover - 0.87) < 0.04)


@pytest.mark.parametrize(
    ("source", "target", "reason"),
    [
        (card(medium="ink"), card(medium="charcoal"), None),
        (card(), card(medium="charcoal"), None),
        (None, card("folder", "", "charcoal"), None),
        (card(medium="ink"), card("folder", "", "charcoal"), None),
        (card(medium="ink"), card(), "not made by a medium"),
        (card(medium="ink"), card(style="lorelei", medium="charcoal"), "other drawings"),
        (None, card(medium="charcoal"), "other drawings"),
        (card(medium="sepia"), card(medium="charcoal"), "cannot be undone"),
    ],
)
def test_which_pairs_have_an_answer(source: Card | None, target: Card, reason: str | None) -> None:
    found = known_answer(source, target)
    if reason is None:
        assert isinstance(found, KnownAnswer) and found.medium == "charcoal"
    else:
        assert isinstance(found, str) and found.startswith("not available: ") and reason in found


def test_the_default_suites_near_domain_has_an_answer_and_its_far_one_has_none() -> None:
    cards = list_cards()
    assert isinstance(known_answer(cards["peeps-ink"], cards["peeps-blueprint"]), KnownAnswer)
    assert isinstance(known_answer(cards["peeps-ink"], cards["lorelei-charcoal"]), str)
