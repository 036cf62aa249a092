"""The critical-difference diagram: average ranks of the methods, bars join those that may be equal.

Demšar, Statistical comparisons of classifiers over multiple data sets, JMLR 7 (2006), figure 1. Here each method has a
row, so that the diagram can be read on a narrow screen.
"""

from __future__ import annotations

from benchmark.report.cautions import cautions
from benchmark.report.figures.axes import Panel, Scale
from benchmark.report.figures.drawing import Drawing, cut, room_for, wrapped
from benchmark.report.figures.scatter import method_styles
from benchmark.report.group import Group, short_title
from benchmark.report.tables.ranking import Ranking, ranking

WIDTH, ROW, LEAST_ROOM = 366, 17, 132
BAR = 3.5


def rank_diagram(group: Group) -> Drawing | None:
    """The diagram of ``ranking``; None with one method or one complete block."""
    found = ranking(group)
    if found is None or len(found.test.ranks) < 2 or found.test.blocks < 2:
        return None
    test, count = found.test, len(found.test.ranks)
    bars = 8 * len(test.groups)
    words = [line for text in rank_caption(group, found) for line in wrapped(text, WIDTH, 9)]
    body = ROW * count + bars + (24 if test.difference else 0)
    drawing = Drawing(WIDTH, 60 + body + 13 * len(words) + 6, rank_words(group))
    room, across = room_for(test.ranks, LEAST_ROOM, 10), Scale(1 - 0.04 * count, count + 0.04 * count)
    panel = Panel(drawing, across, Scale(0, 1), room, 30, 34, drawing.height - 30 - body)
    drawing.text(8, 14, f"Average rank in {short_title(found.metric)}, 1 is best", 12, bold=True)
    foot = panel.top + body
    for rank in range(1, count + 1, max(1, count // 8)):
        x, _ = panel.at(rank, 0)
        drawing.line([(x, panel.top), (x, foot)], width=0.7, opacity=0.18)
        drawing.text(x, foot + 13, str(rank), 10, "middle")
    drawn = method_styles(group)
    for i, (name, mean) in enumerate(test.ranks.items()):
        x, y = panel.at(mean, 0)[0], panel.top + ROW * i + 9
        drawing.open(name)
        drawing.text(room - 6, y + 3.5, cut(name, room - 12, 10), 10, "end")
        drawing.marker(x, y, drawn[name], 4.4, title=f"{name}: mean rank {mean:.2f}")
        drawing.text(x + 8, y + 3.5, f"{mean:.2f}", 9)
        drawing.close()
    at = panel.top + ROW * count + 4
    for i, joined in enumerate(test.groups):
        ends = [panel.at(test.ranks[name], 0)[0] for name in (joined[0], joined[-1])]
        drawing.line([(ends[0] - 3, at + 8 * i), (ends[1] + 3, at + 8 * i)], width=BAR, opacity=0.7, role="bar")
    if test.difference is not None:
        y = at + bars + 6
        drawing.line([(panel.at(1, 0)[0], y), (panel.at(1 + test.difference, 0)[0], y)], width=1.2)
        drawing.text(panel.at(1, 0)[0], y + 11, f"critical difference {test.difference:.2f}", 9)
    for i, text in enumerate(words):
        drawing.text(8, foot + 28 + 13 * i, text, 9)
    return drawing


def rank_words(group: Group) -> str:
    """What the diagram says, in words; empty where there is none."""
    found = ranking(group)
    if found is None or len(found.test.ranks) < 2 or found.test.blocks < 2:
        return ""
    ranks = ", ".join(f"{name} {rank:.2f}" for name, rank in found.test.ranks.items())
    joined = "; ".join(f"{group[0]} to {group[-1]}" for group in found.test.groups)
    return f"Chart: average rank in {short_title(found.metric)}: {ranks}. Joined: {joined or 'nothing'}"


def rank_caption(group: Group, found: Ranking) -> tuple[str, ...]:
    """All that must be known to read the diagram."""
    test, domains = found.test, sorted({domain for domain, _ in found.blocks})
    better = group.better(found.metric)
    where = ", ".join(domains) if len(domains) <= 6 else f"{len(domains)} domains"
    said = [
        f"{found.metric} ({better} is better) within {test.blocks} blocks: a block is one seed on one domain "
        f"({where}). Blocks of the same domain share its images and are not independent data sets: the diagram is "
        "about these domains, not about domains in general."
    ]
    if test.reason:
        said.append(f"No bars, because no difference was tested: {test.reason}.")
    else:
        tested = f"Friedman p = {test.p_value:.3g}" if test.p_value is not None else ""
        said.append(f"Bars join methods that do not differ at {test.alpha:g} (Nemenyi; {tested}).")
    said += [f"{test.note}."] if test.note else []
    said += [f"Left out: {test.dropped} blocks in which a method has no value."] if test.dropped else []
    said += [f"Left out: {', '.join(found.empty)}, without a value that may be ranked."] if found.empty else []
    return (*said, *cautions(group.records))
