"""Differences of the methods from the plain one in the suite's first metric, and whether they are chance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from benchmark.report.cautions import cautions
from benchmark.report.lines import Line, fair_value, lines, primary_metric, scale
from benchmark.report.statistics import Better, Paired, holm, paired, ties_with_best, unreachable
from benchmark.report.tables import (
    MISSING,
    TIMES,
    Cell,
    Column,
    Footnotes,
    Row,
    Table,
    by_seed,
    digits_of,
    doctor_notes,
)
from benchmark.results import RunRecord

ALPHA = 0.05
COLUMNS = ("95 % interval", "p", "Holm p", "seeds")
Tests = Mapping[tuple[str, str], Paired]
"""(label of a row, domain) -> its comparison."""


def pairs_table(records: Sequence[RunRecord]) -> Table | None:
    """Each method at its default control against the plain one (no hyper-parameters, no control), seed by seed.

    Without a plain method, all stand against the best mean of each domain. One group of columns per domain; marked is
    what differs significantly after Holm's correction over the whole table. None where nothing can be tested: fewer
    than two methods, or no pair with two seeds. Records belong to one suite and source.
    """
    metric = primary_metric(records)
    shown = [line for line in lines(records) if line.is_default and not line.zero_step]
    if metric is None:
        return None
    better: Better = next(r.metrics[metric].better for r in records if metric in r.metrics)
    plain = next((line for line in shown if line.control is None and not any(r.fields for r in line.records)), None)
    domains = sorted({r.domain for line in shown for r in line.records})
    against = {domain: plain or _best(shown, domain, metric, better) for domain in domains}
    tests = {
        (line.label, domain): test
        for domain, other in against.items()
        for line in shown
        if other and line is not other and (test := _paired(line, other, domain, metric, better))
    }
    if all(test.p_value is None for test in tests.values()):
        return None
    notes = Footnotes()
    corrected = holm({_name(*key): test.p_value for key, test in tests.items()}).p_values
    groups = [_cells(shown, d, other, tests, corrected, metric) for d, other in against.items()]
    rows = [
        Row(line.label, tuple(c for group in groups for c in group[i]), notes=doctor_notes(line.records, notes))
        for i, line in enumerate(shown)
        if line is not plain
    ]
    columns = [column for domain, other in against.items() for column in _columns(domain, other, plain, metric, better)]
    title = f"Differences from {plain.base if plain else 'the best'}: {metric}"
    return Table(title, tuple(columns), tuple(rows), tuple(notes), _caption(records, tests, len(corrected), plain))


def _best(shown: Sequence[Line], domain: str, metric: str, better: Better) -> Line | None:
    seeds = sorted({r.seed for line in shown for r in line.records if r.domain == domain})
    values = {line.label: by_seed(_at(line, domain), seeds, metric) for line in shown}
    if all(math.isnan(v) for own in values.values() for v in own):
        return None
    best = ties_with_best(values, better).best
    return next(line for line in shown if line.label == best)


def _paired(line: Line, other: Line, domain: str, metric: str, better: Better) -> Paired | None:
    """``line`` minus ``other`` at the seeds that both have, or nothing where there are none."""
    seeds = sorted(_seeds(line, domain, metric) & _seeds(other, domain, metric))
    if not seeds:
        return None
    return paired(by_seed(_at(line, domain), seeds, metric), by_seed(_at(other, domain), seeds, metric), better)


def _cells(
    shown: Sequence[Line],
    domain: str,
    other: Line | None,
    tests: Tests,
    corrected: Mapping[str, float],
    metric: str,
) -> list[tuple[Cell, ...]]:
    """The cells of one domain, a tuple for each line."""
    factor = scale(metric)
    digits = digits_of(max((abs(t.difference) * factor for (_, d), t in tests.items() if d == domain), default=0.0))
    rows = []
    for line in shown:
        test = tests.get((line.label, domain))
        if test is None or other is None:
            word = "reference" if line is other else MISSING
            rows.append((Cell(word), *(Cell(MISSING) for _ in COLUMNS)))
            continue
        seeds = _seeds(line, domain, metric) & _seeds(other, domain, metric)
        keys = tuple(r.record_key for own in (line, other) for r in _at(own, domain) if r.seed in seeds)
        p = corrected.get(_name(line.label, domain))
        interval = MISSING if test.interval is None else interval_text(test.interval, factor, digits)
        texts = (interval, p_text(test.p_value), p_text(p), str(test.n))
        first = Cell(f"{test.difference * factor:+,.{digits}f}", p is not None and p <= ALPHA, keys=keys)
        rows.append((first, *(Cell(text, keys=keys) for text in texts)))
    return rows


def interval_text(interval: tuple[float, float], factor: float, digits: int) -> str:
    """For instance ``-1.20 to +0.31``."""
    low, high = (f"{end * factor:+,.{digits}f}" for end in interval)
    return f"{low} to {high}"


def p_text(p: float | None) -> str:
    """Three significant digits, or a dash where there was no test."""
    return MISSING if p is None else f"{p:.3g}"


def sentence(text: str) -> str:
    """``text`` with a capital letter and a full stop."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def _columns(domain: str, other: Line | None, plain: Line | None, metric: str, better: Better) -> list[Column]:
    detail = (f"{TIMES}10³ " if scale(metric) == 1000 else "") + ("↑" if better == "higher" else "↓")
    name = "difference" if plain or other is None else f"difference from {other.base}"
    return [Column(domain, name, detail), *(Column(domain, text) for text in COLUMNS)]


def _caption(records: Sequence[RunRecord], tests: Tests, tested: int, plain: Line | None) -> tuple[str, ...]:
    said = [
        "Mean of the paired differences (same seed, same latents), each method at its default control; 95 % percentile "
        "bootstrap interval; exact two-sided sign-flip test.",
        f"Holm-corrected over the {tested} tests of this table. Bold: Holm p at most {ALPHA:g}.",
    ]
    if plain is None:
        said.append("The best was picked by looking at the same numbers: p values are too small.")
    named = {_name(*key): test for key, test in tests.items()}
    notes = [unreachable(named, ALPHA, "no difference of this table can be significant")]
    notes += sorted({t.note for t in tests.values() if t.note and t.n > 1})
    return (*said, *(sentence(note) for note in notes if note), *(sentence(text) for text in cautions(records)))


def _name(label: str, domain: str) -> str:
    return f"{label} on {domain}"


def _at(line: Line, domain: str) -> list[RunRecord]:
    return [r for r in line.records if r.domain == domain]


def _seeds(line: Line, domain: str, metric: str) -> set[int]:
    return {r.seed for r in _at(line, domain) if fair_value(r, metric) is not None}
