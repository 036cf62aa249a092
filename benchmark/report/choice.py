"""A table on request: some metrics, domains and methods of a results folder, in one format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Literal, get_args

from rich.console import Console

from benchmark.errors import DataError, UnknownName
from benchmark.metrics.catalogue import info_of
from benchmark.report.group import Group, group_of
from benchmark.report.lines import groups, metric_names, tidy
from benchmark.report.page import html_tables
from benchmark.report.render import latex_tables, markdown_tables
from benchmark.report.spreadsheet import csv_text
from benchmark.report.tables.headline import headline
from benchmark.report.tables.metrics import metric_table
from benchmark.report.tables.table import Table
from benchmark.report.terminal import rich_table
from benchmark.report.write import read
from benchmark.results import RunRecord
from benchmark.results.reals import read_reals

Format = Literal["text", "md", "tex", "csv", "html"]
FORMATS: tuple[Format, ...] = get_args(Format)
ALONE = "Ranks, marks and tests are among these rows alone; methods of the folder that were left out by choice: {}."


@dataclass(frozen=True)
class Choice:
    """What is asked for; nothing means all of it. Without metrics the table is the headline."""

    metrics: Sequence[str] = ()
    domains: Sequence[str] = ()
    methods: Sequence[str] = ()


def chosen(results: Path, choice: Choice, format: Format = "text", width: int = 100) -> str:
    """The tables of a results folder as text in ``format``.

    A metric is named whole or by its kind (``kid``, ``consistency``), a method by its registered name or its label.
    Raises UnknownName for what the folder does not have, DataError for a folder without records.
    """
    records, _ = read(results)
    domains = _known("domain", choice.domains, sorted({r.domain for r in records}))
    methods = _known("method", choice.methods, _names(records))
    kept = [r for r in records if (not domains or r.domain in domains) and (not methods or _is_one(r, methods))]
    metrics = _metrics(kept, choice.metrics)
    if format == "csv":
        frame = tidy(kept)
        frame = frame[frame["metric"].isin(metrics)] if metrics else frame
        return csv_text([frame.columns, *frame.itertuples(index=False)])
    reals = read_reals(results)
    tables = [table for group in groups(kept) for table in _tables(group_of(group, reals), metrics)]
    left = len(_methods(records) - _methods(kept))
    tables = [replace(table, caption=(*table.caption, ALONE.format(left))) for table in tables] if left else tables
    if not tables:
        raise DataError(f"none of {', '.join(metrics)} has a value in {results}: the records say why (tables.csv)")
    return _written(tables, format, width)


def _tables(group: Group, metrics: Sequence[str]) -> list[Table]:
    if not metrics:
        return [headline(group)]
    found = [table for name in metrics if (table := metric_table(group, name)) is not None]
    return [replace(table, title=f"{table.title}, {group.records[0].suite} suite") for table in found]


def _written(tables: Sequence[Table], format: Format, width: int) -> str:
    if format == "text":
        console = Console(width=width, file=StringIO(), color_system=None)
        for table in tables:
            console.print(rich_table(table))
        return str(console.file.getvalue())  # type: ignore[attr-defined]
    writers: dict[str, Callable[[], str]] = {
        "md": lambda: markdown_tables("Results", tables, ()),
        "tex": lambda: latex_tables(tables),
        "html": lambda: html_tables("Results", tables),
    }
    return writers[format]()


def _methods(records: Sequence[RunRecord]) -> set[str]:
    """The rows' names, without the source."""
    return {r.method_label or r.method for r in records if not r.zero_step}


def _names(records: Sequence[RunRecord]) -> list[str]:
    adapted = [r for r in records if not r.zero_step]
    return sorted({name for r in adapted for name in (r.method, r.method_label) if name})


def _is_one(record: RunRecord, methods: Sequence[str]) -> bool:
    return record.zero_step or record.method in methods or record.method_label in methods


def _known(what: str, asked: Sequence[str], there: Sequence[str]) -> list[str]:
    for name in asked:
        if name not in there:
            raise UnknownName(what, name, there)
    return list(asked)


def _metrics(records: Sequence[RunRecord], asked: Sequence[str]) -> list[str]:
    there = metric_names(records)
    found: list[str] = []
    for word in asked:
        own = [name for name in there if name == word] or [name for name in there if info_of(name).kind == word]
        if not own:
            raise UnknownName("metric", word, [*there, *dict.fromkeys(info_of(name).kind for name in there)])
        found += own
    return list(dict.fromkeys(found))
