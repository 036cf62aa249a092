"""The critical-difference diagram: ranks within (domain, seed), bars of methods that may be equal, and its warnings."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any

import pytest
from demsar import DEMSAR

from benchmark.report.figures.drawing import Drawing
from benchmark.report.figures.ranks import rank_caption, rank_diagram, rank_words
from benchmark.report.group import group_of
from benchmark.report.tables.ranking import Ranking, ranking
from benchmark.results import MetricValue, RunRecord


def make(method: str, domain: str, seed: int, value: float | None, **changes: Any) -> RunRecord:
    key = hashlib.sha256(repr((method, domain, seed, changes.get("control"))).encode()).hexdigest()
    metric = MetricValue(value=value, n=9, reason=None if value is not None else "no weights")
    values: dict[str, Any] = {
        "record_key": key,
        "train_key": key,
        "status": "done",
        "suite": "smoke",
        "method": method,
        "domain": domain,
        "domain_digest": "ab" * 32,
        "source": "src",
        "source_sha256": "cd" * 32,
        "seed": seed,
        "metrics": {"kid_net": metric},
    }
    return RunRecord(**(values | changes))


def demsar() -> list[RunRecord]:
    """The paper's ranks as values: 14 blocks, 7 seeds on each of 2 domains."""
    return [make(m, "de"[i % 2], i // 2, rank) for m, ranks in DEMSAR.items() for i, rank in enumerate(ranks)]


def ordered(methods: str = "abc", seeds: int = 3) -> list[RunRecord]:
    return [make(m, d, s, i + s / 10) for i, m in enumerate(methods) for d in "de" for s in range(seeds)]


def drawn(records: Sequence[RunRecord]) -> Drawing:
    found = rank_diagram(group_of(records))
    assert found is not None
    return found


def words(drawing: Drawing) -> str:
    return " ".join(re.findall(r"<text [^>]*>([^<]*)</text>", str(drawing.svg())))


def ranked(records: Sequence[RunRecord]) -> Ranking:
    found = ranking(group_of(records))
    assert found is not None
    return found


def bars(drawing: Drawing) -> list[tuple[float, float]]:
    lines = re.findall(r'<polyline points="([^"]*)"[^>]*class="bar"', str(drawing.svg()))
    return [tuple(float(point.split(",")[0]) for point in line.split()) for line in lines]  # type: ignore[misc]


def test_ranks_are_those_of_the_paper_whatever_the_order_of_records() -> None:
    found = ranked(demsar())
    assert found.metric == "kid_net" and found.test.blocks == 14
    assert found.test.ranks == pytest.approx(
        {"C4.5+m+cf": 1.964, "C4.5+m": 2.0, "C4.5+cf": 2.893, "C4.5": 3.143}, abs=5e-4
    )
    assert ranked(demsar()[::-1]) == found


def test_the_diagram_shows_ranks_the_critical_difference_and_a_bar_for_each_group() -> None:
    drawing = drawn(demsar())
    text = words(drawing)
    assert "critical difference 1.25" in text and "C4.5+m+cf" in text and "1.96" in text and "3.14" in text
    ((left, right),) = bars(drawing)
    marks = re.findall(r"mean rank ([\d.]+)", str(drawing.svg()))
    assert marks == ["1.96", "2.00", "2.89", "3.14"] and left < right
    assert "not independent data sets" in text and "14 blocks" in text
    assert len(bars(drawn(ordered("abcd", 10)))) == 3, "1 and 2, 2 and 3, 3 and 4"


def test_too_few_blocks_have_no_bars_and_a_reason() -> None:
    drawing = drawn(ordered("abcdefgh", 1))
    assert not bars(drawing) and "critical difference" not in words(drawing)
    assert "No bars, because no difference was tested: 2 of at least" in words(drawing)
    assert "ranks are compared from 3 on" in words(drawn(ordered("ab")))
    assert "6 blocks: both tests are approximations for more than 10" in words(drawn(ordered("abc", 3)))


def test_one_method_or_one_block_is_no_diagram() -> None:
    one = group_of(ordered("a"))
    assert rank_diagram(one) is None and rank_words(one) == ""
    assert rank_diagram(group_of([r for r in ordered(seeds=1) if r.domain == "d"])) is None
    assert rank_diagram(group_of([make("a", "d", 0, None), make("b", "d", 1, None)])) is None


def test_only_default_controls_of_methods_with_values_are_ranked_and_gaps_are_told() -> None:
    records = ordered()
    records += [make("source", d, s, -1.0, zero_step=True) for d in "de" for s in range(3)]
    records += [make("empty", d, s, None) for d in "de" for s in range(3)]
    other = {"control": 1.0, "is_default_control": False, "control_name": "alpha"}
    records += [make("a", d, s, 99.0, **other) for d in "de" for s in range(3)]
    records[0] = make("a", "d", 0, None, status="failed", reason="no memory", metrics={})
    found = ranked(records)
    assert found.test.ranks == {"a": 1, "b": 2, "c": 3}
    caption = " ".join(rank_caption(group_of(records), found))
    assert "Left out: 1 blocks" in caption and "Left out: empty, without a value that may be ranked" in caption


def test_a_method_that_is_the_untouched_source_competes_nowhere() -> None:
    records = ordered("ab") + [make("source", d, s, 9.0 + s, zero_step=True) for d in "de" for s in range(3)]
    records += [make("nothing", d, s, 9.0 + s) for d in "de" for s in range(3)]
    assert set(ranked(records).test.ranks) == {"a", "b"}


def test_names_of_any_kind_are_drawn_as_they_are_and_repeat_byte_by_byte() -> None:
    hostile = ("$x^$", "<b>&", "a" * 200, "plain\x00\x1b")
    records = [make(m, d, s, i + s / 10) for i, m in enumerate(hostile) for d in "de" for s in range(3)]
    first, again = drawn(records), drawn(records)
    assert (first.svg(), first.png()) == (again.svg(), again.png()), "SVG after SVG, PNG after SVG, SVG after PNG"
    before = first.svg()
    assert first.png()[:4] == b"\x89PNG" and first.svg() == before
    assert "&lt;b&gt;&amp;" in before and "<b>" not in before and "\x1b" not in before
    assert "Joined: " in rank_words(group_of(records))
