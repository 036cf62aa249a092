"""Fidelity against preservation: every seed a point, the mean with its spread, the line of the control."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from benchmark.report.figures.axes import Panel, scale_of
from benchmark.report.figures.drawing import KEY_ROW, Drawing, Style, cut, key, styles, width_of
from benchmark.report.group import Group, row_label, short_title
from benchmark.report.lines import Line, control_text
from benchmark.report.statistics.trade_off import Point
from benchmark.report.tables.ranking import ordered
from benchmark.report.tables.table import ARROWS, number, spread
from benchmark.report.tables.trade_off import course_metric, training_path
from benchmark.results.record import control_order

WIDTH, HEIGHT, SIZE = 366, 296, 11
SHIFTS, ASIDE = tuple(12.5 * i for i in range(-6, 7)), (9, 26, 50, 80)
"""How far a name may be moved up or down, and how far beside its mean it may begin, px."""
MARK, CROWDED = 11, 40
"""The room of a mark before a name, and how near another mean is where a name has one, px."""
CUT = 150
"""The width to which a name is cut that finds no place as a whole, px."""
NAMED = 12
"""More methods than this are named in a legend and not beside their points."""


@dataclass(frozen=True)
class Box:
    """What a name or a mark covers, px."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Box) -> bool:
        """Whether the two lie on each other."""
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom

    def away(self, x: float, y: float) -> float:
        """How far its nearer end is from a point; up and down count more, as they lead to other points' names."""
        return abs((self.top + self.bottom) / 2 - y) + 0.4 * min(abs(self.left - x), abs(self.right - x))

    def inside(self, other: Box) -> bool:
        """Whether all of it lies in the other."""
        across = other.left <= self.left and self.right <= other.right
        return across and other.top <= self.top and self.bottom <= other.bottom


@dataclass(frozen=True)
class Place:
    """A method at one value of its control on a domain: the points of its seeds, by seed."""

    line: Line
    seeds: dict[int, Point]

    @property
    def mean(self) -> Point:
        points = [*self.seeds.values()]
        return sum(x for x, _ in points) / len(points), sum(y for _, y in points) / len(points)


def method_styles(group: Group) -> dict[str, Style]:
    """Styles by name of method, in the order of names: the same in every chart of a report."""
    return styles(sorted({line.base for line in group.lines if not line.zero_step}))


