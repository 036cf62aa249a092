"""Losses over the training, from its logs. A log is untrusted input, as a record is."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd

from benchmark.report.figures.axes import Panel, scale_of
from benchmark.report.figures.drawing import Drawing
from benchmark.report.figures.scatter import method_styles
from benchmark.report.group import Group
from benchmark.system.folder import Folder

MAX_BYTES = 16 * 2**20  # a log has a line of some 300 bytes per interval
MAX_PANELS = 12
MAX_NAME = 200
MAX_LINES = 300  # of a panel: more trainings than this are drawn in part
WIDTH, HEIGHT = 366, 190


def training_curves(group: Group, logs: Path) -> tuple[list[tuple[str, list[Drawing]]], list[str]]:
    """(domain, panels) for each domain that has logs in the folder ``logs``, and one line for each unusable log.

    A panel per loss, a colour per method that was trained, a line per seed; x: thousands of real images shown.
    """
    charts, problems, rows = [], [], []
    for (domain, seed, key), method in _owners(group).items():
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
        charts.append((domain, [_panel(group, domain, loss, own) for loss in losses[:MAX_PANELS]]))
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


def _owners(group: Group) -> dict[tuple[str, int, str], str]:
    """(domain, seed, train_key) -> the method that was trained, rather than one that uses its checkpoint."""
    found: dict[tuple[str, int, str], str] = {}
    own = [(line, r) for line in group.lines for r in line.records if not r.zero_step]
    for line, r in sorted(own, key=lambda pair: pair[1].timing.reused_training):
        found.setdefault((r.domain, r.seed, r.train_key), line.base)
    return found


def _panel(group: Group, domain: str, loss: str, frame: pd.DataFrame) -> Drawing:
    drawn, name = method_styles(group), loss[:MAX_NAME]
    own = frame[frame["loss"] == loss]
    drawing = Drawing(WIDTH, HEIGHT, f"Chart: loss {name} in training on {domain}")
    panel = Panel(drawing, scale_of(own["kimg"], zero=True, margin=0.03), scale_of(own["value"]))
    panel.frame(f"{name}, {domain}", "kimg", "")
    for number, ((method, seed), line) in enumerate(own.groupby(["method", "seed"], sort=True)):
        if number >= MAX_LINES:
            break
        style = drawn[str(method)]
        places = [panel.at(x, y) for x, y in zip(line["kimg"].tolist(), line["value"].tolist(), strict=True)]
        drawing.open(str(method))
        drawing.line(places, style.colour, 1.2, style.dash, 0.85)
        if len(places) < 3:
            for place in places:
                drawing.marker(*place, style, 2.6, title=f"{method}, seed {seed}")
        drawing.close()
    return drawing
