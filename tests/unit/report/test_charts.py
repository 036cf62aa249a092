"""What charts say: whose name is whose, whole names, and how far the costs of one method are apart."""

from __future__ import annotations

import re

from made_records import kid, make

from benchmark.report.figures.bars import cost_bars, cost_words
from benchmark.report.figures.scatter import scatter
from benchmark.report.group import Group, group_of
from benchmark.results import MetricValue, RunRecord, Timing

LONG = "fixnoise[match=all,weight=0.2]"


def at(method: str, fidelity: float, far: float, seed: int = 0) -> RunRecord:
    return make(method, seed=seed, metrics=kid(fidelity) | {"consistency_net": MetricValue(value=far, n=9)})


def labels(group: Group) -> dict[str, bool]:
    """{name in the chart: whether a mark stands right before it}."""
    drawing = scatter(group, "d")
    assert drawing is not None
    found = {}
    for own in re.findall(r'<g data-method="[^"]*">(.*?)</g>', drawing.svg(), re.DOTALL):
        if name := re.search(r"(<(?:circle|polygon)\b[^>]*>(?:</circle>|</polygon>))?<text [^>]*>(.*?)</text>", own):
            found[name[2]] = name[1] is not None
    return found


def test_only_names_of_means_that_lie_close_have_their_mark() -> None:
    group = group_of([at("near", 1.0, 0.1), at("beside", 1.02, 0.102), at("far", 2.0, 0.4)])
    assert labels(group) == {"near": True, "beside": True, "far": False}


def test_a_name_is_whole_where_there_is_room() -> None:
    assert LONG in labels(group_of([at(LONG, 1.0, 0.1), at("far", 2.0, 0.4)]))
    timed = [make(name, timing=Timing(seconds_per_kimg=1)) for name in (LONG, "m")]
    (bars,) = cost_bars(group_of(timed))
    assert f">{LONG}<" in bars.svg()


def test_the_chart_of_costs_says_how_far_runs_of_one_method_are_apart() -> None:
    def words(*seconds: float) -> str:
        made = (make(seed=s, timing=Timing(seconds_per_kimg=v)) for s, v in enumerate(seconds))
        return cost_words(group_of(list(made)))

    assert "Bar: mean" not in words(10)
    assert "Bar: mean" in words(10, 14) and "differ" not in words(10, 14)
    assert "differ by up to 3.5 times in seconds per kimg" in words(10, 20, 35)
    elsewhere = make(seed=1, timing=Timing(seconds_per_kimg=90), environment={"device": "other"})
    assert "differ" not in cost_words(group_of([make(timing=Timing(seconds_per_kimg=1)), elsewhere]))
