"""Axes of a chart: round ticks, linear or logarithmic scales, a frame with words."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from benchmark.report.figures.drawing import Drawing, cut

LEFT, RIGHT, TOP, BOTTOM = 50, 10, 24, 38


@dataclass(frozen=True)
class Scale:
    """Values from ``low`` to ``high``."""

    low: float
    high: float
    log: bool = False

    def share(self, value: float) -> float:
        """0 at the low end, 1 at the high end; values beyond stand at the end."""
        low, high, at = self.low, self.high, value
        if self.log:
            low, high, at = math.log10(low), math.log10(high), math.log10(max(value, self.low))
        return min(1.0, max(0.0, (at - low) / (high - low))) if high > low else 0.5

    def ticks(self, count: int = 5) -> list[float]:
        """Round values inside."""
        if self.log:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            found = [m * 10.0**p for p in powers for m in (1, 2, 5)]
            inside = [v for v in found if self.low <= v <= self.high]
            return (
                inside
                if len(inside) <= 2 * count
                else [v for v in inside if math.isclose(math.log10(v) % 1, 0, abs_tol=1e-9)]
            )
        step = _round_step((self.high - self.low) / count) if self.high > self.low else 1.0
        first = math.ceil(self.low / step - 1e-9)
        return [step * i for i in range(first, math.floor(self.high / step + 1e-9) + 1)]


def scale_of(values: Iterable[float], log: bool = False, zero: bool = False, margin: float = 0.08) -> Scale:
    """A scale that holds the values with a margin. ``zero`` begins it at 0; ``log`` only where that helps."""
    known = [v for v in values if math.isfinite(v) and abs(v) < 1e15]
    low, high = min(known, default=0.0), max(known, default=1.0)
    if log and low > 0 and high > 5 * low:
        return Scale(low / 1.15, high * 1.15, True)
    low = min(0.0, low) if zero else low
    room = (high - low) * margin or abs(high) * 0.1 or 1.0
    return Scale(low if zero and low == 0 else low - room, high + room)


def _round_step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)


def label(value: float) -> str:
    """A tick's text."""
    return f"{value:.4g}" if abs(value) >= 1e-9 else "0"


@dataclass(frozen=True)
class Panel:
    """A frame on a drawing with its two scales; y grows upwards."""

    on: Drawing
    x: Scale
    y: Scale
    left: float = LEFT
    top: float = TOP
    right: float = RIGHT
    bottom: float = BOTTOM

    @property
    def width(self) -> float:
        return self.on.width - self.left - self.right

    @property
    def height(self) -> float:
        return self.on.height - self.top - self.bottom

    def at(self, x: float, y: float) -> tuple[float, float]:
        """The place of a point in px."""
        return self.left + self.width * self.x.share(x), self.top + self.height * (1 - self.y.share(y))

    def frame(self, title: str, below: str, beside: str, ticks_below: bool = True) -> None:
        """Grid, ticks and words."""
        on, foot = self.on, self.top + self.height
        for value in self.y.ticks():
            _, y = self.at(self.x.low, value)
            on.line([(self.left, y), (self.left + self.width, y)], width=0.7, opacity=0.18)
            on.text(self.left - 5, y + 3.5, label(value), 11, "end")
        for value in self.x.ticks() if ticks_below else []:
            x, _ = self.at(value, self.y.low)
            on.line([(x, self.top), (x, foot)], width=0.7, opacity=0.18)
            on.text(x, foot + 13, label(value), 11, "middle")
        on.line([(self.left, self.top), (self.left, foot), (self.left + self.width, foot)], width=1, opacity=0.6)
        on.text(self.left, self.top - 9, cut(title, self.width + self.right, 13), 13, bold=True)
        on.text(self.left + self.width / 2, foot + 29, cut(below, self.width + self.left, 11), 11, "middle")
        if beside:
            on.text(11, self.top + self.height / 2, cut(beside, self.height + 40, 11), 11, "middle", turned=True)
