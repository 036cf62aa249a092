"""Records -> charts (seaborn): what methods cost, and fidelity against consistency."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from benchmark.metrics.base import DISTANCES
from benchmark.report.lines import control_text, device_of, lines, metric_of, scale
from benchmark.report.tables import TIMES
from benchmark.results import RunRecord
from benchmark.results.record import control_order


@dataclass(frozen=True)
class Style:
    """How a method is drawn."""

    colour: tuple[float, float, float]
    marker: str
    dash: Literal["solid", "dashed", "dotted"]


def styles(names: Iterable[str]) -> dict[str, Style]:
    """A style for each name. Markers differ as well as colours, for readers who tell few colours apart."""
    colours = [c for i, c in enumerate(sns.color_palette("colorblind")) if i != 8]  # yellow is lost on white paper
    markers = "osD^vPX"  # nine colours, seven markers: no pair twice in 63 names
    dashes: tuple[Literal["solid", "dashed", "dotted"], ...] = ("solid", "dashed", "dotted")
    found = {}
    for i, name in enumerate(names):
        dash = dashes[i // len(colours) % len(dashes)]
        found[name] = Style(colours[i % len(colours)], markers[i % len(markers)], dash)
    return found


def cost_bars(records: Sequence[RunRecord]) -> Figure | None:
    """Bars per method at its default control: s/kimg, training time, parameters; error bars: sample std over seeds."""
    frame = _cost_frame(records)
    if frame.empty:
        return None
    params = frame.melt(["method", "seed"], ["trainable", "shipped"], "parameters", "millions").dropna()
    methods = list(dict.fromkeys(frame["method"]))
    with sns.axes_style("whitegrid"), matplotlib.rc_context({"font.size": 10}):
        figure = Figure(figsize=(12, 1.9 + 0.42 * len(methods)), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(1, 3, sharey=True)
        bars: dict[str, Any] = {"y": "method", "order": methods, "errorbar": "sd", "capsize": 0.25}
        sns.barplot(frame, x="seconds_per_kimg", ax=axes[0], color=_colours()[0], err_kws={"linewidth": 1.4}, **bars)
        sns.barplot(frame, x="train_seconds", ax=axes[1], color=_colours()[0], err_kws={"linewidth": 1.4}, **bars)
        sns.barplot(
            params,
            x="millions",
            hue="parameters",
            ax=axes[2],
            palette=dict(zip(("trainable", "shipped"), _colours()[1:3], strict=True)),
            **bars | {"errorbar": None},
        )
        for axis, title in zip(axes, ("seconds per kimg", "training, seconds", "parameters, millions"), strict=True):
            axis.set(xlabel=title, ylabel="")
            axis.xaxis.set_major_locator(MaxNLocator(5))
        if axes[2].get_legend():
            sns.move_legend(axes[2], "lower left", bbox_to_anchor=(0, 1), ncol=2, title=None, frameon=False)
        devices = sorted({device_of(r) for r in records if r.status == "done"})
        figure.suptitle(tame(f"Cost on {'; '.join(devices)}"), x=0.01, ha="left", fontweight="bold")
        notes = ["† uses another method's checkpoint, no training of its own"] if any("†" in m for m in methods) else []
        notes += ["error bars: sample standard deviation over seeds"] if frame["seed"].nunique() > 1 else ["one seed"]
        figure.supxlabel("; ".join(notes), fontsize=9, x=0.01, ha="left")
    return figure


def fidelity_curves(records: Sequence[RunRecord]) -> Figure | None:
    """The first kernel distance against the first consistency, a panel per domain; lines join a method's controls."""
    kid, far = metric_of(records, "kid"), metric_of(records, *DISTANCES)
    frame = _curve_frame(records, far, kid) if kid and far else pd.DataFrame()
    if kid is None or far is None or frame.empty:
        return None
    domains = sorted(set(frame["domain"]))
    methods = [m for m in dict.fromkeys(frame["method"]) if m != ""]
    columns = min(3, len(domains))
    with sns.axes_style("whitegrid"), matplotlib.rc_context({"font.size": 10}):
        width = 4.4 * columns + 2.8
        height = max(4.0 * -(-len(domains) // columns), 0.3 * (len(methods) + 1)) + 0.8  # the legend needs its lines
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        panels = figure.subplots(-(-len(domains) // columns), columns, squeeze=False).flat
        for panel, domain in zip(panels, domains, strict=False):
            _panel(panel, frame[frame["domain"] == domain], methods)
            panel.set(title=tame(domain, 34), xlabel=f"{tame(far, 34)}\n(← nearer to the source)")
            panel.set_ylabel(f"{tame(kid, 34)}{f' {TIMES}10³' if scale(kid) > 1 else ''}\n(↓ better)")
        for panel in list(panels):
            panel.set_axis_off()
        handles = {tame(t, 24): h for p in figure.axes for h, t in zip(*p.get_legend_handles_labels(), strict=True)}
        for panel in figure.axes:
            if legend := panel.get_legend():
                legend.remove()
        figure.legend(handles.values(), handles.keys(), loc="outside right upper", frameon=False)
        how = "Large marker: default control; a line joins the values of a method's control, its ends are named. "
        whose = f"Means over seeds. Suite {records[0].suite}, source {records[0].source}."
        figure.supxlabel(tame(how + whose, int(13 * width)), fontsize=9, x=0.01, ha="left")
    return figure


def _panel(panel: Axes, frame: pd.DataFrame, methods: Sequence[str]) -> None:
    for method, style in styles(methods).items():
        own = frame[frame["method"] == method]
        if own.empty:
            continue
        points: dict[str, Any] = {"x": "far", "y": "kid", "ax": panel, "color": style.colour}
        sns.lineplot(own, sort=False, estimator=None, linewidth=1.3, linestyle=style.dash, **points)
        sns.scatterplot(own, s=22, marker=style.marker, legend=False, **points)
        default = own[own["default"]]
        sns.scatterplot(default, s=90, marker=style.marker, label=method, legend=False, **points)
        for _, end in own.iloc[[0, -1]].iterrows() if len(own) > 1 else ():
            note = panel.annotate(tame(end["control"]), (end["far"], end["kid"]), (0, 9), textcoords="offset points")
            note.set(
                fontsize=8,
                color=style.colour,
                ha="center",
                path_effects=[withStroke(linewidth=3, foreground="white")],
            )
    source = frame[frame["method"] == ""]
    if len(source):
        panel.scatter(
            source["far"], source["kid"], marker="*", s=170, color="black", label="source (zero-step)", zorder=5
        )
    panel.margins(0.12)
    spread(panel, frame["kid"].min(), frame["kid"].max())


def _curve_frame(records: Sequence[RunRecord], far: str, kid: str) -> pd.DataFrame:
    """One row per line and domain: mean over those seeds that have both numbers."""
    rows = []
    for line in sorted(lines(records), key=lambda x: (x.base, control_order(x.control))):
        for domain in sorted({r.domain for r in line.records}):
            pairs = [_pair(r, far, kid) for r in line.records if r.domain == domain and r.status == "done"]
            found = [p for p in pairs if p is not None]
            if found:
                x, y = (sum(values) / len(values) for values in zip(*found, strict=True))
                name = "" if line.zero_step else line.base
                text = control_text(line.control)
                rows.append(
                    {"domain": domain, "method": name, "far": x, "kid": y, "control": text, "default": line.is_default}
                )
    return pd.DataFrame(rows)


def _pair(record: RunRecord, far: str, kid: str) -> tuple[float, float] | None:
    x, y = (record.metrics[m].value if m in record.metrics else None for m in (far, kid))
    if x is None and record.zero_step:
        x = 0.0  # the source is at no distance from itself, measured or not
    return None if x is None or y is None else (x, y * scale(kid))


def _cost_frame(records: Sequence[RunRecord]) -> pd.DataFrame:
    """One row per method (with device, where there are several) and seed: the mean over its domains."""
    rows = []
    several = len({device_of(r) for r in records if r.status == "done"}) > 1
    for line in lines(records):
        for r in line.records if line.is_default and not line.zero_step else ():
            if r.status == "done":
                name = line.base + (f", {device_of(r)}" if several else "") + (" †" if r.timing.reused_training else "")
                t = r.timing
                row = {"method": tame(name, 28), "seed": r.seed, "seconds_per_kimg": t.seconds_per_kimg}
                millions = [None if n is None else n / 1e6 for n in (t.trainable_params, t.shipped_params)]
                rows.append(row | {"train_seconds": t.train_seconds, "trainable": millions[0], "shipped": millions[1]})
    frame = pd.DataFrame(rows)
    return frame if frame.empty else frame.groupby(["method", "seed"], sort=False, as_index=False).mean()


def spread(panel: Axes, low: float, high: float) -> None:
    """A log axis where values from ``low`` to ``high`` would be pressed together, as by a source that is far off."""
    if low > 0 and high > 5 * low:
        panel.set_yscale("log")
        panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.yaxis.set_major_formatter("{x:g}")
        panel.yaxis.set_minor_locator(NullLocator())


def tame(text: str, width: int = 120) -> str:
    """``text`` in lines of ``width``. A name is not a formula: matplotlib would read $...$ as one."""
    return textwrap.fill(text, width).replace("$", r"\$")


def _colours() -> list[tuple[float, float, float]]:
    return list(sns.color_palette("colorblind"))
