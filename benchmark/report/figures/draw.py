"""All charts of a section, each drawn once: as they stand on the page, and put together as files."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from benchmark.report.figures.bars import cost_bars, difference_ranges
from benchmark.report.figures.control import ControlChart, control_chart
from benchmark.report.figures.courses import MetricCurves, metric_curves
from benchmark.report.figures.curves import training_curves
from benchmark.report.figures.drawing import Drawing, beside
from benchmark.report.figures.grids import slug
from benchmark.report.figures.ranks import rank_diagram
from benchmark.report.figures.scatter import scatter
from benchmark.report.section import Section

MOST_DOMAINS = 12
"""Charts of more domains than this are left out: their numbers are in the tables."""


@dataclass(frozen=True)
class Charts:
    """The charts by place. ``files``: name without ending -> what is written as a PNG."""

    scatter: dict[str, Drawing]
    differences: dict[str, Drawing]
    controls: dict[tuple[str, str], ControlChart]
    courses: list[MetricCurves]
    losses: dict[str, list[Drawing]]
    cost: list[Drawing]
    ranks: Drawing | None
    files: dict[str, Drawing] = field(default_factory=dict)


def draw(section: Section, logs: Path) -> tuple[Charts, list[str]]:
    """The charts of a section, and one line for each log in the folder ``logs`` that cannot be used."""
    group = section.group
    shown = group.domains[:MOST_DOMAINS]
    losses, problems = training_curves(group, logs)
    points = {d: found for d in shown if (found := scatter(group, d)) is not None}
    ranges = {d: found for d in shown if (found := difference_ranges(group, d)) is not None}
    controls = {(b, d): c for b in group.controlled for d in shown if (c := control_chart(group, b, d)) is not None}
    courses, cost, ranks = metric_curves(group), cost_bars(group), rank_diagram(group)
    charts = Charts(points, ranges, controls, courses, {d: own for d, own in losses if d in shown}, cost, ranks)
    suite = f"Suite {group.records[0].suite}, source {group.records[0].source}."
    if points:
        words = "Small: one seed; large: mean with one standard deviation; line: values of the control. "
        dotted = "Dotted: the training. " if group.plain and any(r.curve for r in group.plain.records) else ""
        charts.files["fidelity_consistency"] = beside([*points.values()], 3, below=words + dotted + suite)
    if ranges:
        charts.files["differences"] = beside([*ranges.values()], 3, below=suite)
    if cost:
        charts.files["cost"] = beside(cost, 3, below=f"† uses another method's training. {suite}")
    if ranks:
        charts.files["ranks"] = ranks
    for course in courses:
        band = "Mean over seeds, band from the smallest to the largest" if len(group.seeds) > 1 else "One seed"
        charts.files[f"training_{slug(course.domain)}"] = beside(list(course.panels), 2, below=f"{band}. {suite}")
    return charts, problems
