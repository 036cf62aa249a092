"""One table per metric: methods by domains. What is marked, what is missing and why."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

from benchmark.metrics.base import DISTANCES, Kind
from benchmark.metrics.catalogue import info_of
from benchmark.report.cautions import TAUGHT
from benchmark.report.group import Group, row_label, short_title
from benchmark.report.lines import Line, taught_by, value_of
from benchmark.report.statistics.paired import Ties, seeds_needed, ties_with_best
from benchmark.report.tables.ranking import tabled
from benchmark.report.tables.table import (
    ABSENT,
    ARROWS,
    MISSING,
    Cell,
    Column,
    Footnotes,
    Row,
    Table,
    brief,
    decimals,
    doctor_notes,
    mean_text,
    sentence,
    spread,
    why_absent,
)
from benchmark.results import RunRecord

MANY_NOTES = 6
"""More different notes than this in a column are not printed one by one."""
SHARES = ("precision", "recall", "coverage", "memorisation", "authenticity", "identity_retrieval")
UNMARKED: tuple[Kind, ...] = (
    *DISTANCES,
    *("distance_averaged", "identity_retrieval", "memorisation", "authenticity"),
    *("legacy_consistency", "legacy_consistency_face", "picture_distance"),
)
"""Kinds of metrics in which doing nothing is best: nothing of them is marked."""
BEST_POSSIBLE = "best possible images"


def metric_table(group: Group, metric: str) -> Table | None:
    """Methods at their default control by domains, the untouched source first; None where nobody has a value.

    A domain where no adapted generator has a value is one sentence of the caption.
    """
    domains = [d for d in group.domains if group.measured(d, metric)]
    failed = [d for d in group.domains if d not in domains and any(r.status != "done" for r in _on(group, d))]
    if not domains:
        return None
    shown = tabled(group)
    notes, columns, cells = Footnotes(), [], []
    said: dict[str, list[str]] = {}
    for domain in sorted([*domains, *failed]):
        columns.append(Column(domain, short_title(metric), ARROWS[group.better(metric)]))
        column, more = metric_cells(group, domain, metric, shown, notes)
        cells.append(column)
        if more:
            said.setdefault(more, []).append(domain)
    rows = method_rows(shown, cells, notes)
    known = [group.best_possible.get((c.group, metric)) for c in columns]
    if any(v is not None for v in known):
        rows.append(Row(BEST_POSSIBLE, tuple(Cell(MISSING if v is None else f"{v:.3g}") for v in known)))
    where = {text: "" if len(own) == len(columns) else f"{', '.join(own)}: " for text, own in said.items()}
    caption = (*_first(group, metric), *(sentence(f"{where[text]}{text}") for text in said), *absences(group, metric))
    return Table(metric, tuple(columns), tuple(rows), tuple(notes), caption)


def method_rows(shown: Sequence[Line], cells: Sequence[Sequence[Cell]], notes: Footnotes) -> list[Row]:
    """A row for each of `shown`, from the columns' `cells` in its order."""
    return [
        Row(
            row_label(line),
            tuple(column[i] for column in cells),
            line.zero_step,
            doctor_notes(line.records, notes),
            "" if line.zero_step else line.base,
        )
        for i, line in enumerate(shown)
    ]


def _on(group: Group, domain: str) -> list[RunRecord]:
    return [r for line in group.shown for r in group.at(line, domain)]


def _first(group: Group, metric: str) -> tuple[str, ...]:
    """What the metric is, its N and direction."""
    m = next(m for (_, name), m in group.examples.items() if name == metric and m.value is not None)
    counts = sorted({m.n for (_, name), m in group.examples.items() if name == metric and m.value is not None})
    size = f"N={' or '.join(str(n) for n in counts)}"
    return (f"{m.title or metric}; {m.better} is better; {size}.",)


def absences(group: Group, metric: str) -> list[str]:
    """One sentence for each reason why a metric has no value on some domains."""
    reasons: dict[str, list[str]] = {}
    for domain in group.domains:
        m = group.examples.get((domain, metric))
        if m is not None and m.value is None:
            reasons.setdefault(why_absent(m.reason), []).append(domain)
    return [f"{ABSENT.capitalize()} on {', '.join(where)}: {why}." for why, where in reasons.items()]


def unavailable(group: Group) -> list[str]:
    """One sentence for each metric that no adapted generator has a value of."""
    measured = {name for _, name in group.adapted}
    return [f"{name}: {text}" for name in group.metrics if name not in measured for text in absences(group, name)]


