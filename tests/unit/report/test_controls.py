"""Control curves in numbers: by hand, against brute force, and what is missing."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.report import summary
from benchmark.report.group import group_of
from benchmark.report.section import section_of
from benchmark.report.sentences import sentences
from benchmark.report.statistics.best_possible import best_possible
from benchmark.report.statistics.trade_off import dominated_share
from benchmark.report.tables.controls import control_table, value_tables
from benchmark.report.tables.smoothness import TITLE as SMOOTH
from benchmark.report.tables.smoothness import smoothness_table
from benchmark.report.tables.table import shortened
from benchmark.report.tables.ways import Curve, measures
from benchmark.results import MetricValue, RunRecord

POINTS = st.lists(st.tuples(st.integers(-2, 12), st.integers(-2, 12)), max_size=6)


def metrics(kid: float, far: float, step: float | None) -> dict[str, MetricValue]:
    values = {"kid_net": kid, "consistency_net": far, "step_net": step}
    return {k: MetricValue(value=v, n=9, reason="first" if v is None else None) for k, v in values.items()}


def record(
    method: str, control: float | None, numbers: dict[str, MetricValue], seed: int = 0, **more: Any
) -> RunRecord:
    key = hashlib.sha256(repr((method, control, seed)).encode()).hexdigest()
    base = {"record_key": key, "train_key": key, "status": "done", "suite": "s", "domain": "d", "domain_digest": "x"}
    base |= {"source": "src", "source_sha256": "ab" * 32, "seed": seed, "method": method, "control": control}
    return RunRecord(**(base | {"metrics": numbers, "is_default_control": control in (None, 1.0)} | more))


def curve(
    method: str, values: list[tuple[float, float, float | None]], seed: int = 0, kept: int = 1
) -> list[RunRecord]:
    grid = [i / (len(values) - 1) for i in range(len(values))]
    return [
        record(method, c, metrics(*v), seed, timing={"generators_kept": kept})
        for c, v in zip(grid, values, strict=True)
    ]


SOURCE = record("source", None, metrics(1.0, 0.0, None), zero_step=True)


def test_the_numbers_of_a_curve_by_hand() -> None:
    found = measures(Curve(far=(0.0, 0.2, 0.4), steps=(0.3, 0.1)))
    assert found == pytest.approx({"path": 0.4, "unevenness": 1.5, "directness": 1.0})
    back = measures(Curve(far=(0.1, 0.4, 0.1), steps=(0.3, 0.3)))
    assert back == {"path": 0.6, "unevenness": pytest.approx(1), "directness": pytest.approx(0)}


def test_a_path_within_noise_has_no_shape() -> None:
    still = Curve(far=(0.2820, 0.2821, 0.2819), steps=(0.0004, 0.0001), noise=0.003)
    assert measures(still) == {"path": pytest.approx(0.0005), "unevenness": None, "directness": None}
    moving = Curve(far=(0.28, 0.281, 0.33), steps=(0.004, 0.06), noise=0.003)
    assert None not in measures(moving).values(), "a small control that can be told from noise keeps its shape"
    rounding = Curve(far=(0.3, 0.3, 0.3), steps=(1e-9, 5e-9))
    assert measures(rounding)["unevenness"] is None
    unmeasured = Curve(far=(0.275, 0.2716, 0.2729), steps=(), noise=0.006)
    assert measures(unmeasured) == {"path": None, "unevenness": None, "directness": None}


@settings(max_examples=60, deadline=None, derandomize=True)
@given(POINTS, st.integers(1, 10), st.integers(1, 10))
def test_the_dominated_share_is_the_share_of_unit_squares(points: list[tuple[int, int]], x: int, y: int) -> None:
    cells = np.zeros((x, y), dtype=bool)
    for a, b in points:
        cells[max(a, 0) :, max(b, 0) :] = True
    assert dominated_share(points, (x, y)) == pytest.approx(cells.mean())


def test_a_row_per_method_with_a_control_mean_and_std_over_seeds() -> None:
    even = [(1.0, 0.0, None), (0.5, 0.2, 0.2), (0.2, 0.4, 0.2)]
    jump = [(1.0, 0.0, None), (0.9, 0.1, 0.1), (0.2, 0.4, 0.3)]
    plain = record("plain", None, metrics(0.3, 0.4, None))
    table = control_table(
        group_of([SOURCE, plain, *curve("a", even, kept=2), *curve("b", even), *curve("b", jump, seed=1)])
    )
    assert table is not None
    assert [c.name for c in table.columns] == ["generators kept", "path", "unevenness", "directness"]
    rows = {row.label: [cell.text for cell in row.cells] for row in table.rows}
    assert rows["a"] == ["2", "0.400", "1.00", "1.00"]
    assert rows["b"] == ["1", "0.400 ± 0.000", "1.25 ± 0.35", "1.00 ± 0.00"]
    assert "plain" not in rows


def test_what_cannot_be_measured_is_a_dash_and_no_control_is_no_table() -> None:
    steps_missing = [(1.0, 0.0, None), (0.5, 0.2, None)]
    steps_known = [(1.0, 0.0, None), (0.5, 0.2, 0.2)]
    table = control_table(group_of([*curve("a", steps_missing), *curve("b", steps_known)]))  # and no untouched source
    assert table is not None
    assert [cell.text for cell in table.rows[0].cells] == ["1", "–", "–", "1.00"]
    assert control_table(group_of(curve("a", steps_missing))) is None, "nothing but dashes is no table"
    assert control_table(group_of([SOURCE])) is None
    failed = record("a", 0.0, {}, status="failed", reason="NaN")
    assert control_table(group_of([SOURCE, failed])) is None


def test_a_table_per_control_with_its_values_as_rows() -> None:
    records = [SOURCE, *curve("a", [(1.0, 0.0, None), (0.5, 0.2, 0.2), (0.2, 0.4, 0.2)])]
    (table,) = value_tables(group_of(records))
    assert [(c.group, c.name) for c in table.columns] == [("d", "KID"), ("d", "to source"), ("d", "step")]
    assert [row.label for row in table.rows] == ["0", "0.5", "1 (default)"]
    rows = [[c.text for c in row.cells] for row in table.rows]
    assert rows[1:] == [["0.50", "0.200", "0.200"], ["0.20", "0.400", "0.200"]]
    quiet = [record("b", c, metrics(0.5, 0.3, 1e-5 if c else None)) for c in (0.0, 1.0)]
    (still,) = value_tables(group_of([SOURCE, *quiet]))
    assert still.caption == (
        "The control moves the distance to the source by less than twice the standard error over images: d.",
    )


SHARE, FAR = "share_of_the_way_l2", "distance_averaged_l1"


def way(method: str, values: list[float], seed: int = 0, metric: str = SHARE, **more: Any) -> list[RunRecord]:
    """A method whose control goes through these values of a measure, each with the standard error 0.002."""
    return [
        record(
            method,
            i / (len(values) - 1),
            {"kid_net": MetricValue(value=1.0, n=9), metric: MetricValue(value=v, n=9, std_error=0.002)},
            seed,
            control_name="swap_at_px" if method == "swap" else "noise",
            **more,
        )
        for i, v in enumerate(values)
    ]


def smooth(records: list[RunRecord]) -> dict[str, list[str]]:
    table = smoothness_table(group_of([SOURCE, *records]))
    assert table is not None
    return {row.label: [cell.text for cell in row.cells] for row in table.rows}


def test_a_control_at_a_glance_says_how_far_it_goes_and_how_evenly() -> None:
    even = way("even", [0.1, 0.3, 0.5], timing={"generators_kept": 1})
    found = smooth([*even, *way("swap", [0.9, 0.8, 0.5], timing={"generators_kept": 2})])
    assert found == {
        "even (noise 0 to 1)": ["1", "0.100 to 0.500", "yes", "1.00"],
        "swap (0 to 1 px)": ["2", "0.900 to 0.500", "yes", "1.50"],
    }


def test_a_control_that_turns_back_is_not_monotone_and_seeds_are_counted() -> None:
    back = [0.1, 0.5, 0.4]
    assert smooth(way("a", back))["a (noise 0 to 1)"][2:] == ["no", "1.60"]
    both = [*way("a", back), *way("a", [0.1, 0.3, 0.5], seed=1)]
    assert smooth(both)["a (noise 0 to 1)"] == ["–", "0.10 to 0.45", "1 of 2 seeds", "1.30"]


def test_a_way_within_noise_has_its_ends_and_no_shape() -> None:
    quiet = way("a", [0.935, 0.936, 0.9345])
    assert smooth(quiet)["a (noise 0 to 1)"] == ["–", "0.935 to 0.934", "–", "–"]
    faint = way("a", [0.935, 0.941, 0.9345, 0.941])
    assert smooth(faint)["a (noise 0 to 1)"][2:] != ["–", "–"], "0.0065 is more than two standard errors"
    wiggle = way("a", [0.935, 0.938, 0.935, 0.938, 0.935] * 4)
    assert smooth(wiggle)["a (noise 0 to 1)"][2:] == ["–", "–"], "many small steps make no long one"


def test_the_averaged_distance_stands_in_where_no_answer_is_known() -> None:
    numbers = way("a", [0.0, 0.1, 0.2], metric=FAR)
    table = smoothness_table(group_of([SOURCE, *numbers]))
    assert table is not None and [c.name for c in table.columns][1] == "to source, averaged"
    assert table.rows[0].cells[1].text == "0 to 0.200"
    assert any(text.startswith("to source, averaged (d): ") for text in table.words)
    assert smoothness_table(group_of([SOURCE])) is None and smoothness_table(group_of(numbers[:1])) is None


def test_the_sentence_about_controls_says_what_the_table_says() -> None:
    group = group_of([SOURCE, *way("a", [0.1, 0.2, 0.5]), *way("b", [0.9, 0.9005, 0.901]), *way("c", [0.1, 0.5, 0.2])])
    (said,) = [text for text in sentences(group) if text.startswith("Controls")]
    assert said == (
        "Controls: ratio of the largest to the mean step (1 is perfectly even): c 1.14, a 1.50; "
        "c turns back on the way; the control of b moves the share of the way by less than twice the standard error "
        "over images."
    )


def test_the_best_possible_score_is_the_end_that_the_direction_says() -> None:
    ends = {"floor": 0.01, "ceiling": 1.0}
    kept = MetricValue(value=0.5, n=9, better="higher", **ends)
    found = best_possible([record("a", None, {"identity_x": kept, "error_x": MetricValue(value=0.1, n=9, **ends)})])
    assert found == {("d", "identity_x"): 1.0, ("d", "error_x"): 0.01}


def test_the_terminal_shows_controls_below_the_headline_and_explains_short_titles() -> None:
    long = way("a method of a long name", [0.0, 0.1, 0.3], metric=FAR)
    lines = summary(section_of(group_of([SOURCE, *long]))).splitlines()
    assert max(map(len, lines)) <= 80
    (row,) = [line for line in lines if line.startswith("a method of a long name (noise 0 to 1)")]
    assert row.split()[-5:] == ["0", "to", "0.300", "yes", "1.33"] and lines.index(row) > lines.index(SMOOTH)
    text = " ".join(lines)
    assert "distance = to source, averaged (d): " in text and "unevenness: largest over mean step" in text


def test_names_of_variants_are_cut_in_their_middle() -> None:
    assert shortened("Feature matching (weight=0.05)", 24) == "Feature matc…eight=0.05)"
    assert shortened("short", 5) == "short" and shortened("letters", 2) == "l…"
