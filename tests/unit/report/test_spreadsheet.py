"""Cells that spreadsheets show: no text of a record is calculated, and numbers stay numbers."""

from __future__ import annotations

import csv
import io

import pytest

from benchmark.report.spreadsheet import csv_text, shown


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1+1", "-1+1", "@SUM(1)", "=HYPERLINK(0)", "-2+3+cmd|' /C calc'!A0", "+", "-", "-x", " =1", "\t=1",
     '"=1', "'=1", "\N{FULLWIDTH EQUALS SIGN}1", "-1 to =2", "-1.5 ± 0.2 (n=3) +1", "\u00a0=1"],
)  # fmt: skip
def test_what_may_be_a_formula_is_text(text: str) -> None:
    (row,) = csv.reader(io.StringIO(csv_text([[text, "x"]]), newline=""))
    assert row[0] == f"'{text}"


@pytest.mark.parametrize(
    "value",
    ["-0.31", "+0.12", "-1.5e-07", "-1,234.5", "+0.31 ± 0.02", "-0.31 ± 0.02 (n=2)", "-15.3 to +236.6", "-4 %", "a=b",
     "FixNoise (noise=1, default)", "2026-11-28", "a@b", "", -1.5, 3, None, True],
)  # fmt: skip
def test_numbers_and_other_texts_stay_as_they_are(value: object) -> None:
    assert shown(value) == value


def test_a_text_of_several_lines_stays_one_cell() -> None:
    """Otherwise its second line would begin a row, and a formula in it a cell."""
    (row,) = csv.reader(io.StringIO(csv_text([["a\r=1+1", "b\n=1", "\r\n=1"]]), newline=""))
    assert row == ["a\n=1+1", "b\n=1", "'\n=1"]
