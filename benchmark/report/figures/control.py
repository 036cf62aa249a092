"""A method's control on a domain: fidelity and preservation at each of its values, with room for a moving marker."""

from __future__ import annotations

from dataclasses import dataclass

from benchmark.report.figures.axes import Panel, Scale, scale_of
from benchmark.report.figures.drawing import Drawing, cut
from benchmark.report.figures.scatter import method_styles
from benchmark.report.group import Group, short_title
from benchmark.report.lines import Line, control_text
from benchmark.report.tables.table import ARROWS, spread

WIDTH, HEIGHT = 366, 130


@dataclass(frozen=True)
class ControlChart:
    """The chart, and where in it (px from the left) each value of the control stands, in the order of the control."""

    drawing: Drawing
    stops: tuple[float, ...]


def control_chart(group: Group, base: str, domain: str) -> ControlChart | None:
    """Two panels above each other, the values evenly spaced; None where fewer than two values were measured."""
    own = [x for x in group.by_base.get(base, []) if group.values(x, domain, group.fidelity)]
    names = [n for n in dict.fromkeys((group.fidelity, group.preservation(domain))) if n is not None]
    if len(own) < 2 or not names:
        return None
    whole = Drawing(
        WIDTH, HEIGHT * len(names) + 26, f"Chart: {base} on {domain} over its control, in the table of its values"
    )
    stops: tuple[float, ...] = ()
    for i, name in enumerate(names):
        part, stops = _part(group, own, domain, name, i == len(names) - 1)
        whole.put(part, 0, HEIGHT * i)
    marker = [(stops[0], 24.0), (stops[0], HEIGHT * len(names) - 4.0)]
    whole.line(marker, "currentColor", 1.6, "4 3", role="now")
    return ControlChart(whole, stops)


def _part(group: Group, own: list[Line], domain: str, name: str, last: bool) -> tuple[Drawing, tuple[float, ...]]:
    values = [[*group.values(x, domain, name).values()] for x in own]
    ends = [m for v in values if v for s in (sum(v) / len(v),) for m in (s - spread(v), s + spread(v))]
    sources = [*group.values(group.source, domain, name).values()] if group.source else []
    if sources:
        ends.append(sum(sources) / len(sources))
    drawing = Drawing(WIDTH, HEIGHT + 26)
    panel = Panel(drawing, Scale(-0.25, len(own) - 0.75), scale_of(ends), bottom=36, top=22)
    panel.frame(f"{short_title(name)} {ARROWS[group.better(name)]}", "", "", ticks_below=False)
    stops = tuple(panel.at(i, 0)[0] for i in range(len(own)))
    style = method_styles(group)[own[0].base]
    known = [(i, v) for i, v in enumerate(values) if v]
    drawing.line([panel.at(i, sum(v) / len(v)) for i, v in known], style.colour, 1.4)
    for i, v in known:
        mean, wide = sum(v) / len(v), spread(v)
        if wide:
            drawing.line([panel.at(i, mean - wide), panel.at(i, mean + wide)], style.colour, 1.2)
        for seed in v if len(v) > 1 else []:
            drawing.marker(*panel.at(i, seed), style, 1.6, 0.5)
        drawing.marker(*panel.at(i, mean), style, 3.4, title=f"{control_text(own[i].control)}: {mean:.4g}")
    if sources:
        y = sum(sources) / len(sources)
        drawing.line([panel.at(panel.x.low, y), panel.at(panel.x.high, y)], dash="5 3", opacity=0.6)
    if last:
        for i, line in enumerate(own):
            drawing.text(stops[i], panel.top + panel.height + 13, cut(control_text(line.control), 60, 10), 10, "middle")
        control = (own[0].records[0].control_name or "control").replace("_", " ")
        drawing.text(
            panel.left + panel.width / 2, panel.top + panel.height + 28, cut(control, 300, 10.5), 10.5, "middle"
        )
    return drawing, stops
