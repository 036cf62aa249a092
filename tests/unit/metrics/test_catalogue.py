"""What reports ask the list of metrics, and how a score becomes a record's value."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from benchmark.metrics import METRICS, Score
from benchmark.metrics.base import DISTANCES, PICTURED
from benchmark.metrics.catalogue import info_of
from benchmark.results import MetricValue

OWN = {name: info for name, info in METRICS.items() if not name.startswith("standin_")}
OLD = {name: info for name, info in OWN.items() if info.kind not in PICTURED}


def test_kinds_say_what_names_said_before() -> None:
    """Records have no kinds: reports of old ones must go on treating each metric as its name was read."""
    for name, info in OLD.items():
        assert (info.kind in DISTANCES) == name.startswith(("consistency", "lpips", "st_lpips")), name
        assert (info.kind == "step") == name.startswith("step"), name
        assert info.any_count == name.startswith(("kid", "consistency", "lpips", "st_lpips")), name


def test_every_metric_says_what_it_is_counted_in() -> None:
    assert not [name for name, info in METRICS.items() if not info.units]
    assert {info.units for info in METRICS.values() if info.kind in ("precision", "memorisation")} == {"share"}


def test_a_stand_in_is_shown_like_what_it_stands_in_for() -> None:
    for name, info in OWN.items():
        stand_in = METRICS.get(f"standin_{name}", info)
        assert (stand_in.kind, stand_in.units, stand_in.any_count) == (info.kind, info.units, info.any_count)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("kid_of_tomorrow", "kid"),
        ("fd_infinity_of_tomorrow", "fd_infinity"),
        ("lpips_of_tomorrow", "consistency"),
        ("st_lpips_of_tomorrow", "consistency"),
        ("ppl_of_tomorrow", "path_length"),
        ("intra_balanced_of_tomorrow", "intra_balanced"),
        ("consistency_anchor_of_tomorrow", "consistency_anchor"),
        ("step_of_tomorrow", "step"),
        ("anything", "unknown"),
        ("stepsize_randconv", "unknown"),
        ("recall5_randconv", "unknown"),
        ("kidney_randconv", "unknown"),
    ],
)
def test_a_metric_of_another_version_is_taken_by_its_name(name: str, kind: str) -> None:
    assert info_of(name).kind == kind
    assert info_of("kid") is METRICS["kid"]


def test_a_score_becomes_a_value_that_says_how_its_metric_is_read() -> None:
    score = Score.measured(0.25, 9, 0.1, "two clusters are empty").model_copy(update={"floor": 0.0, "ceiling": 1.0})
    value = METRICS["recall_randconv"].value_of(score)
    assert {name: getattr(value, name) for name in Score.model_fields} == dict(score)
    assert (value.better, value.title) == ("higher", METRICS["recall_randconv"].title)
    gap = METRICS["kid"].value_of(Score.missing("no file"))
    assert (gap.value, gap.n, gap.reason, gap.better) == (None, 0, "no file", "lower")


def test_the_fields_of_a_value_keep_their_order_in_files() -> None:
    order = ["value", "n", "std_error", "interval", "floor", "ceiling", "better", "title", "reason", "note"]
    assert list(MetricValue.model_fields) == order


def test_a_score_has_a_value_or_a_reason() -> None:
    for wrong in ({"value": 1.0, "reason": "why"}, {"n": 3}):
        with pytest.raises(ValidationError, match="either a value or a reason"):
            Score.model_validate(wrong)
