"""Control curves in numbers: by hand, against brute force, and what is missing."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.report.group import group_of
from benchmark.report.statistics.trade_off import dominated_share
from benchmark.report.tables.controls import control_table, value_tables
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
    table = control_table(group_of(curve("a", steps_missing)))  # no untouched source either
    assert table is not None
    assert [cell.text for cell in table.rows[0].cells] == ["1", "–", "–", "1.00"]
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
    assert still.caption == ("The control moves nothing here that can be told from noise: d.",)
