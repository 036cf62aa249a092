"""Tables for the terminal: the headline in at most 80 columns, others with rich."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from itertools import groupby

import rich.table
from rich.console import Group, RenderableType
from rich.text import Text

from benchmark.report.section import Section
from benchmark.report.tables.table import Cell, Column, Row, Table, brief, narrow, select, shortened

WIDTH = 80
LABEL, LONG_LABEL, NAME = 24, 40, 20
SHORTER = {"to source": "dist", "to source, averaged": "distance", "share of the way": "share", "unevenness": "uneven"}
"""Titles that need fewer letters in a terminal; the legend says both."""


def summary(section: Section, width: int = WIDTH) -> str:
    """The sentences, the headline table, the controls and their legends, in lines of at most ``width``."""
    said = [line for text in section.sentences for line in textwrap.wrap(text, width)]
    head = textwrap.wrap(section.title, width)
    controls = (
        ["", section.smoothness.title, *_shown(section.smoothness, width, 3, LONG_LABEL)] if section.smoothness else []
    )
    return "\n".join([*head, *said, "", *_shown(section.headline, width, 2), *controls])


def _shown(table: Table, width: int, each: int, most: int = LABEL) -> list[str]:
    """A table with its legend, in parts that fit: ``each`` columns of a domain, labels of ``most`` letters at most."""
    parts, spread, label = next(
        (found for label in dict.fromkeys((most, LABEL)) if (found := _parts(table, width, each, label))),
        (narrow(table, 2), False, LABEL),
    )
    tables = [line for part in parts for line in [*_lines(part, spread, label), *_notes(part, width), ""]]
    words = dict.fromkeys(_both_names(text) for part in parts for text in part.words)
    return [*tables, *(line for text in words for line in textwrap.wrap(text, width))]


def _both_names(text: str) -> str:
    """A line of the legend that begins with the title which the table shows, where that is shorter."""
    name = re.split(r":| \(", text)[0]
    return f"{SHORTER[name]} = {text}" if name in SHORTER else text


def _parts(table: Table, width: int, each: int, label: int) -> tuple[list[Table], bool, int] | None:
    """The table in parts that fit: ``each`` columns of each domain, then those of none; and whether ± has room."""
    counts: dict[str, int] = {}
    kept = []
    for i, column in enumerate(table.columns):
        counts[column.group] = counts.get(column.group, 0) + 1
        if counts[column.group] <= max(each, 2):
            kept.append(i)
    small = select(table, kept)
    for most in range(len(kept) + 2, 2, -1):
        parts = narrow(small, most)
        for spread in (True, False):
            if all(max(map(len, _lines(part, spread, label))) <= width for part in parts):
                return parts, spread, label
    return None


def _notes(table: Table, width: int) -> list[str]:
    notes = enumerate(table.footnotes, 1)
    return [line for i, text in notes for line in textwrap.wrap(f"[{i}] {brief(text, 300)}", width)]


def _lines(table: Table, spread: bool, label: int) -> list[str]:
    texts = [[_short(cell, spread and _is_first(table, i)) for i, cell in enumerate(row.cells)] for row in table.rows]
    heads = [f"{SHORTER.get(c.name, c.name)} {c.detail}".strip() if c.group else c.name for c in table.columns]
    widths = [max([len(h), *(len(row[i]) for row in texts)]) for i, h in enumerate(heads)]
    for name, places in groupby(range(len(heads)), key=lambda i: table.columns[i].group):
        at = [*places]
        widths[at[0]] += max(0, min(len(name), NAME) - sum(widths[i] + 2 for i in at) + 2)
    labels = [_label(row, label) for row in table.rows]
    left = max([*map(len, labels), len(table.head)])
    found = []
    if any(c.group for c in table.columns):
        line = " " * left
        for name, members in groupby(enumerate(table.columns), key=lambda p: p[1].group):
            wide = [widths[i] for i, _ in members]
            room = sum(wide) + 2 * len(wide)
            line += "  " + (brief(name, room - 2) if name else "").center(room - 2)
        found.append(line.rstrip())
    found.append(table.head.ljust(left) + "".join(f"  {h:>{w}}" for h, w in zip(heads, widths, strict=True)))
    rule = "─" * len(found[-1])
    found.append(rule)
    for row, name, shown in zip(table.rows, labels, texts, strict=True):
        found.append(name.ljust(left) + "".join(f"  {t:>{w}}" for t, w in zip(shown, widths, strict=True)))
        found += [rule] if row.zero_step else []
    return found


def _is_first(table: Table, column: int) -> bool:
    """Whether a column is the first of its domain: fidelity."""
    return column == 0 or table.columns[column].group != table.columns[column - 1].group


def _label(row: Row, most: int) -> str:
    """The method without its control where there is no room for it."""
    text = row.label if len(row.label) <= most or not row.method else row.method
    return shortened(text, most) + _marks(row)


def _short(cell: Cell, whole: bool) -> str:
    mean, sign, rest = cell.text.partition(" ± ")
    star = "*" if cell.best else ""
    return star + (f"{mean} ±{rest}" if sign and whole else mean) + _marks(cell)


def _marks(noted: Cell | Row) -> str:
    return f" [{','.join(str(n) for n in noted.notes)}]" if noted.notes else ""


def rich_table(table: Table) -> Group:
    """For the terminal: narrow, so one table per group of columns; the footnotes follow."""
    parts: list[RenderableType] = [Text(table.title, style="bold")]
    for group, members in groupby(enumerate(table.columns), key=lambda pair: pair[1].group):
        columns = list(members)
        shown = rich.table.Table(title=Text(group) if group else None, title_justify="left")
        shown.add_column(table.head, overflow="fold")
        for _, c in columns:
            shown.add_column(Text("\n".join(_head(c))), justify="right", overflow="fold")
        for row in table.rows:
            cells = [row.cells[i] for i, _ in columns]
            shown.add_row(
                Text(row.label + _marks(row)),
                *(Text(c.text + _marks(c), style="bold" if c.best else "") for c in cells),
            )
        parts.append(shown)
    parts += [Text(line) for line in table.words]
    parts += [Text(f"[{i}] {line}") for i, line in enumerate(table.footnotes, 1)]
    return Group(*parts)


def _head(column: Column, width: int = 12) -> Sequence[str]:
    """A column's name in lines that a narrow column can hold, broken after underscores."""
    wrapped = textwrap.wrap(column.name.replace("_", "_ "), width)
    return [*(line.replace("_ ", "_") for line in wrapped), *filter(None, [column.detail])]
