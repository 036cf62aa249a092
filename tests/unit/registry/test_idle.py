"""Compositions in which one part would do nothing are refused, and no others."""

from __future__ import annotations

import pytest

from benchmark.conformity.trial import run_trial
from benchmark.errors import MethodError
from benchmark.registry import find_method


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("lora+stylespace_offset", "stylespace_offset holds all that lora adds to the networks, so lora would have no"),
        ("affine_plus+stylespace_offset", "stylespace_offset holds all that affine_plus adds"),
        ("adafm+genda", "genda holds all that adafm adds"),
        ("bsa+genda", "genda holds all that bsa adds"),
        ("freezed+jojogan", "jojogan holds all that freezed holds, so freezed would have no effect"),
        ("lora+minegan", "lora holds the miner that minegan trains, so minegan would have no effect"),
        ("jojogan+minegan", "jojogan holds .* minegan"),
    ],
)
def test_a_part_that_would_do_nothing_is_named(name: str, why: str) -> None:
    with pytest.raises(MethodError, match=why):
        run_trial(find_method(name)())


@pytest.mark.parametrize(
    "name", ["cdc+lora", "fsgan+lora", "adafm+freezeg", "adafm+adam", "freezefc+minegan", "freezed+freezefc"]
)
def test_parts_that_share_the_work_are_accepted(name: str) -> None:
    run_trial(find_method(name)())
