"""All charts of a section, each drawn once: as they stand on the page, and put together as files."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from benchmark.report.figures.bars import cost_bars, cost_words, difference_ranges
from benchmark.report.figures.control import ControlChart, control_chart
from benchmark.report.figures.courses import MetricCurves, metric_curves
from benchmark.report.figures.curves import training_curves
from benchmark.report.figures.drawing import Drawing, beside, key
from benchmark.report.figures.grids import slug
from benchmark.report.figures.ranks import rank_diagram
from benchmark.report.figures.scatter import method_styles, scatter
from benchmark.report.group import Group
from benchmark.report.section import Section
from benchmark.system.text.lists import listed

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
        plain = group.plain if group.plain and any(r.curve for r in group.plain.records) else None
        dotted = f"Dotted: the training of {plain.base}, where the axis was measured along it. " if plain else ""
        charts.files["fidelity_consistency"] = beside([*points.values()], 3, below=words + dotted + suite)
    if ranges:
        worse = "Right" if group.fidelity and group.better(group.fidelity) == "lower" else "Left"
        charts.files["differences"] = beside([*ranges.values()], 3, below=f"{worse} of 0 is worse. {suite}")
    if cost:
        charts.files["cost"] = beside(cost, 3, below=f"{cost_words(group)} {suite}")
    if ranks:
        charts.files["ranks"] = ranks
    for course in courses:
        charts.files[f"training_{slug(course.domain)}"] = _course_file(group, course, suite)
    return charts, problems


def _course_file(group: Group, course: MetricCurves, suite: str) -> Drawing:
    """The panels of a domain, the names of the methods, and what the lines are."""
    shown = {row.method for row in course.table.rows}
    drawn = {name: style for name, style in method_styles(group).items() if name in shown}
    panels = beside(course.panels, 2)
    shared = [x.base for x in group.shown if x.base in drawn and any(r.timing.reused_training for r in x.records)]
    words = [
        "Mean over seeds, band from the smallest to the largest." if len(group.seeds) > 1 else "One seed.",
        f"N = {' or '.join(map(str, course.sizes))} a point. Dashed: the untouched source.",
        *([f"Made from another method's training: {listed(shared)}."] if shared else []),
        suite,
    ]
    return beside([panels, key(drawn, panels.width, 3)], 1, below=" ".join(words))
