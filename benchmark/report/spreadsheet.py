"""CSV that spreadsheets show and do not calculate.

A program that opens a table of comma-separated values takes a text that begins with =, +, - or @ for a formula, and a
formula can start programs or send the content of other cells. Such a text gets an apostrophe in front.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from io import StringIO

FORMULA = re.compile("[\\s'\"]*[=+\\-@\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH HYPHEN-MINUS}"
                     "\N{FULLWIDTH COMMERCIAL AT}]|[\t\r\n]")  # fmt: skip
_PLAIN = r"[+-]?\d[\d,.]*(e[+-]?\d+)?"
NUMBER = re.compile(rf"{_PLAIN}( %)?( (±|to) {_PLAIN})?( \(n=\d+\))?", re.ASCII)
"""Also as the tables say it: with spread or upper end, and number of seeds."""


def shown(value: object) -> object:
    """A value as it may stand in a cell; numbers, and texts of one number, stay as they are."""
    if not isinstance(value, str):
        return value
    text = re.sub("\r\n?", "\n", value)  # a bare return ends a row, also within quotes
    return f"'{text}" if FORMULA.match(text) and not NUMBER.fullmatch(text) else text


def csv_text(rows: Iterable[Iterable[object]]) -> str:
    """Rows, the header first, as CSV."""
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows([map(shown, row) for row in rows])
    return text.getvalue()