def metric_cells(
    group: Group, domain: str, metric: str, shown: Sequence[Line], notes: Footnotes, noted: bool = True
) -> tuple[list[Cell], str]:
    """One column, top to bottom, and what must be said about its marks; ``noted``: with the notes of its values."""
    values = [[*group.values(line, domain, metric).values()] for line in shown]
    ties, remark = marks(group, domain, metric)
    digits = column_digits(group, domain, metric)
    cells = []
    records = [group.at(line, domain) for line in shown]
    said = {r.metrics[metric].note for own in records for r in own if metric in r.metrics}
    crowd = f"{metric}: most values have notes of their own; they are in tables.csv" if len(said) > MANY_NOTES else None
    seeds = group.seeds_of[domain]
    for line, own, v in zip(shown, records, values, strict=True):
        word, numbers = _exceptions(line, own, metric, notes, crowd, noted)
        if v:
            word = mean_text(v, digits) + (f" (n={len(v)})" if len(v) < seeds else "")
        behind = [r for r in own if value_of(r, metric) is not None] or own
        cells.append(Cell(word, line.label in ties, numbers, tuple(r.record_key for r in behind)))
    return cells, remark


@lru_cache(maxsize=1024)
def column_digits(group: Group, domain: str, metric: str) -> int:
    """Digits after the point: by the largest standard deviation over seeds, with one seed by the standard errors."""
    lists = [[*group.values(line, domain, metric).values()] for line in group.lines]
    lists = [v for v in lists if v]
    deviations = [spread(v) for v in lists if len(v) > 1]
    errors = [
        m.std_error
        for line in group.lines
        for r in group.at(line, domain)
        if (m := r.metrics.get(metric)) is not None and m.std_error
    ]
    uncertainty = max(deviations, default=0.0) or max(errors, default=0.0)
    m = group.examples.get((domain, metric))
    share = info_of(metric).kind in SHARES and m is not None and m.n > 0
    finest = math.ceil(math.log10(m.n)) if share and m is not None else 6
    largest = max((abs(x) for v in lists for x in v), default=0.0)
    return decimals(uncertainty, largest, max(1, finest))


@lru_cache(maxsize=1024)
def marks(group: Group, domain: str, metric: str) -> tuple[frozenset[str], str]:
    """Labels of the rows to mark, and a sentence where there are none although there are several seeds.

    Marked are the best mean and what is not significantly worse, among methods at their default control that are not
    the untouched source; nothing where that would be all of them that can be told, and nothing in distances to the
    source, identity and memorisation, in which doing nothing is best.
    """
    ties = competition(group, domain, metric)
    if ties is None or info_of(metric).kind in UNMARKED:
        return frozenset(), ""
    rivals = [line for line in group.shown if group.competes(line, domain, metric)]
    if len(rivals) > 1 and len(ties.marked | ties.untold) < len(rivals):
        return ties.marked, ties.note or ""
    seeds = max((len(group.values(line, domain, metric)) for line in rivals), default=0)
    needed = seeds_needed(0.05, max(1, len(rivals) - 1))
    if seeds < needed:
        return frozenset(), f"with {seeds} seeds none can be significantly worse than the best ({needed} are needed)"
    return frozenset(), "no method is significantly worse than the best"


def competition(group: Group, domain: str, metric: str) -> Ties | None:
    """The best method on a domain and those that tie with it; None with one seed or without a value."""
    seeds = sorted({r.seed for line in group.shown for r in group.at(line, domain)})
    values = {
        line.label: [group.values(line, domain, metric).get(seed, math.nan) for seed in seeds]
        for line in group.shown
        if group.competes(line, domain, metric)
    }
    return ties_with_best(values, group.better(metric)) if len(seeds) > 1 and values else None


def _exceptions(
    line: Line, records: Sequence[RunRecord], metric: str, notes: Footnotes, crowd: str | None, noted: bool
) -> tuple[str, tuple[int, ...]]:
    """What a cell without a value says, and the footnotes that explain missing values and those that have a note.

    ``crowd`` stands in for the notes of values where there are too many of them to be read.
    """
    words: list[str] = []
    numbers: list[int] = []
    for r in records:
        if r.status != "done":
            words.append(r.status)
            numbers.append(notes.mark(f"{line.base} on {r.domain}, seed {r.seed}: {r.status}: {brief(r.reason, 300)}"))
        elif metric in r.metrics and r.metrics[metric].value is None:
            words.append(ABSENT)
            why = why_absent(r.metrics[metric].reason)
            numbers.append(notes.mark(f"{metric}: {why}"))
        elif metric in r.metrics and taught_by(r, metric):
            numbers.append(notes.mark(f"{line.base}: {TAUGHT}"))
        elif noted and metric in r.metrics and r.metrics[metric].note:
            numbers.append(notes.mark(crowd or f"{metric}: {brief(r.metrics[metric].note, 300)}"))
    return (min(words, default=MISSING)), tuple(sorted(set(numbers)))
