"""Tables as values that can be written in any format, and how many digits their numbers have."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from benchmark.results import RunRecord

ABSENT, MISSING, TIMES = "not available", "\N{EN DASH}", "\N{MULTIPLICATION SIGN}"
MANY_DOMAINS = 6
"""More domains than this are not shown one by one beside other columns."""
ARROWS = {"lower": "↓", "higher": "↑"}


@dataclass(frozen=True)
class Cell:
    """One cell: its text, whether it is marked, its footnotes' numbers (from 1), and the keys of the records behind."""

    text: str
    best: bool = False
    notes: tuple[int, ...] = ()
    keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class Column:
    """One column: its group (a domain, or nothing), its name, and what belongs in small print (unit, direction)."""

    group: str
    name: str
    detail: str = ""


@dataclass(frozen=True)
class Row:
    """One row: a method at one value of its control, and its footnotes; ``zero_step`` is the untouched source.

    ``method`` is the label without the control: what a reader filters by.
    """

    label: str
    cells: tuple[Cell, ...]
    zero_step: bool = False
    notes: tuple[int, ...] = ()
    method: str = ""


@dataclass(frozen=True)
class Table:
    """A table that can be written in any format. ``head`` is the title of the rows.

    ``legend``: (name of a column, what it is), said where that column is shown.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    footnotes: tuple[str, ...] = ()
    caption: tuple[str, ...] = ()
    head: str = "method"
    legend: tuple[tuple[str, str], ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """The caption with the legend of the columns that are there."""
        names = {c.name for c in self.columns}
        return (*self.caption[:1], *(text for name, text in self.legend if name in names), *self.caption[1:])


class Footnotes(list[str]):
    """Numbered from 1; the same text is the same note."""

    def mark(self, text: str) -> int:
        if text not in self:
            self.append(text)
        return self.index(text) + 1


def narrow(table: Table, most: int, kept: int | None = None) -> list[Table]:
    """The table in parts of at most ``most`` columns, the rows' titles among them; groups of columns stay whole.

    ``kept`` limits a group to its first columns where there are several groups. Columns without a group stand in the
    last part; the last of them is left out where it alone would need another part.
    """
    loose = [i for i, c in enumerate(table.columns) if not c.group]
    named = [
        (name, [i for i, _ in members])
        for name, members in groupby(((i, c) for i, c in enumerate(table.columns) if c.group), key=lambda p: p[1].group)
    ]
    if len(table.columns) < most:
        return [table]
    if not named:
        size = max(1, most - 1)
        return [select(table, loose[i : i + size]) for i in range(0, len(loose), size)]
    if len(named) > 1 and kept is not None:
        named = [(name, own[:kept]) for name, own in named]
    parts: list[list[int]] = [[]]
    for _, own in named:
        if parts[-1] and len(parts[-1]) + len(own) >= most:
            parts.append([])
        parts[-1] += own
    if len(parts[-1]) + len(loose) == most and kept is not None:
        loose = loose[:-1]
    if len(parts[-1]) + len(loose) >= most:
        parts.append([])
    parts[-1] += loose
    return [select(table, sorted(part)) for part in parts if part]


def select(table: Table, columns: Sequence[int]) -> Table:
    """The table with these columns only, and the footnotes that they and the rows still use."""
    rows = [replace(row, cells=tuple(row.cells[i] for i in columns)) for row in table.rows]
    used = sorted({n for row in rows for own in (row.notes, *(c.notes for c in row.cells)) for n in own})
    again = {n: i for i, n in enumerate(used, 1)}
    rows = [
        replace(
            row,
            notes=tuple(again[n] for n in row.notes),
            cells=tuple(replace(c, notes=tuple(again[n] for n in c.notes)) for c in row.cells),
        )
        for row in rows
    ]
    notes = tuple(table.footnotes[n - 1] for n in used)
    return replace(table, columns=tuple(table.columns[i] for i in columns), rows=tuple(rows), footnotes=notes)


def doctor_notes(records: Iterable[RunRecord], notes: Footnotes) -> tuple[int, ...]:
    """The footnotes of a row some of whose finished records were measured although the doctor's checks had failed."""
    done = [r for r in records if r.status == "done"]
    found = Counter("; ".join(r.doctor.failed) or "no check named" for r in done if r.doctor and not r.doctor.passed)
    return tuple(
        notes.mark(
            ("" if count == len(done) else f"{count} of {len(done)} records ")
            + f"measured although the doctor failed: {brief(line, 300)}"
        )
        for line, count in found.items()
    )


def brief(text: str | None, width: int = 120) -> str:
    """On one line, of at most ``width`` characters."""
    text = " ".join((text or "").split())
    return text if len(text) <= width else text[: width - 1] + "…"


def shortened(text: str, most: int) -> str:
    """``text`` in at most ``most`` letters, its middle left out: ``Feature m…(weight=0.2)``."""
    tail = (most - 1) // 2
    return text if len(text) <= most else text[: most - 1 - tail] + "…" + text[len(text) - tail :]


def why_absent(reason: str | None, width: int = 300) -> str:
    """Why there is no value, to stand behind ``ABSENT``: reasons of metrics begin with these words themselves."""
    return brief((reason or "").removeprefix(f"{ABSENT}: "), width)


def spread(values: Sequence[float]) -> float:
    """The sample standard deviation; 0 of one value."""
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1)) if len(values) > 1 else 0.0


def decimals(uncertainty: float, largest: float, finest: int = 6) -> int:
    """Digits after the point of a column: two significant ones of the uncertainty, else three of the largest value.

    ``finest`` caps them at the resolution of the metric, as of a share of 500 images.
    """
    if uncertainty > 0 and math.isfinite(uncertainty):
        digits = 1 - math.floor(math.log10(uncertainty) + 1e-9)
    else:
        digits = 2 - math.floor(math.log10(largest)) if 0 < largest < math.inf else 3
    return min(finest, max(0, digits))


def mean_text(values: Sequence[float], digits: int) -> str:
    """``mean ± sample standard deviation``, or the value alone."""
    if not any(values):
        return "0"
    mean = number(math.fsum(values) / len(values), digits)
    return mean if len(values) < 2 else f"{mean} ± {number(spread(values), digits)}"


def number(value: float, digits: int) -> str:
    """With so many digits after the point, zero without a sign, exponents beyond a thousand million."""
    if abs(value) > 1e9:
        return f"{value:.4g}"
    text = f"{value:,.{digits}f}"
    return text.removeprefix("-") if not text.strip("-0.,") else text


def sentence(text: str) -> str:
    """``text`` with a capital letter and a full stop."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
