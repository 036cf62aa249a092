"""Rows of bars and of ranges: what methods cost, and how they differ from the plain one."""

from __future__ import annotations

from benchmark.report.figures.axes import Panel, scale_of
from benchmark.report.figures.drawing import Drawing, cut, room_for, width_of
from benchmark.report.figures.scatter import method_styles
from benchmark.report.group import Group, short_title
from benchmark.report.lines import device_of
from benchmark.report.tables.differences import comparisons, p_text, reach, reach_words, reference
from benchmark.report.tables.ranking import ordered
from benchmark.report.tables.table import spread

WIDTH, ROW, SIZE = 366, 18, 10
LEAST_ROOM = 146
"""For the names of methods, px."""
FAR = 1.5
"""Where runs of one method are further apart than this, times, the chart says so."""
COSTS = {
    "seconds_per_kimg": "seconds per kimg",
    "train_seconds": "training, seconds",
    "shipped_params": "stored, M parameters",
}


def cost_bars(group: Group) -> list[Drawing]:
    """A panel of bars per cost at the default controls: mean over runs, a line of one standard deviation."""
    devices = _devices(group)
    alone = f"{devices[0]} only" if len(devices) > 1 else "; ".join(devices)
    every = {field: _costs(group, field) for field in COSTS}
    return [
        _bars(group, words, alone if field != "shipped_params" else "", every[field])
        for field, words in COSTS.items()
        if every[field]
    ]


def cost_words(group: Group) -> str:
    """What the bars are, and how far the runs of one method are apart, where that is far."""
    own = [values for values, _ in _costs(group, "seconds_per_kimg").values()]
    most = max((max(values) / min(values) for values in own if min(values) > 0), default=1.0)
    words = "Bar: mean over runs; line: one standard deviation either way. " if any(len(v) > 1 for v in own) else ""
    if most >= FAR:
        words += (
            f"Runs of one method differ by up to {most:.1f} times in seconds per kimg; "
            "smaller differences between methods mean nothing. "
        )
    return f"{words}† uses another method's training."


def _devices(group: Group) -> list[str]:
    return sorted({device_of(r) for line in group.shown for r in line.records if r.status == "done"})


def _costs(group: Group, field: str) -> dict[str, tuple[list[float], str]]:
    """{method: its runs' costs on the first device, and the mark of a training that is another's}."""
    devices = _devices(group)
    factor = 1e-6 if field.endswith("params") else 1.0
    values = {}
    for line in ordered(group):
        done = [r for r in line.records if r.status == "done" and device_of(r) == devices[0]]
        own = [factor * float(v) for r in done if (v := getattr(r.timing, field)) is not None]
        if own:
            mark = " †" if field != "shipped_params" and any(r.timing.reused_training for r in done) else ""
            values[line.base] = (own, mark)
    return values


def _bars(group: Group, words: str, device: str, values: dict[str, tuple[list[float], str]]) -> Drawing:
    drawing = Drawing(WIDTH, 24 + ROW * len(values) + 38, f"Chart: {words}, the numbers of the cost table")
    means = {name: sum(own) / len(own) for name, (own, _) in values.items()}
    top = max(means[name] + spread(own) for name, (own, _) in values.items())
    room = room_for((name + mark for name, (_, mark) in values.items()), LEAST_ROOM, SIZE)
    panel = Panel(drawing, scale_of([0, top], zero=True, margin=0.14), scale_of([0, 1]), room, 24, 10)
    _rows_frame(panel, words, device)
    drawn = method_styles(group)
    for i, (name, (own, mark)) in enumerate(values.items()):
        y, left, right = panel.top + ROW * i + ROW / 2, panel.left, panel.at(means[name], 0)[0]
        drawing.open(name)
        drawing.text(room - 6, y + 3.5, cut(name + mark, room - 12, SIZE), SIZE, "end")
        drawing.area([(left, y - 5), (right, y - 5), (right, y + 5), (left, y + 5)], drawn[name].colour, 0.8)
        ends = [panel.at(means[name] + side * spread(own), 0)[0] for side in (-1, 1)]
        if len(own) > 1:
            drawing.line([(ends[0], y), (ends[1], y)], width=1.2)
        drawing.text(max(right, ends[1]) + 4, y + 3.5, f"{means[name]:.3g}", 9)
        drawing.close()
    return drawing


def difference_ranges(group: Group, domain: str) -> Drawing | None:
    """A row per method: its mean paired difference from the reference, and the interval or range; None without any."""
    every = comparisons(group)
    tests = {label: t for (label, d), t in every.items() if d == domain}
    other = reference(group, domain)
    if not tests or other is None or group.fidelity is None:
        return None
    shown = [line for line in ordered(group) if line.label in tests]
    reaches = {line.label: reach(group, domain, line) for line in shown}
    ends = [v for label, t in tests.items() for v in (t.difference, *(reaches[label] or ()))]
    drawing = Drawing(
        WIDTH, 24 + ROW * len(shown) + 38, f"Chart: differences from {other.base} on {domain}, in the table"
    )
    room = room_for((line.base for line in shown), LEAST_ROOM, SIZE)
    panel = Panel(drawing, scale_of([0.0, *ends]), scale_of([0, 1]), room, 24, 10)
    name = short_title(group.fidelity)
    lines = f"; line: {reach_words(every, domain)}" if any(reaches.values()) else ""
    _rows_frame(panel, domain, f"{name} minus that of {other.base}{lines}")
    zero = panel.at(0, 0)[0]
    drawing.line([(zero, panel.top), (zero, panel.top + panel.height)], width=1.2, opacity=0.7)
    drawn = method_styles(group)
    for i, line in enumerate(shown):
        test, y = tests[line.label], panel.top + ROW * i + ROW / 2
        drawing.open(line.base)
        drawing.text(room - 6, y + 3.5, cut(line.base, room - 12, SIZE), SIZE, "end")
        if wide := reaches[line.label]:
            drawing.line([(panel.at(v, 0)[0], y) for v in wide], drawn[line.base].colour, 2)
        p = f", p = {p_text(test.p_value)}" if test.p_value is not None else ""
        drawing.marker(
            panel.at(test.difference, 0)[0], y, drawn[line.base], 4, title=f"{line.base}: {test.difference:+.3g}{p}"
        )
        drawing.close()
    return drawing


def _rows_frame(panel: Panel, title: str, below: str) -> None:
    on, foot = panel.on, panel.top + panel.height
    for value in panel.x.ticks(4):
        x, _ = panel.at(value, 0)
        on.line([(x, panel.top), (x, foot)], width=0.7, opacity=0.18)
        on.text(x, foot + 13, f"{value:.4g}" if abs(value) > 1e-9 else "0", 10, "middle")
    on.text(8, panel.top - 9, cut(title, 340, 12), 12, bold=True)
    below = cut(below, WIDTH - 16, 10.5)
    middle = min(panel.left + panel.width / 2, WIDTH - 8 - width_of(below, 10.5) / 2)
    on.text(middle, foot + 29, below, 10.5, "middle")
