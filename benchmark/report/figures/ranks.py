"""Records -> the critical-difference diagram: average ranks of the methods, bars join those that may be equal.

Demšar, Statistical comparisons of classifiers over multiple data sets, JMLR 7 (2006), figure 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmark.report.cautions import cautions
from benchmark.report.figures.charts import tame
from benchmark.report.lines import fair_value, lines, primary_metric
from benchmark.report.statistics import Better, CriticalDifference, critical_difference
from benchmark.report.tables import brief
from benchmark.results import RunRecord

INK, BAR = "#262626", 4.0


@dataclass(frozen=True)
class Ranking:
    """Methods ranked in ``metric`` within each (domain, seed); ``caption`` says all that must be known to read it."""

    metric: str
    test: CriticalDifference
    caption: tuple[str, ...]


def ranking(records: Sequence[RunRecord]) -> Ranking | None:
    """Methods at their default controls, ranked in the primary metric; None with one method or one complete block.

    Records belong to one suite and source. A method without any value is left out, and named in the caption.
    """
    metric = primary_metric(records)
    shown = [line for line in lines(records) if line.is_default and not line.zero_step]
    if metric is None:
        return None
    blocks = sorted({(r.domain, r.seed) for line in shown for r in line.records})
    values = {}
    for line in shown:
        own = {(r.domain, r.seed): v for r in line.records if (v := fair_value(r, metric)) is not None}
        values[line.base] = [own.get(block, math.nan) for block in blocks]
    empty = [name for name, v in values.items() if all(map(math.isnan, v))]
    ranked = {name: v for name, v in values.items() if name not in empty}
    better: Better = next(r.metrics[metric].better for r in records if metric in r.metrics)
    test = critical_difference(ranked, better)
    if len(ranked) < 2 or test.blocks < 2:
        return None
    whole = [block for i, block in enumerate(blocks) if not any(math.isnan(v[i]) for v in ranked.values())]
    return Ranking(metric, test, (*_caption(metric, better, test, whole, empty), *cautions(records)))


def critical_difference_figure(records: Sequence[RunRecord]) -> Figure | None:
    """The diagram of ``ranking``; None where there is no ranking."""
    found = ranking(records)
    if found is None:
        return None
    count = len(found.test.ranks)
    depth = 0.4 + 0.3 * len(found.test.groups) + 0.75 * -(-count // 2)
    with sns.axes_style("white"), matplotlib.rc_context({"font.size": 10}):
        figure = Figure(figsize=(10, 1.9 + 0.36 * depth), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        axes.set_axis_off()
        axes.set(xlim=(1 - 0.5 * (count - 1), count + 0.5 * (count - 1)), ylim=(-depth, 2.2))
        _scale(axes, found.test)
        _names(axes, found.test)
        title = f"Average rank in {found.metric}, 1 is best"
        figure.suptitle(tame(title, 100), x=0.01, ha="left", fontweight="bold")
        figure.supxlabel(tame(" ".join(found.caption), 135), fontsize=9, x=0.01, ha="left")
    return figure


def rank_words(records: Sequence[RunRecord]) -> str:
    """What the diagram says, in words; empty where there is none."""
    found = ranking(records)
    if found is None:
        return ""
    ranks = ", ".join(f"{name} {rank:.2f}" for name, rank in found.test.ranks.items())
    joined = "; ".join(f"{group[0]} to {group[-1]}" for group in found.test.groups)
    return f"Chart: average rank in {found.metric}: {ranks}. Joined: {joined or 'nothing'}"


def _scale(axes: Axes, test: CriticalDifference) -> None:
    """The axis of ranks, above it the critical difference as a length, below it the bars."""
    count = len(test.ranks)
    axes.plot((1, count), (0, 0), color=INK, linewidth=1.2)
    for rank in range(1, count + 1):
        axes.plot((rank, rank), (0, 0.18), color=INK, linewidth=1.2)
        axes.text(rank, 0.28, str(rank), ha="center", va="bottom", color=INK)
    if test.difference is not None:
        end = 1 + test.difference
        axes.errorbar((1 + end) / 2, 1.35, xerr=test.difference / 2, color=INK, capsize=4, linewidth=1.2)
        axes.text((1 + end) / 2, 1.5, f"critical difference {test.difference:.2f}", ha="center", color=INK, fontsize=9)
    for i, group in enumerate(test.groups):
        y, ends = -0.35 - 0.3 * i, [test.ranks[name] for name in (group[0], group[-1])]
        slack = 0.012 * (count - 1)  # so that a bar of equal ranks can be seen
        colour = sns.color_palette("colorblind")[0]
        axes.plot((ends[0] - slack, ends[1] + slack), (y, y), color=colour, linewidth=BAR, solid_capstyle="butt")


def _names(axes: Axes, test: CriticalDifference) -> None:
    """A name for each rank: the better half at the left, the others at the right, lines without crossings."""
    count, top = len(test.ranks), -0.35 - 0.3 * len(test.groups)
    half = -(-count // 2)
    for i, (name, rank) in enumerate(test.ranks.items()):
        left = i < half
        y = top - 0.4 - 0.75 * (i if left else count - 1 - i)
        edge = 1 - 0.03 * (count - 1) if left else count + 0.03 * (count - 1)
        axes.plot((rank, rank, edge), (0, y, y), color=INK, linewidth=0.9)
        shown = tame(brief(name, 26))
        text = f"{shown}  {rank:.2f} " if left else f" {rank:.2f}  {shown}"
        axes.text(edge, y, text, ha="right" if left else "left", va="center", color=INK)


def _caption(
    metric: str, better: Better, test: CriticalDifference, blocks: Sequence[tuple[str, int]], empty: Sequence[str]
) -> tuple[str, ...]:
    domains = sorted({domain for domain, _ in blocks})
    said = [
        f"Ranks in {metric} ({better} is better) within {test.blocks} blocks: a block is one seed on one domain "
        f"({', '.join(domains)}). Blocks of the same domain share its images and are not independent data sets: "
        "the diagram is about these domains, not about domains in general."
    ]
    if test.reason:
        said.append(f"No bars, because no difference was tested: {test.reason}.")
    else:
        tested = f"Friedman p = {test.p_value:.3g}" if test.p_value is not None else ""
        said.append(f"Bars join methods that do not differ at {test.alpha:g} (Nemenyi; {tested}).")
    said += [f"{test.note}."] if test.note else []
    said += [f"Left out: {test.dropped} blocks in which a method has no value."] if test.dropped else []
    said += [f"Left out: {', '.join(empty)}, without a value that may be ranked."] if empty else []
    return tuple(said)
