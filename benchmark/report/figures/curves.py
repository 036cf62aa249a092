"""Training curves: metrics (records) and losses (logs) as charts, metrics also as a table.

A log is as little trusted as a record.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from benchmark.metrics.catalogue import info_of
from benchmark.report.figures.charts import Style, spread, styles, tame
from benchmark.report.lines import device_of, lines, scale
from benchmark.report.tables import MISSING, TIMES, Cell, Column, Row, Table
from benchmark.results import MetricValue, RunRecord
from benchmark.system.folder import Folder

MAX_BYTES = 16 * 2**20  # a log has a line of some 300 bytes per interval
MAX_PANELS = 12
MAX_NAME = 200
MAX_POINTS = 100  # of a record; a run keeps some five or ten
SOURCE = "source (zero-step)"


@dataclass(frozen=True)
class MetricCurves:
    """The metrics of a domain over the training, drawn and in numbers."""

    domain: str
    figure: Figure
    table: Table


def metric_curves(records: Sequence[RunRecord]) -> list[MetricCurves]:
    """The curves of each domain that has any: methods at their default control, the mean over seeds and its band.

    A row of panels per metric, over kimg and over seconds of training; a horizontal line for the untouched source.
    Records belong to one suite and source.
    """
    found = []
    drawn = styles(sorted({line.base for line in lines(records) if not line.zero_step}))
    for domain in sorted({r.domain for r in records}):
        own = [r for r in records if r.domain == domain and r.status == "done"]
        frame = _points(own)
        if frame.empty:
            continue
        kinds = {name: m for r in own for p in r.curve for name, m in p.metrics.items() if m.value is not None}
        kinds = {name: kinds[name] for name in list(dict.fromkeys(frame["metric"]))[:MAX_PANELS]}
        source, notes = _source(own, kinds)
        devices = sorted({device_of(r) for r in own if r.curve and not r.zero_step})
        if len(devices) > 1:
            frame["seconds"] = math.nan
            notes.append(f"Trained on several devices ({'; '.join(devices)}): seconds are not compared.")
        if any(len(r.curve) > MAX_POINTS for r in own):
            notes.append(f"The first {MAX_POINTS} points of each training.")
        mean = _over_seeds(frame)
        figure = _metric_chart(mean, kinds, source, drawn, devices)
        band = "mean over seeds, band from the smallest to the largest" if mean["seeds"].max() > 1 else "one seed"
        figure.supxlabel(tame(f"{domain[:MAX_NAME]}: {band}.", 100), fontsize=9, x=0.01, ha="left")
        found.append(MetricCurves(domain, figure, _metric_table(domain, mean, kinds, source, notes)))
    return found


def _points(records: Sequence[RunRecord]) -> pd.DataFrame:
    """One row per method, seed, point and metric that has a value; what was measured last where a point is twice."""
    columns = ["method", "seed", "kimg", "seconds", "metric", "value"]
    rows = [
        (line.base, r.seed, point.kimg, point.seconds, name, m.value * scale(name))
        for line in lines(records)
        for r in line.records
        if line.is_default and not line.zero_step
        for point in r.curve[:MAX_POINTS]
        for name, m in point.metrics.items()
        if m.value is not None
    ]
    frame = pd.DataFrame(rows, columns=columns).astype({"kimg": float, "seconds": float, "value": float})
    return frame.drop_duplicates(["method", "seed", "kimg", "metric"], keep="last")


def _source(records: Sequence[RunRecord], kinds: dict[str, MetricValue]) -> tuple[dict[str, float], list[str]]:
    """{metric: the untouched source's mean over seeds}, and why a metric has none although it was measured."""
    values, notes = {}, []
    for name, kind in kinds.items():
        found = [m for r in records if r.zero_step and (m := r.metrics.get(name)) and m.value is not None]
        fit = [m.value for m in found if m.value is not None and (m.n == kind.n or info_of(name).any_count)]
        if fit:
            values[name] = scale(name) * sum(fit) / len(fit)
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


def _metric_chart(
    frame: pd.DataFrame,
    kinds: dict[str, MetricValue],
    source: dict[str, float],
    drawn: dict[str, Style],
    devices: Sequence[str],
) -> Figure:
    axes = [("kimg", "kimg")]
    axes += [("seconds", f"training, seconds\n({tame(devices[0], 34)})")] if frame["seconds"].notna().any() else []
    with sns.axes_style("whitegrid"), matplotlib.rc_context({"font.size": 10}):
        figure = Figure(figsize=(4.6 * len(axes) + 0.2, 2.4 * len(kinds) + 1.2), layout="constrained")
        FigureCanvasAgg(figure)
        panels = figure.subplots(len(kinds), len(axes), squeeze=False, sharex="col", sharey="row")
        for row, (name, kind) in zip(panels, kinds.items(), strict=True):
            own = frame[frame["metric"] == name]
            for panel, (x, _) in zip(row, axes, strict=True):
                _metric_panel(panel, own.dropna(subset=[x]), x, drawn, source.get(name))
            what = f" {TIMES}10³" if scale(name) > 1 else ""
            what += f" ({'↑' if kind.better == 'higher' else '↓'} better)"
            row[0].set_title(tame(name[:MAX_NAME] + what, 44), loc="left", fontsize=10)
        for panel, (_, title) in zip(panels[-1], axes, strict=True):
            panel.set(xlabel=title, xlim=(0, None))
            panel.xaxis.set_major_locator(MaxNLocator(5))
        handles = {t: h for p in figure.axes for h, t in zip(*p.get_legend_handles_labels(), strict=True)}
        named = sorted(handles, key=lambda t: (t == SOURCE, t))
        texts = [tame(t[:MAX_NAME], 24) for t in named]
        columns = 2 * len(axes) if len(named) > 2 else len(named)  # on top: a phone shows a chart's left part first
        figure.legend([handles[t] for t in named], texts, loc="outside upper left", ncols=columns, frameon=False)
    return figure


def _metric_panel(panel: Axes, frame: pd.DataFrame, x: str, drawn: dict[str, Style], source: float | None) -> None:
    for method, line in frame.groupby("method", sort=True):
        style, line = drawn[str(method)], line.sort_values(x)
        more: dict[str, Any] = {"color": style.colour, "linestyle": style.dash, "marker": style.marker}
        panel.plot(line[x], line["mean"], linewidth=1.4, ms=4.5, label=str(method), **more)
        if line["seeds"].max() > 1:
            panel.fill_between(line[x], line["low"], line["high"], color=style.colour, alpha=0.15, linewidth=0)
    low, high = min(frame["low"], default=0.0), max(frame["high"], default=0.0)
    panel.yaxis.set_major_locator(MaxNLocator(5))
    if source is None:
        spread(panel, low, high)
        return
    panel.axhline(source, color="black", linewidth=1.2, linestyle=(0, (5, 3)), label=SOURCE)
    if source > low / 5:  # a source near zero, as in consistency, would stretch a log axis
        spread(panel, min(low, source), max(high, source))


def _metric_table(
    domain: str, frame: pd.DataFrame, kinds: dict[str, MetricValue], source: dict[str, float], notes: Sequence[str]
) -> Table:
    columns = [Column("", "kimg"), Column("", "seconds")]
    for name, kind in kinds.items():
        times, arrow = f"{TIMES}10³ " if scale(name) > 1 else "", "↑" if kind.better == "higher" else "↓"
        columns.append(Column("", name, f"{times}{arrow} (N={kind.n})"))
    values = [Cell(four_digits(source[name]) if name in source else MISSING) for name in kinds]
    rows = [Row(SOURCE, (Cell(MISSING), Cell(MISSING), *values), True)] if source else []
    most = frame["seeds"].max()
    for (method, kimg), own in frame.groupby(["method", "kimg"], sort=True):
        numbers = zip(*(own[column].tolist() for column in ("metric", "mean", "low", "high", "seeds")), strict=True)
        cells = {metric: _metric_cell(mean, low, high, seeds, most) for metric, mean, low, high, seeds in numbers}
        seconds = own["seconds"].mean()
        when = (Cell(f"{kimg:g}"), Cell(f"{seconds:,.1f}" if math.isfinite(seconds) else MISSING))
        rows.append(Row(str(method), (*when, *(cells.get(name, Cell(MISSING)) for name in kinds))))
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


def training_curves(records: Sequence[RunRecord], logs: Path) -> tuple[list[tuple[str, Figure]], list[str]]:
    """(domain, chart) for each domain that has logs in the folder ``logs``, and one line for each unusable log.

    A panel per loss, a colour per method that was trained, a line per seed; x: thousands of real images shown.
    """
    charts, problems, rows = [], [], []
    names = sorted({line.base for line in lines(records) if not line.zero_step})
    for (domain, seed, key), method in _owners(records).items():
        try:
            rows += [
                {"domain": domain, "seed": seed, "method": method} | row for row in read_log(logs / f"{key}.jsonl")
            ]
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            problems.append(f"logs/{key}.jsonl: {' '.join(str(error).split())}; not drawn")
    frame = pd.DataFrame(rows, columns=["domain", "seed", "method", "kimg", "loss", "value"])
    for domain in sorted(set(frame["domain"])):
        own = frame[frame["domain"] == domain]
        losses = list(dict.fromkeys(own["loss"]))
        if len(losses) > MAX_PANELS:
            problems.append(f"training on {domain}: {len(losses)} losses are logged, the first {MAX_PANELS} are drawn")
        charts.append((domain, _chart(own, losses[:MAX_PANELS], names)))
    return charts, problems


def read_log(path: Path) -> list[dict[str, Any]]:
    """Rows of kimg, loss and value; ValueError or OSError when the file is not a training log.

    Where a training began again after an interruption, the later points replace those that they repeat.
    """
    data = Folder(path.parents[1]).read(f"{path.parent.name}/{path.name}", MAX_BYTES)
    ticks: list[tuple[float, dict[str, float]]] = []
    for number, text in enumerate(data.decode().splitlines(), 1):
        try:
            tick = json.loads(text)
            images, losses = tick["images"], {str(k): float(v) for k, v in tick["losses"].items() if v is not None}
            kimg = float(images) / 1000
            if not math.isfinite(kimg) or isinstance(images, (str, bool)):
                raise ValueError("images is not a number")
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
            raise ValueError(f"line {number} is not an interval of a training log ({error})") from None
        while ticks and ticks[-1][0] >= kimg:
            ticks.pop()
        ticks.append((kimg, losses))
    finite = ((kimg, k, v) for kimg, losses in ticks for k, v in losses.items() if math.isfinite(v))
    return [{"kimg": kimg, "loss": name, "value": value} for kimg, name, value in finite]


def _owners(records: Sequence[RunRecord]) -> dict[tuple[str, int, str], str]:
    """(domain, seed, train_key) -> the method that was trained, rather than one that uses its checkpoint."""
    found: dict[tuple[str, int, str], str] = {}
    own = [(line, r) for line in lines(records) for r in line.records if not r.zero_step]
    for line, r in sorted(own, key=lambda pair: pair[1].timing.reused_training):
        found.setdefault((r.domain, r.seed, r.train_key), line.base)
    return found


def _chart(frame: pd.DataFrame, losses: Sequence[str], names: Sequence[str]) -> Figure:
    drawn = styles(names)
    columns = min(3, len(losses))
    deep = -(-len(losses) // columns)
    with sns.axes_style("whitegrid"), matplotlib.rc_context({"font.size": 10}):
        figure = Figure(figsize=(3.1 * columns + 2.3, 2.3 * deep + 0.3), layout="constrained")
        FigureCanvasAgg(figure)
        panels = list(figure.subplots(deep, columns, squeeze=False).flat)
        for panel, loss in zip(panels, losses, strict=False):
            for (method, _), line in frame[frame["loss"] == loss].groupby(["method", "seed"], sort=True):
                style, few = drawn[str(method)], len(line) < 3
                marker, dash = (style.marker if few else None), style.dash
                panel.plot(line["kimg"], line["value"], color=style.colour, lw=1.3, marker=marker, ms=4, linestyle=dash)
            panel.set_title(tame(loss[:MAX_NAME], 34), fontsize=10)
            panel.set(xlabel="kimg")
            panel.xaxis.set_major_locator(MaxNLocator(5))
            panel.yaxis.set_major_locator(MaxNLocator(5))
        for panel in panels[len(losses) :]:
            panel.set_axis_off()
        trained = [name for name in names if name in set(frame["method"])]
        handles = [
            matplotlib.lines.Line2D([], [], color=drawn[name].colour, linestyle=drawn[name].dash) for name in trained
        ]
        figure.legend(
            handles, [tame(name[:MAX_NAME], 24) for name in trained], loc="outside right upper", frameon=False
        )
    return figure
