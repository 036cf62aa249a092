"""The critical-difference diagram: ranks within (domain, seed), bars of methods that may be equal, and its warnings."""

from __future__ import annotations

import hashlib
from io import BytesIO
from typing import Any

import pytest
from demsar import DEMSAR
from matplotlib.figure import Figure

from benchmark.report.figures.ranks import BAR, critical_difference_figure, rank_words, ranking
from benchmark.report.figures.svg import svg
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


def words(figure: Figure) -> str:
    said = [text.get_text() for axes in figure.axes for text in axes.texts]
    return " ".join(" ".join([*said, figure.get_supxlabel()]).split())


def bars(figure: Figure) -> list[tuple[float, float]]:
    return [tuple(line.get_xdata()) for line in figure.axes[0].lines if line.get_linewidth() == BAR]


def test_ranks_are_those_of_the_paper_whatever_the_order_of_records() -> None:
    found = ranking(demsar())
    assert found is not None and found.metric == "kid_net" and found.test.blocks == 14
    assert found.test.ranks == pytest.approx(
        {"C4.5+m+cf": 1.964, "C4.5+m": 2.0, "C4.5+cf": 2.893, "C4.5": 3.143}, abs=5e-4
    )
    assert ranking(demsar()[::-1]) == found


def test_the_figure_shows_ranks_the_critical_difference_and_a_bar_for_each_group() -> None:
    figure = critical_difference_figure(demsar())
    assert figure is not None
    text = words(figure)
    assert "critical difference 1.25" in text and "C4.5+m+cf 1.96" in text and "3.14 C4.5" in text
    ((left, right),) = bars(figure)
    assert left < 1.964 and right > 3.143
    assert "not independent data sets" in text and "14 blocks" in text

    separate = critical_difference_figure(ordered("abcd", 10))
    assert separate is not None and [(round(a), round(b)) for a, b in bars(separate)] == [(1, 2), (2, 3), (3, 4)]


def test_too_few_blocks_have_no_bars_and_a_reason() -> None:
    figure = critical_difference_figure(ordered("abcdefgh", 1))
    assert figure is not None and not bars(figure)
    assert "No bars, because no difference was tested: 2 of at least" in words(figure)
    assert "critical difference" not in words(figure)
    two = critical_difference_figure(ordered("ab"))
    assert two is not None and "ranks are compared from 3 on" in words(two)
    few = critical_difference_figure(ordered("abc", 3))
    assert few is not None and "6 blocks: both tests are approximations for more than 10" in words(few)


def test_one_method_or_one_block_is_no_diagram() -> None:
    assert critical_difference_figure(ordered("a")) is None and rank_words(ordered("a")) == ""
    assert critical_difference_figure([r for r in ordered(seeds=1) if r.domain == "d"]) is None
    assert critical_difference_figure([make("a", "d", 0, None), make("b", "d", 1, None)]) is None


def test_only_default_controls_of_methods_with_values_are_ranked_and_gaps_are_told() -> None:
    records = ordered()
    records += [make("source", d, s, -1.0, zero_step=True) for d in "de" for s in range(3)]
    records += [make("empty", d, s, None) for d in "de" for s in range(3)]
    other = {"control": 1.0, "is_default_control": False, "control_name": "alpha"}
    records += [make("a", d, s, 99.0, **other) for d in "de" for s in range(3)]
    records[0] = make("a", "d", 0, None, status="failed", reason="no memory", metrics={})
    found = ranking(records)
    assert found is not None and found.test.ranks == {"a": 1, "b": 2, "c": 3}
    caption = " ".join(found.caption)
    assert "Left out: 1 blocks" in caption and "Left out: empty, without a value" in caption


def test_names_of_any_kind_are_drawn_as_they_are_and_repeat_byte_by_byte() -> None:
    hostile = ("$x^$", "<b>&", "a" * 200, "plain")
    records = [make(m, d, s, i + s / 10) for i, m in enumerate(hostile) for d in "de" for s in range(3)]

    def drawn() -> tuple[str, bytes]:
        figure, buffer = critical_difference_figure(records), BytesIO()
        assert figure is not None
        figure.savefig(buffer, format="png", metadata={"Software": None})
        return svg(figure, "r-", rank_words(records)), buffer.getvalue()

    assert drawn() == drawn()
    assert "Joined: " in rank_words(records) and "plain 4.00" in rank_words(records)
