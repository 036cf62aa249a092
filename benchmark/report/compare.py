"""Comparison of two folders of records, number by number. Never imports torch.

Numbers are subtracted only where everything behind them is the same; elsewhere the differences are named.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import ConfigError, DataError, UnknownName
from benchmark.report.cautions import cautions
from benchmark.report.lines import COSTS, groups, lines, machine, metric_names
from benchmark.report.matching import Entry, entries_of
from benchmark.report.render import markdown_tables
from benchmark.report.spreadsheet import csv_text
from benchmark.report.statistics.paired import exactly, few_seeds, smallest_p
from benchmark.report.tables.differences import interval_text, p_text
from benchmark.report.tables.table import ARROWS, MISSING, Cell, Column, Footnotes, Row, Table, decimals, sentence
from benchmark.results import ResultStore, RunRecord
from benchmark.results.store import sort_key
from benchmark.system.files import write_atomic


@dataclass(frozen=True)
class Comparison:
    """What two folders have in common and what not: numbers, tables of those compared, and lines about the rest."""

    title: str
    entries: tuple[Entry, ...]
    tables: tuple[Table, ...]
    lines: tuple[str, ...]


def compare(a: Path, b: Path, metrics: Collection[str] | None = None) -> Comparison:
    """Compare the records of the folders ``a`` and ``b``; ``metrics`` limits it to these metrics or costs.

    Raises DataError (a folder without records), ConfigError (records within a folder that were not measured alike)
    and UnknownName (a metric that neither has).
    """
    read_a, read_b = _read(a), _read(b)
    both = sorted([*read_a[0], *read_b[0]], key=sort_key)
    known = [*metric_names(both), *COSTS]
    for name in metrics or ():
        if name not in known:
            raise UnknownName("metric", name, known)
    wanted = [name for name in known if metrics is None or name in metrics]
    entries = entries_of(read_a[0], read_b[0], wanted)
    title = f"A: {a.as_posix()} ({len(read_a[0])} records), B: {b.as_posix()} ({len(read_b[0])} records)"
    said = [*_other(entries), *_environments(read_a[0], read_b[0])]
    for name, (records, problems) in (("A", read_a), ("B", read_b)):
        said += [f"{name}: {text}" for group in groups(records) for text in cautions(group)]
        said += [f"{name}: {problem}" for problem in problems]
    return Comparison(title, tuple(entries), tuple(_tables(entries)), tuple(dict.fromkeys(said)))


def write_comparison(found: Comparison, out: Path) -> None:
    """Write it as Markdown (.md) or as CSV (.csv, everything, unscaled); ConfigError for another name, DataError."""
    check_name(out)
    text = to_csv(found) if out.suffix == ".csv" else markdown_tables(found.title, found.tables, found.lines)
    write_atomic(out, text.encode())


def check_name(out: Path) -> None:
    """Raises ConfigError when ``write_comparison`` could not tell the format from the name."""
    if out.suffix not in (".md", ".csv"):
        raise ConfigError(f"--out was given as {out.name}: it takes a file called *.md or *.csv")


def to_csv(found: Comparison) -> str:
    """One row for each entry, values as stored."""
    place = ("suite", "source", "label", "domain", "metric", "status", "why", "better")
    numbers = ("mean_a", "mean_b", "difference", "interval_low", "interval_high", "p", "holm_p", "seeds")
    rows: list[tuple[object, ...]] = [(*place, *numbers, "remarks", "records_a", "records_b")]
    for e in found.entries:
        values = (*(e.means or (None, None)), e.difference, *(e.interval or (None, None)), e.p_value, e.holm_p, e.seeds)
        rest = ("; ".join(e.remarks), " ".join(e.keys_a), " ".join(e.keys_b))
        rows.append((*(getattr(e, name) for name in place), *values, *rest))
    return csv_text(rows)


def _read(folder: Path) -> tuple[list[RunRecord], list[str]]:
    records, problems = ResultStore(folder).read_all()
    if not records:
        raise DataError(f"no usable records in {folder}: name two folders that suites were run into")
    try:
        sources: dict[tuple[str, str], str] = {}
        for group in groups(records):
            lines(group)
            first = group[0]
            other = sources.setdefault((first.suite, first.source), first.source_sha256)
            if other != first.source_sha256:
                raise ConfigError(f"suite {first.suite} was run from two sources called {first.source}")
    except ConfigError as error:
        raise ConfigError(f"{folder} cannot be compared with anything: {error}") from None
    return records, problems


def _tables(entries: Sequence[Entry]) -> list[Table]:
    compared = [e for e in entries if e.status == "compared"]
    several = len({(e.suite, e.source) for e in compared}) > 1
    metrics = dict.fromkeys(e.metric for e in compared)
    return [_table([e for e in compared if e.metric == metric], several) for metric in metrics]


def _table(entries: Sequence[Entry], several: bool) -> Table:
    metric, notes, rows = entries[0].metric, Footnotes(), []
    digits = _digits(max(abs(m) for e in entries for m in e.means or ()))
    finer = max(digits, _digits(max(abs(e.difference or 0) for e in entries)))
    for e in entries:
        means, difference = e.means or (0.0, 0.0), e.difference or 0.0
        texts = [f"{m:,.{digits}f}" for m in means]
        interval = interval_text(e.interval, finer) if e.interval else MISSING
        tested = (interval, p_text(e.p_value), p_text(e.holm_p), str(e.seeds))
        marked = e.holm_p is not None and e.holm_p <= 0.05
        change = Cell(f"{difference:+,.{finer}f}", marked, keys=(*e.keys_a, *e.keys_b))
        label = f"{e.suite}, {e.source}: {e.label}" if several else e.label
        cells = (Cell(e.domain), *map(Cell, texts), change, *map(Cell, tested))
        rows.append(Row(label, cells, notes=tuple(notes.mark(text) for text in e.remarks)))
    detail = ARROWS[entries[0].better]
    names = ("domain", "A", "B", "B - A", "95 % interval", "p", "Holm p", "seeds")
    columns = tuple(Column("", name, detail if name == "B - A" else "") for name in names)
    return Table(metric, columns, tuple(rows), tuple(notes), _caption(entries))


def _digits(largest: float) -> int:
    """Four significant digits of the largest value."""
    return decimals(0.0, largest, 5) + 1


def _caption(entries: Sequence[Entry]) -> tuple[str, ...]:
    tests, most = sum(e.p_value is not None for e in entries), max(e.seeds for e in entries)
    if not tests:
        return ("Means over the seeds that both have. No test: it takes two seeds in common, not the same records.",)
    said: tuple[str, ...] = (
        "Means over the seeds that both have; 95 % percentile bootstrap interval of the paired differences; "
        f"{exactly(most)}two-sided sign-flip test, Holm-corrected over the {tests} tests of this table. Bold: Holm p "
        "at most 0.05.",
    )
    least = few_seeds(min(e.seeds for e in entries if e.p_value is not None))
    said += (sentence(least),) if least else ()
    out_of_reach = f"With {most} seeds and {tests} tests, none can reach 0.05."
    return (*said, out_of_reach) if tests * smallest_p(most) > 0.05 else said


def _other(entries: Sequence[Entry]) -> list[str]:
    """Lines about what was not compared: those with the same reason, domains and metrics share one."""
    metrics: dict[tuple[str, str, str], list[str]] = {}
    for e in entries:
        if e.status != "compared":
            text = f"{e.status}: {e.why}" if e.status == "not compared" else e.status + (f" ({e.why})" if e.why else "")
            metrics.setdefault((text, f"{e.label} [{e.suite}, {e.source}]", e.domain), []).append(e.metric)
    domains: dict[tuple[str, str, str], list[str]] = {}
    for (text, label, domain), names in metrics.items():
        domains.setdefault((text, label, ", ".join(names)), []).append(domain)
    labels: dict[tuple[str, str, str], list[str]] = {}
    for (text, label, names_), where in domains.items():
        labels.setdefault((text, ", ".join(where), names_), []).append(label)
    return [f"{text}: {', '.join(who)} on {where}: {names_}" for (text, where, names_), who in sorted(labels.items())]


def _environments(a: Sequence[RunRecord], b: Sequence[RunRecord]) -> list[str]:
    """What the machines and the software differ in; quality is compared nevertheless."""
    found = []
    ours, theirs = ([machine(r) for r in own] for own in (a, b))
    for name in dict.fromkeys(name for said in (*ours, *theirs) for name in said):
        left, right = (sorted({said[name] for said in own if name in said}) for own in (ours, theirs))
        if left != right:
            texts = (" and ".join(values) or "not recorded" for values in (left, right))
            found.append(f"{name} is {next(texts)} in A and {next(texts)} in B")
    return [f"environment: {'; '.join(found)}"] if found else []
