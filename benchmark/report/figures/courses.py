"""Metrics over the training: as panels of a chart and as a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from benchmark.metrics.catalogue import info_of
from benchmark.report.figures.axes import Panel, scale_of
from benchmark.report.figures.drawing import Drawing, Style, cut
from benchmark.report.figures.scatter import method_styles
from benchmark.report.group import SOURCE, Group, short_title
from benchmark.report.lines import device_of
from benchmark.report.tables.table import ARROWS, MISSING, Cell, Column, Row, Table
from benchmark.results import MetricValue, RunRecord

MAX_PANELS = 12
MAX_POINTS = 100  # of a record; a run keeps some five or ten
WIDTH, HEIGHT = 366, 210


@dataclass(frozen=True)
class MetricCurves:
    """The metrics of a domain over the training: a panel per metric and axis, and the numbers."""

    domain: str
    panels: tuple[Drawing, ...]
    table: Table
    sizes: tuple[int, ...]
    """Numbers of images or pairs a point."""


def metric_curves(group: Group) -> list[MetricCurves]:
    """The curves of each domain that has any: methods at their default control, the mean over seeds and its band.

    Panels over kimg and over seconds of training; a dashed line for the untouched source.
    """
    found = []
    for domain in group.domains:
        own = [r for r in group.records if r.domain == domain and r.status == "done"]
        frame = _points(group, domain)
        if frame.empty:
            continue
        measured = [(name, m) for r in own for p in r.curve for name, m in p.metrics.items() if m.value is not None]
        kinds = dict(sorted(measured, key=lambda pair: pair[1].n))
        kinds = {name: kinds[name] for name in list(dict.fromkeys(frame["metric"]))[:MAX_PANELS]}
        frame, others = _of_one_size(frame, kinds)
        source, notes = _source(own, kinds)
        notes += others
        devices = sorted({device_of(r) for r in own if r.curve and not r.zero_step})
        if len(devices) > 1:
            frame["seconds"] = math.nan
            notes.append(f"Trained on several devices ({'; '.join(devices)}): seconds are not compared.")
        if any(len(r.curve) > MAX_POINTS for r in own):
            notes.append(f"The first {MAX_POINTS} points of each training.")
        mean = _over_seeds(frame)
        panels = _panels(group, domain, mean, kinds, source)
        table = _metric_table(domain, mean, kinds, source, notes)
        found.append(MetricCurves(domain, tuple(panels), table, tuple(sorted({m.n for m in kinds.values()}))))
    return found


def _points(group: Group, domain: str) -> pd.DataFrame:
    """One row per method, seed, point and metric that has a value; what was measured last where a point is twice."""
    columns = ["method", "seed", "kimg", "seconds", "metric", "value", "n"]
    rows = [
        (line.base, r.seed, point.kimg, point.seconds, name, m.value, m.n)
        for line in group.shown
        for r in group.at(line, domain)
        if r.status == "done"
        for point in r.curve[:MAX_POINTS]
        for name, m in point.metrics.items()
        if m.value is not None
    ]
    frame = pd.DataFrame(rows, columns=columns).astype({"kimg": float, "seconds": float, "value": float})
    return frame.drop_duplicates(["method", "seed", "kimg", "metric"], keep="last")


def _of_one_size(frame: pd.DataFrame, kinds: dict[str, MetricValue]) -> tuple[pd.DataFrame, list[str]]:
    """Without points of fewer images than ``kinds`` have, where a metric depends on their number; who lost any."""
    sizes = frame["metric"].map({name: kind.n for name, kind in kinds.items() if not info_of(name).any_count})
    fits = sizes.isna() | (frame["n"] == sizes)
    left = frame[~fits].groupby("metric", sort=True)["n"].unique()
    notes = [
        f"{name}: points on N={' or '.join(map(str, sorted(n)))} are left out beside those on N={kinds[str(name)].n}."
        for name, n in left.items()
    ]
    return frame[fits], notes


def _source(records: Sequence[RunRecord], kinds: dict[str, MetricValue]) -> tuple[dict[str, float], list[str]]:
    """{metric: the untouched source's mean over seeds}, and why a metric has none although it was measured."""
    values, notes = {}, []
    for name, kind in kinds.items():
        found = [m for r in records if r.zero_step and (m := r.metrics.get(name)) and m.value is not None]
        fit = [m.value for m in found if m.value is not None and (m.n == kind.n or info_of(name).any_count)]
        if fit:
            values[name] = sum(fit) / len(fit)
        elif found:
            notes.append(
                f"{name}: the source was measured on N={found[0].n}, the points on N={kind.n}; no line for it."
            )
    return values, notes


def _over_seeds(frame: pd.DataFrame) -> pd.DataFrame:
    """Mean, smallest and largest value over the seeds, per method, metric and kimg; mean of the seconds."""
    grouped = frame.groupby(["method", "metric", "kimg"], as_index=False, sort=True)
    return grouped.agg(
        mean=("value", "mean"),
        low=("value", "min"),
        high=("value", "max"),
        seeds=("seed", "nunique"),
        seconds=("seconds", "mean"),
    )


def _panels(
    group: Group, domain: str, frame: pd.DataFrame, kinds: dict[str, MetricValue], source: dict[str, float]
) -> list[Drawing]:
    axes = [("kimg", "kimg")] + ([("seconds", "seconds of training")] if frame["seconds"].notna().any() else [])
    drawn = method_styles(group)
    found = []
    for name, kind in kinds.items():
        own = frame[frame["metric"] == name]
        for x, words in axes:
            drawing = Drawing(WIDTH, HEIGHT, f"Chart: {short_title(name)} over {words} on {domain}, in the table below")
            known = own.dropna(subset=[x])
            ys = [*known["low"], *known["high"], *([source[name]] if name in source else [])]
            log = info_of(name).kind in ("kid", "fd", "fd_infinity")
            panel = Panel(drawing, scale_of(known[x], zero=True, margin=0.03), scale_of(ys, log=log))
            panel.frame(f"{short_title(name)} {ARROWS[kind.better]}, {domain}", words, "")
            if name in source:
                ends = [panel.at(panel.x.low, source[name]), panel.at(panel.x.high, source[name])]
                drawing.line(ends, width=1.1, dash="5 3", opacity=0.8)
            for method, line in known.groupby("method", sort=True):
                _course(panel, str(method), line.sort_values(x), x, drawn[str(method)])
            found.append(drawing)
    return found


def _course(panel: Panel, method: str, line: pd.DataFrame, x: str, style: Style) -> None:
    panel.on.open(method)
    at, mean, low, high = (line[name].tolist() for name in (x, "mean", "low", "high"))
    if line["seeds"].max() > 1:
        upper = [panel.at(a, v) for a, v in zip(at, high, strict=True)]
        lower = [panel.at(a, v) for a, v in zip(at, low, strict=True)]
        panel.on.area([*upper, *lower[::-1]], style.colour, 0.13)
    places = [panel.at(a, v) for a, v in zip(at, mean, strict=True)]
    panel.on.line(places, style.colour, 1.4, style.dash)
    for place, a, v in zip(places, at, mean, strict=True):
        panel.on.marker(*place, style, 2.6, title=f"{cut(method, 400, 10)} at {a:.4g}: {v:.4g}")
    panel.on.close()


def _metric_table(
    domain: str, frame: pd.DataFrame, kinds: dict[str, MetricValue], source: dict[str, float], notes: Sequence[str]
) -> Table:
    columns = [Column("", "kimg"), Column("", "seconds")]
    for name, kind in kinds.items():
        columns.append(Column("", name, f"{ARROWS[kind.better]} (N={kind.n})"))
    values = [Cell(four_digits(source[name]) if name in source else MISSING) for name in kinds]
    rows = [Row(SOURCE, (Cell(MISSING), Cell(MISSING), *values), True)] if source else []
    most = frame["seeds"].max()
    for (method, kimg), own in frame.groupby(["method", "kimg"], sort=True):
        numbers = zip(*(own[column].tolist() for column in ("metric", "mean", "low", "high", "seeds")), strict=True)
        cells = {metric: _metric_cell(mean, low, high, seeds, most) for metric, mean, low, high, seeds in numbers}
        seconds = own["seconds"].mean()
        when = (Cell(f"{kimg:g}"), Cell(f"{seconds:,.1f}" if math.isfinite(seconds) else MISSING))
        rows.append(Row(str(method), (*when, *(cells.get(name, Cell(MISSING)) for name in kinds)), method=str(method)))
    band = ("Mean over seeds (smallest to largest); the band in the chart.",) if most > 1 else ("One seed.",)
    return Table(f"Metrics over training on {domain}", tuple(columns), tuple(rows), (), (*band, *notes))


def _metric_cell(mean: float, low: float, high: float, seeds: int, most: int) -> Cell:
    if most < 2:
        return Cell(four_digits(mean))
    if seeds < 2:
        return Cell(f"{four_digits(mean)} (n=1)")
    fewer = f", n={seeds}" if seeds < most else ""
    return Cell(f"{four_digits(mean)} ({four_digits(low)} to {four_digits(high)}{fewer})")


def four_digits(value: float) -> str:
    """At least four digits, a fixed number of them after the point for values of one size; exponents beyond 10^9."""
    if abs(value) > 1e9:
        return f"{value:.4g}"
    digits = 3 - math.floor(math.log10(abs(value))) if abs(value) > 1e-3 else 4
    return f"{value:,.{min(6, max(0, digits))}f}"
