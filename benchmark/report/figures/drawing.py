"""A surface for charts: SVG text that a page shows as it is and that resvg turns into a PNG.

Ink is ``currentColor``, so that a page's light or dark setting holds; nothing has an id, so that drawings can stand
side by side, and the same drawing always has the same bytes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from markupsafe import Markup, escape

from benchmark.report.tables.table import shortened

FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufdd0-\ufdef\ufffe\uffff]|[\ud800-\udfff]")
"""What HTML and XML do not allow in a text."""
COLOURS = ("#1845fb", "#ff5e02", "#c91f16", "#c849a9", "#adad7d", "#86c8dd", "#578dff", "#656364")
"""Told apart by readers of all colour visions: matplotlib's ``petroff8`` (Petroff, arXiv:2107.02270, 2021)."""
INK, PAPER = "#262626", "#ffffff"
DASHES = ("", "6 3", "2 3")
KEY_ROW = 15
"""Height of a row of `key`, px."""
EDGED = 4
"""Marks of this size and above have an edge, so that light colours are seen on white."""
_PLUS: tuple[tuple[float, float], ...] = (
    (-0.4, -1.3),
    (0.4, -1.3),
    (0.4, -0.4),
    (1.3, -0.4),
    (1.3, 0.4),
    (0.4, 0.4),
    (0.4, 1.3),
    (-0.4, 1.3),
)
_PLUS += ((-0.4, 0.4), (-1.3, 0.4), (-1.3, -0.4), (-0.4, -0.4))
_MARKERS: tuple[tuple[tuple[float, float], ...], ...] = (
    ((-1, -1), (1, -1), (1, 1), (-1, 1)),
    ((0, -1.3), (1.25, 1), (-1.25, 1)),
    _PLUS,
    tuple((1.3 * math.sin(math.tau * i / 5), -1.3 * math.cos(math.tau * i / 5)) for i in range(5)),
    ((0, 1.3), (1.25, -1), (-1.25, -1)),
    ((0, -1.35), (1.35, 0), (0, 1.35), (-1.35, 0)),
    ((-1.3, 0), (1, -1.25), (1, 1.25)),
    ((1.3, 0), (-1, -1.25), (-1, 1.25)),
)
MATPLOTLIB = ("o", "s", "^", "P", "p", "v", "D", "<", ">")
"""Matplotlib's names of the circle and of these marks."""
STAR = tuple(
    (r * math.sin(math.tau * i / 10), -r * math.cos(math.tau * i / 10))
    for i in range(10)
    for r in [1.6 if i % 2 == 0 else 0.7]
)


MOST_ROOM = 212
"""For names beside the rows of a chart, px: longer ones are cut."""


@dataclass(frozen=True)
class Style:
    """How a method is drawn; ``marker`` 0 is a circle."""

    colour: str
    marker: int
    dash: str = ""


def styles(names: Iterable[str]) -> dict[str, Style]:
    """A style for each name: no colour and mark together twice in 72 names; dashes differ where colours repeat.

    Both lists are walked at once; as 8 and 9 have no common factor, a pair returns after 72 names.
    """
    return {
        name: Style(COLOURS[i % len(COLOURS)], i % len(MATPLOTLIB), DASHES[i // len(COLOURS) % len(DASHES)])
        for i, name in enumerate(dict.fromkeys(names))
    }


@dataclass
class Drawing:
    """A chart of ``width`` x ``height`` px, made of SVG elements; ``alt`` says in words what it shows."""

    width: float
    height: float
    alt: str = ""
    parts: list[str] = field(default_factory=list)

    def line(
        self,
        points: Sequence[tuple[float, float]],
        colour: str = "currentColor",
        width: float = 1,
        dash: str = "",
        opacity: float = 1,
        role: str = "",
    ) -> None:
        """An open line through the points."""
        more = (f' stroke-dasharray="{dash}"' if dash else "") + (f' opacity="{opacity:g}"' if opacity < 1 else "")
        more += f' class="{role}"' if role else ""
        self.parts.append(
            f'<polyline points="{_points(points)}" fill="none" stroke="{colour}" stroke-width="{width:g}"{more}/>'
        )

    def area(self, points: Sequence[tuple[float, float]], colour: str, opacity: float = 1) -> None:
        """A filled shape without an edge."""
        self.parts.append(f'<polygon points="{_points(points)}" fill="{colour}" opacity="{opacity:g}"/>')

    def marker(self, x: float, y: float, style: Style, size: float = 4, opacity: float = 1, title: str = "") -> None:
        """A method's mark, with words that appear under the pointer; a large one has a thin edge of ink."""
        shape = (
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{1.1 * size:.1f}"'
            if style.marker == 0
            else f'<polygon points="{_points((x + size * a, y + size * b) for a, b in _MARKERS[style.marker - 1])}"'
        )
        more = f' opacity="{opacity:g}"' if opacity < 1 else ""
        more += ' stroke="currentColor" stroke-width="0.6"' if size >= EDGED else ""
        self.parts.append(
            f'{shape} fill="{style.colour}"{more}>{_title(title)}{"</circle>" if style.marker == 0 else "</polygon>"}'
        )

    def star(self, x: float, y: float, size: float = 6, title: str = "") -> None:
        """The untouched source's mark."""
        self.parts.append(
            f'<polygon points="{_points((x + size * a, y + size * b) for a, b in STAR)}" fill="currentColor">'
            f"{_title(title)}</polygon>"
        )

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: float = 11,
        anchor: str = "start",
        colour: str = "currentColor",
        turned: bool = False,
        bold: bool = False,
    ) -> None:
        """A line of text; ``turned`` reads from below."""
        more = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turned else ""
        more += ' font-weight="bold"' if bold else ""
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" text-anchor="{anchor}" fill="{colour}"{more}>'
            f"{clean(text)}</text>"
        )

    def open(self, method: str) -> None:
        """What follows belongs to a method: a reader can hide it or have it stand out."""
        self.parts.append(f'<g data-method="{clean(method)}">')

    def close(self) -> None:
        self.parts.append("</g>")

    def put(self, other: Drawing, x: float, y: float) -> None:
        """Another drawing at a place."""
        self.parts.append(f'<g transform="translate({x:.1f} {y:.1f})">{"".join(other.parts)}</g>')

    def svg(self) -> Markup:
        """The drawing as an element of an HTML page."""
        size = f'viewBox="0 0 {self.width:g} {self.height:g}" width="{self.width:g}" height="{self.height:g}"'
        return Markup(
            f'<svg {size} role="img" aria-label="{clean(self.alt[:300])}" font-family="DejaVu Sans">{self._all()}</svg>'
        )

    def png(self) -> bytes:
        """The same drawing on white paper, twice as large."""
        from resvg_py import svg_to_bytes

        size = f'width="{self.width:g}" height="{self.height:g}"'
        start = f'<svg xmlns="http://www.w3.org/2000/svg" {size} color="{INK}" font-family="DejaVu Sans">'
        text = f"{start}{self._all()}</svg>"
        return svg_to_bytes(
            svg_string=text, background=PAPER, zoom=2, skip_system_fonts=True, font_files=[str(font_file())]
        )

    def _all(self) -> str:
        return "".join(self.parts)


