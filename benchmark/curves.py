"""Training logs -> charts: each loss over the length of training. A log is as little trusted as a record."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
import seaborn as sns
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from benchmark.charts import tame
from benchmark.results import RunRecord
from benchmark.rows import lines

MAX_BYTES = 16 * 2**20  # a log has a line of some 300 bytes per interval
MAX_PANELS = 12
MAX_NAME = 200


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
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise ValueError("not a plain file")
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError("larger than any log")
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
    colours = dict(zip(names, sns.color_palette("colorblind", max(10, len(names))), strict=False))
    columns = min(3, len(losses))
    deep = -(-len(losses) // columns)
    with sns.axes_style("whitegrid"), matplotlib.rc_context({"font.size": 10}):
        figure = Figure(figsize=(3.1 * columns + 2.3, 2.3 * deep + 0.3), layout="constrained")
        FigureCanvasAgg(figure)
        panels = list(figure.subplots(deep, columns, squeeze=False).flat)
        for panel, loss in zip(panels, losses, strict=False):
            for (method, _), line in frame[frame["loss"] == loss].groupby(["method", "seed"], sort=True):
                few = "o" if len(line) < 3 else None
                panel.plot(line["kimg"], line["value"], color=colours[str(method)], linewidth=1.3, marker=few, ms=4)
            panel.set_title(tame(loss[:MAX_NAME], 34), fontsize=10)
            panel.set(xlabel="kimg")
            panel.xaxis.set_major_locator(MaxNLocator(5))
            panel.yaxis.set_major_locator(MaxNLocator(5))
        for panel in panels[len(losses) :]:
            panel.set_axis_off()
        trained = [name for name in names if name in set(frame["method"])]
        handles = [matplotlib.lines.Line2D([], [], color=colours[name]) for name in trained]
        figure.legend(
            handles, [tame(name[:MAX_NAME], 24) for name in trained], loc="outside right upper", frameon=False
        )
    return figure
