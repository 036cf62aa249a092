"""Seeds as people write them, after --seeds of `run`, in suites and after --seeds of `generate`."""

from __future__ import annotations

import click
import pytest

from benchmark.cli.use import seeds
from benchmark.config import MOST_SEEDS, Suite, seed_range


def of_a_suite(text: str) -> tuple[int, ...]:
    return Suite.model_validate(
        {"schema": 1, "name": "s", "source": "a", "domains": ["d"], "methods": ["m"], "seeds": text}
    ).seeds


def of_generate(text: str) -> list[int]:
    return seeds(click.Context(click.Command("generate")), click.Option(["--seeds"]), text)


@pytest.mark.parametrize("text", ["7", "0-3", "0-2,5", " 3 , 1 ", "-4"])
def test_a_text_means_the_same_seeds_everywhere(text: str) -> None:
    assert list(of_a_suite(text)) == of_generate(text)


@pytest.mark.parametrize("text", ["0..5", "3-1", "a", "1-", "0-5-9", "1.5", "0-9999999"])
def test_what_is_no_range_is_refused_everywhere(text: str) -> None:
    with pytest.raises(ValueError, match="seed"):
        of_a_suite(text)
    with pytest.raises(click.BadParameter, match="seed"):
        of_generate(text)


def test_pictures_may_be_more_than_repetitions() -> None:
    text = f"0-{MOST_SEEDS}"
    assert len(of_generate(text)) == MOST_SEEDS + 1
    with pytest.raises(ValueError, match=f"more than {MOST_SEEDS}"):
        seed_range(text)


def test_each_picture_is_drawn_once() -> None:
    assert of_generate("0-2,1") == [0, 1, 2]