def beside(drawings: Sequence[Drawing], columns: int, alt: str = "", below: str = "") -> Drawing:
    """Drawings in rows of ``columns``, and a line of small text below them."""
    rows = [drawings[i : i + columns] for i in range(0, len(drawings), columns)]
    heights = [max(d.height for d in row) for row in rows]
    lines = wrapped(below, sum(d.width for d in max(rows, key=len)), 10) if below else []
    whole = Drawing(
        max(sum(d.width for d in row) for row in rows), sum(heights) + 14 * len(lines) + (8 if lines else 0), alt
    )
    y = 0.0
    for row, height in zip(rows, heights, strict=True):
        x = 0.0
        for d in row:
            whole.put(d, x, y)
            x += d.width
        y += height
    for i, text in enumerate(lines):
        whole.text(8, y + 10 + 14 * i, text, 10)
    return whole


def key(drawn: Mapping[str, Style], width: float, columns: int) -> Drawing:
    """The marks of methods and their names, in rows of ``columns``."""
    whole = Drawing(width, KEY_ROW * -(-len(drawn) // columns) + 6)
    for i, (name, style) in enumerate(drawn.items()):
        x, y = 14 + (i % columns) * width / columns, KEY_ROW * (i // columns) + 8
        whole.open(name)
        whole.marker(x, y, style, 4)
        whole.text(x + 10, y + 4, cut(name, width / columns - 30, 10), 10)
        whole.close()
    return whole


def font_file() -> Path:
    """DejaVu Sans comes with matplotlib: pictures look alike everywhere. matplotlib itself is not imported."""
    spec = find_spec("matplotlib")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"


def clean(text: str) -> str:
    """``text`` for an attribute or element, without what HTML and XML forbid."""
    return str(escape(FORBIDDEN.sub("", " ".join(text.split()))))


def width_of(text: str, size: float) -> float:
    """About as wide as ``text`` is in DejaVu Sans, a wide face."""
    return 0.6 * size * len(text)


def cut(text: str, room: float, size: float) -> str:
    """``text`` in at most ``room`` px; both ends are kept, as names of variants differ in their last letters."""
    return shortened(text, max(2, int(room / (0.6 * size))))


def room_for(names: Iterable[str], least: float, size: float) -> float:
    """Px beside the rows of a chart: what the longest name needs, from `least` to MOST_ROOM."""
    return min(max(least, *(width_of(name, size) + 12 for name in names)), MOST_ROOM)


def wrapped(text: str, room: float, size: float) -> list[str]:
    """``text`` in lines of at most ``room`` px."""
    lines = [""]
    for word in text.split():
        joined = f"{lines[-1]} {word}".strip()
        lines = (
            [*lines[:-1], joined]
            if width_of(joined, size) <= room or not lines[-1]
            else [*lines, cut(word, room, size)]
        )
    return lines


def _points(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _title(text: str) -> str:
    return f"<title>{clean(text)}</title>" if text else ""