def scatter(group: Group, domain: str) -> Drawing | None:
    """The chart of a domain; None where fidelity or preservation was not measured."""
    far, fidelity = group.preservation(domain), group.fidelity
    places = _places(group, domain)
    if far is None or fidelity is None or not any(not p.line.zero_step for p in places):
        return None
    xs = [x for p in places for x, _ in p.seeds.values()]
    ys = [y for p in places for _, y in p.seeds.values()]
    methods = [*dict.fromkeys(line.base for line in (*ordered(group), *group.without_default))]
    legend = methods if len(methods) > NAMED else []
    drawing = Drawing(WIDTH, HEIGHT + KEY_ROW * -(-len(legend) // 2))
    panel = Panel(drawing, scale_of(xs, margin=0.1), scale_of(ys, log=True), bottom=38 + drawing.height - HEIGHT)
    x_title = f"{short_title(far)} {ARROWS[group.better(far)]}"
    panel.frame(domain, x_title, f"{short_title(fidelity)} {ARROWS[group.better(fidelity)]}")
    drawn, by_base = method_styles(group), defaultdict[str, list[Place]](list)
    for p in sorted(places, key=lambda p: control_order(p.line.control)):
        by_base[p.line.base].append(p)
    for base in methods:
        drawing.open(base)
        own = by_base[base]
        if len(own) > 1:
            drawing.line([panel.at(*p.mean) for p in own], drawn[base].colour, 1.1, opacity=0.7)
            for p in own:
                drawing.marker(*panel.at(*p.mean), drawn[base], 1.8, title=_words(p, panel, domain))
        for p in own:
            if p.line.is_default:
                _default(panel, p, drawn[base], domain)
        drawing.close()
    if group.plain is not None and course_metric(group, domain) == far:
        for path in training_path(group, group.plain, domain).values():
            drawing.line([panel.at(*q) for q in path], drawn[group.plain.base].colour, 0.8, "2 3", 0.5)
    source = [p for p in places if p.line.zero_step]
    for p in source:
        drawing.star(*panel.at(*p.mean), title=f"source, untouched, on {domain}: {_numbers(p)}")
    if legend:
        drawing.put(key({name: drawn[name] for name in legend}, drawing.width, 2), 0, HEIGHT - 4)
    else:
        _names(panel, [p for p in places if p.line.is_default or p.line.zero_step], drawn)
    drawing.alt = (
        f"Chart: {short_title(fidelity)} against {x_title.rstrip('↓↑ ')} on {domain}, the numbers of the headline table"
    )
    return drawing


def _places(group: Group, domain: str) -> list[Place]:
    found = []
    far, fidelity = group.preservation(domain), group.fidelity
    for line in group.lines:
        x, y = group.values(line, domain, far), group.values(line, domain, fidelity)
        if line.zero_step and not x:
            x = dict.fromkeys(y, 0.0)  # the source is at no distance from itself, measured or not
        if shared := {seed: (x[seed], y[seed]) for seed in sorted(x.keys() & y.keys())}:
            found.append(Place(line, shared))
    return found


def _default(panel: Panel, place: Place, style: Style, domain: str) -> None:
    """The points of the seeds, the mean, and bars of one standard deviation either way."""
    on, (x, y) = panel.on, place.mean
    if len(place.seeds) > 1:
        for seed, point in place.seeds.items():
            said = f"{row_label(place.line)} on {domain}, seed {seed}: {point[1]:.3g}, {point[0]:.3g}"
            on.marker(*panel.at(*point), style, 2.4, 0.55, said)
        dx, dy = (spread([p[i] for p in place.seeds.values()]) for i in (0, 1))
        on.line([panel.at(x - dx, y), panel.at(x + dx, y)], style.colour, 1.3)
        on.line([panel.at(x, y - dy), panel.at(x, y + dy)], style.colour, 1.3)
    on.marker(*panel.at(x, y), style, 4.6, title=_words(place, panel, domain))


def _words(place: Place, panel: Panel, domain: str) -> str:
    value = f" at {control_text(place.line.control)}" if place.line.control is not None else ""
    return f"{place.line.base}{value} on {domain}: {_numbers(place)}"


def _numbers(place: Place) -> str:
    x, y = place.mean
    seeds = f" (mean of {len(place.seeds)} seeds)" if len(place.seeds) > 1 else ""
    return f"{number(y, 3)}, {number(x, 3)}{seeds}"


def _names(panel: Panel, places: list[Place], drawn: dict[str, Style]) -> None:
    """Names beside the means, moved apart where they would lie on each other or on a mean, as many as there is room
    for, cut where there is too little; a thin line leads from a name that was moved to its mean."""
    means = {p.line.label: panel.at(*p.mean) for p in places}
    taken = [Box(x - 6, y - 6, x + 6, y + 6) for x, y in means.values()]
    frame = Box(panel.left, panel.top - 4, panel.on.width, panel.top + panel.height)
    for p in sorted(places, key=lambda p: means[p.line.label][1]):
        x, y = means[p.line.label]
        name = "source" if p.line.zero_step else p.line.base
        style = drawn.get(p.line.base) if any(0 < math.dist((x, y), q) < CROWDED for q in means.values()) else None
        for text in dict.fromkeys((name, cut(name, CUT, SIZE))):
            width = width_of(text, SIZE - 0.5) + (MARK if style else 0)
            boxes = sorted(_boxes(x, y, width), key=lambda box: box.away(x, y))
            found = next((box for box in boxes if box.inside(frame) and not any(map(box.meets, taken))), None)
            if found is not None:
                taken.append(found)
                panel.on.open(p.line.base)
                _name(panel.on, (x, y), found, text, style)
                panel.on.close()
                break


def _name(on: Drawing, mean: tuple[float, float], box: Box, text: str, style: Style | None) -> None:
    """A name, with its method's mark where a style is given, and a line to the mean where it was moved."""
    x, y = mean
    near, middle = (box.left - 1 if box.left > x else box.right + 1), box.top + 6
    if abs(middle - y) > 8 or abs(near - x) > 12:
        on.line([(x, y), (near, middle)], width=0.7, opacity=0.5)
    if style:
        on.marker(box.left + 4, middle, style, 3)
    on.text(box.left + (MARK if style else 0), box.top + 10, text, SIZE)


def _boxes(x: float, y: float, width: float) -> Iterator[Box]:
    """Where a name of this width may stand beside a mean."""
    for dy in SHIFTS:
        for aside in ASIDE:
            yield Box(x + aside, y + dy - 6, x + aside + width, y + dy + 6)
            yield Box(x - aside - width, y + dy - 6, x - aside, y + dy + 6)
