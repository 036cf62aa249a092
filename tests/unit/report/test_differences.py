"""Which methods differ significantly: differences, tests and their correction are those of the records."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from scipy import stats

from benchmark.report.figures.bars import difference_ranges
from benchmark.report.figures.drawing import width_of
from benchmark.report.group import group_of
from benchmark.report.statistics.power import detectable_difference
from benchmark.report.tables.differences import detectable, pairs_table, reach
from benchmark.report.tables.table import MISSING, Table
from benchmark.results import MetricValue, RunRecord

BASE = [0.010, 0.014, 0.012, 0.011, 0.016, 0.013, 0.018]
PLAIN, TUNED = "plain", {"weight": 1}


def make(method: str, seed: int, value: float | None, domain: str = "d", **changes: Any) -> RunRecord:
    key = hashlib.sha256(repr((method, domain, seed, changes.get("control"))).encode()).hexdigest()
    metric = MetricValue(value=value, n=9, reason=None if value is not None else "no weights")
    values: dict[str, Any] = {
        "record_key": key,
        "train_key": key,
        "status": "done",
        "suite": "smoke",
        "method": method,
        "fields": {} if method == PLAIN else TUNED,
        "domain": domain,
        "domain_digest": "ab" * 32,
        "source": "src",
        "source_sha256": "cd" * 32,
        "seed": seed,
        "metrics": {"kid_net": metric, "fid": MetricValue(value=seed, n=9)},
    }
    return RunRecord(**(values | changes))


def runs(values: Mapping[str, Sequence[float]], domain: str = "d") -> list[RunRecord]:
    return [make(m, s, v, domain) for m, own in values.items() for s, v in enumerate(own)]


def table_of(records: Sequence[RunRecord]) -> Table:
    found = pairs_table(group_of(records))
    assert found is not None
    return found


def texts(table: Table) -> dict[str, list[str]]:
    return {row.label: [("*" if c.best else "") + c.text for c in row.cells] for row in table.rows}


def test_against_the_plain_method_by_hand() -> None:
    better, same = [v - 0.004 for v in BASE], [v + 0.002 * (-1) ** s for s, v in enumerate(BASE)]
    table = table_of(runs({"better": better, PLAIN: BASE, "same": same}))
    assert table.title == "Differences from plain: KID"
    assert [(c.group, c.name) for c in table.columns][:2] == [("d", "difference"), ("d", "95 % interval")]
    shown = texts(table)
    assert shown["better"] == ["*-0.00400", "-0.00400 to -0.00400", "0.0156", "0.0312", "7"]
    assert shown["same"][0] == "+0.00029" and shown["same"][3] == "1" and PLAIN not in shown
    assert "Holm-corrected over the 2 tests" in " ".join(table.caption)
    assert table.rows[0].cells[0].keys == tuple(r.record_key for m in ("better", PLAIN) for r in runs({m: BASE}))


@pytest.mark.parametrize(("seeds", "words"), [(5, "range of seeds"), (7, "95 % interval")])
def test_the_chart_shows_the_range_or_interval_of_the_table(seeds: int, words: str) -> None:
    better = [v - 0.001 * (s + 1) for s, v in enumerate(BASE)]
    group = group_of(runs({"better": better[:seeds], PLAIN: BASE[:seeds]}))
    drawing = difference_ranges(group, "d")
    table = pairs_table(group)
    assert drawing is not None and table is not None and f"line: {words}" in str(drawing.svg())
    low, high = reach(group, "d", next(x for x in group.shown if x.base == "better")) or (0, 0)
    assert table.rows[0].cells[1].text == f"{low:+.5f} to {high:+.5f}"
    assert (low == pytest.approx(-0.005)) == (seeds == 5)


@pytest.mark.parametrize("domain", ["d", "a-domain-with-a-name-of-many-words-and-letters-in-a-row"])
def test_no_words_of_the_chart_leave_it(domain: str) -> None:
    drawing = difference_ranges(group_of(runs({"b": BASE[::-1], PLAIN: BASE}, domain)), domain)
    assert drawing is not None
    found = re.findall(
        r'<text x="([\d.]+)"[^>]* font-size="([\d.]+)" text-anchor="(\w+)"[^>]*>([^<]*)</text>', drawing.svg()
    )
    assert len(found) == drawing.svg().count("<text")
    for x, size, anchor, text in found:
        left = float(x) - width_of(text, float(size)) * {"start": 0, "middle": 0.5, "end": 1}[anchor]
        assert left >= 0 and left + width_of(text, float(size)) <= drawing.width, text


@pytest.mark.parametrize(("seeds", "said"), [(16, "; exact two-sided"), (17, "; two-sided")])
def test_a_test_is_called_exact_where_all_patterns_are_tried(seeds: int, said: str) -> None:
    values = [float(v) for v in np.random.default_rng(0).normal(size=seeds)]
    assert said in table_of(runs({"b": [v - 1 for v in values], PLAIN: values})).caption[0]


def test_the_correction_goes_over_all_domains_of_the_table() -> None:
    better = [v - 0.004 for v in BASE]
    table = table_of([r for d in ("d", "e", "f") for r in runs({"better": better, PLAIN: BASE}, d)])
    assert [c.text for c in table.rows[0].cells][3::5] == [f"{3 * 2 / 2**7:.3g}"] * 3
    assert not any(c.best for c in table.rows[0].cells[1:5]), "a difference is marked once"


def test_seeds_too_few_for_significance_are_said() -> None:
    table = table_of(runs({PLAIN: BASE[:3], "other": [v + 1 for v in BASE[:3]]}))
    caption = " ".join(table.caption)
    assert texts(table)["other"][2] == "0.25" and not table.rows[0].cells[0].best
    assert "With 3 seeds the two-sided sign-flip test cannot go below p = 0.25" in caption
    assert "at least 6 seeds are needed" in caption
    assert table.columns[1].name == "range of seeds" and "the smallest and largest of them" in caption


def test_without_a_plain_method_all_stand_against_the_best_of_each_domain() -> None:
    worse = [v + 0.004 for v in BASE]
    table = table_of([*runs({"a": BASE, "b": worse}, "d"), *runs({"a": worse, "b": BASE}, "e")])
    assert table.title == "Differences from the best: KID"
    assert [c.name for c in table.columns[::5]] == ["difference from a", "difference from b"]
    shown = texts(table)
    assert shown["a"][0] == shown["b"][5] == "reference"
    assert shown["b"][0] == shown["a"][5] == "*+0.00400"
    assert "picked by looking" in " ".join(table.caption)


def test_what_the_seeds_could_have_shown_is_told_by_the_paired_t_test() -> None:
    """s.d. of the differences 0.1625 as in the published records: 0.53 with 3 seeds, 0.11 with 20, at 80 % power."""
    for seeds, least in ((3, 0.53), (6, 0.23), (10, 0.16), (20, 0.11)):
        assert detectable_difference(0.1625, seeds) == pytest.approx(least, abs=0.006)
    assert detectable_difference(0.1625, 1) is None
    values = [v + (0.001 if s % 2 else -0.001) for s, v in enumerate(BASE)]
    found = detectable(group_of(runs({PLAIN: BASE, "b": values})))
    deviation = np.std([v - b for v, b in zip(values, BASE, strict=True)], ddof=1)
    assert found == (pytest.approx(detectable_difference(float(deviation), 7)), 7)
    caption = " ".join(table_of(runs({PLAIN: BASE, "b": values})).caption)
    assert found is not None
    assert (
        f"With 7 seeds, an uncorrected paired t test would show a true difference of {found[0]:.2g} in KID from plain "
        "with 80 % power" in caption
    )


def test_the_power_is_that_of_simulated_t_tests() -> None:
    rng, seeds = np.random.default_rng(0), 5
    effect = detectable_difference(1.0, seeds)
    assert effect is not None
    drawn = rng.normal(effect, 1.0, (20_000, seeds))
    assert np.mean(stats.ttest_1samp(drawn, 0, axis=1).pvalue <= 0.05) == pytest.approx(0.8, abs=0.01)


def test_machines_that_differ_within_a_pair_are_told() -> None:
    records = runs({PLAIN: BASE, "b": BASE[::-1]})
    assert not any("mix machines" in text for text in table_of(records).caption)
    other = [r.model_copy(update={"environment": {"device": "Xeon"}}) if r.method == "b" else r for r in records]
    assert any("7 (domain, seed) pairs mix machines" in text for text in table_of(other).caption)


def test_gaps_failures_and_further_controls() -> None:
    records = [*runs({PLAIN: BASE, "fix": [v + 0.004 for v in BASE], "late": BASE[:2]})]
    records += [make("fix", s, 9.0, control=1.0, is_default_control=False, control_name="alpha") for s in range(7)]
    records += [make("dead", 0, None, status="failed", reason="no memory", metrics={})]
    records += [make("source", s, 0.5, zero_step=True) for s in range(7)]
    shown = texts(table_of(records))
    assert set(shown) == {"dead", "fix", "late"}
    assert shown["dead"] == [MISSING] * 5
    assert shown["late"][4] == "2" and shown["late"][2] == "1"


def test_where_nothing_can_be_tested_there_is_no_table() -> None:
    assert pairs_table(group_of(runs({PLAIN: BASE[:1], "b": BASE[:1]}))) is None, "one seed"
    assert pairs_table(group_of(runs({PLAIN: BASE}))) is None, "one method"
    assert pairs_table(group_of([make("a", s, None, metrics={}) for s in range(3)])) is None, "no metric"


def test_a_metric_without_any_value_is_passed_over() -> None:
    records = [r for m in (PLAIN, "b") for s in range(3) for r in [make(m, s, None)]]
    assert table_of(records).title == "Differences from plain: FID"


def test_four_seeds_show_the_range_of_their_differences_and_six_an_interval() -> None:
    base = [0.0] * 5
    table = table_of(runs({PLAIN: base, "other": [1.0, 2.0, 3.0, 4.0, 10.0]}))
    assert table.columns[1].name == "range of seeds" and texts(table)["other"][1].replace(" ", "") == "+1.0to+10.0"
    mixed = [*runs({PLAIN: base, "other": [1.0, 2.0, 3.0, 4.0, 10.0]}, "d"), *runs({PLAIN: BASE, "other": BASE}, "e")]
    both = table_of(mixed)
    assert [c.name for c in both.columns[1::5]] == ["range of seeds", "95 % interval"]
    assert "interval, or the smallest and largest of fewer than 6 seeds" in " ".join(both.caption)
    fewer = table_of(runs({PLAIN: BASE, "few": [v + 0.1 * (s + 1) for s, v in enumerate(BASE[:3])], "all": BASE}))
    assert fewer.columns[1].name == "interval or range"
    assert texts(fewer)["few"][1] == "+0.100 to +0.300"
