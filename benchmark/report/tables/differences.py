"""Differences of the methods from the plain one in the suite's first metric, and whether they are chance."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache

from benchmark.report.cautions import cautions
from benchmark.report.group import Group, row_label, short_title
from benchmark.report.lines import Line
from benchmark.report.statistics.paired import Better, Paired, exactly, holm, paired, ties_with_best, unreachable
from benchmark.report.statistics.power import detectable_difference, pooled
from benchmark.report.tables.ranking import ordered
from benchmark.report.tables.table import (
    ARROWS,
    MISSING,
    Cell,
    Column,
    Footnotes,
    Row,
    Table,
    decimals,
    doctor_notes,
    sentence,
    spread,
)

ALPHA = 0.05
COLUMNS = ("95 % interval", "p", "Holm p", "seeds")
Tests = Mapping[tuple[str, str], Paired]
"""(label of a row, domain) -> its comparison."""


RANGE = 6
"""Fewer seeds than this have a range and no interval: the bootstrap's ends would be the extremes themselves."""


@lru_cache(maxsize=8)
def comparisons(group: Group) -> dict[tuple[str, str], Paired]:
    """Each method at its default control against the plain one, seed by seed, in fidelity.

    Without a plain method, all stand against the best mean of each domain. What is the untouched source is left out.
    """
    metric = group.fidelity
    if metric is None:
        return {}
    better, found = group.better(metric), dict[tuple[str, str], Paired]()
    for domain in group.domains:
        other = reference(group, domain)
        for line in group.shown:
            if other and line is not other and group.competes(line, domain, metric):
                test = _paired(group, line, other, domain, metric, better)
                found |= {(line.label, domain): test} if test else {}
    return found


def reference(group: Group, domain: str) -> Line | None:
    """What the methods are compared with on a domain: the plain method, else the best mean."""
    return group.plain or _best(group, domain, group.fidelity or "")


def detectable(group: Group) -> tuple[float, int] | None:
    """The least difference in fidelity from the reference that these seeds show with 80 % power, and how many they are.

    None for one seed. By a paired t test without correction, which asks for less than the tests of the table.
    """
    deviations, counts = [], set()
    for domain in group.domains:
        other = reference(group, domain)
        for line in group.shown:
            if other is None or line is other or not group.competes(line, domain, group.fidelity or ""):
                continue
            each = _differences(group, line, other, domain)
            if len(each) > 1:
                deviations.append(spread([*each.values()]))
                counts.add(len(each))
    found = detectable_difference(pooled(deviations), min(counts)) if deviations else None
    return None if found is None else (found, min(counts))


def detectable_text(group: Group) -> str:
    """The same in words, without a full stop; empty where it is not known."""
    known = detectable(group)
    if known is None:
        return ""
    least, seeds = known
    metric, rival = short_title(group.fidelity or ""), group.plain.base if group.plain else "the best"
    return (
        f"with {seeds} seeds, an uncorrected paired t test would show a true difference of {least:.2g} in {metric} "
        f"from {rival} with 80 % power"
    )


def pairs_table(group: Group) -> Table | None:
    """The comparisons as a table, one group of columns per domain, marked what differs after Holm's correction.

    None where nothing can be tested: fewer than two methods, or no pair with two seeds.
    """
    metric, tests = group.fidelity, comparisons(group)
    if metric is None or all(test.p_value is None for test in tests.values()):
        return None
    notes, plain = Footnotes(), group.plain
    corrected = holm({_name(*key): test.p_value for key, test in tests.items()}).p_values
    against = {domain: reference(group, domain) for domain in group.domains}
    groups = [_cells(group, d, other, tests, corrected) for d, other in against.items()]
    rows = [
        Row(row_label(x), tuple(c for own in groups for c in own[i]), False, doctor_notes(x.records, notes), x.base)
        for i, x in enumerate(ordered(group))
        if x is not plain
    ]
    columns = [column for d, other in against.items() for column in _columns(group, d, other, tests)]
    title = f"Differences from {plain.base if plain else 'the best'}: {short_title(metric)}"
    return Table(title, tuple(columns), tuple(rows), tuple(notes), _caption(group, tests, len(corrected)))


def _best(group: Group, domain: str, metric: str) -> Line | None:
    values = {
        line.label: [group.values(line, domain, metric).get(seed, math.nan) for seed in group.seeds]
        for line in group.shown
        if group.competes(line, domain, metric)
    }
    if not values:
        return None
    best = ties_with_best(values, group.better(metric)).best
    return next(line for line in group.shown if line.label == best)


def _paired(group: Group, line: Line, other: Line, domain: str, metric: str, better: Better) -> Paired | None:
    """``line`` minus ``other`` at the seeds that both have, or nothing where there are none."""
    mine, theirs = (group.values(x, domain, metric) for x in (line, other))
    seeds = sorted(mine.keys() & theirs.keys())
    return paired([mine[s] for s in seeds], [theirs[s] for s in seeds], better) if seeds else None


def _differences(group: Group, line: Line, other: Line, domain: str) -> dict[int, float]:
    """{seed: ``line`` minus ``other`` in fidelity}, of the seeds that both have."""
    mine, theirs = (group.values(x, domain, group.fidelity) for x in (line, other))
    return {s: mine[s] - theirs[s] for s in sorted(mine.keys() & theirs.keys())}


def _cells(
    group: Group, domain: str, other: Line | None, tests: Tests, corrected: Mapping[str, float]
) -> list[tuple[Cell, ...]]:
    """The cells of one domain, a tuple for each line."""
    own = [t for (_, d), t in tests.items() if d == domain]
    widths = [t.interval[1] - t.interval[0] for t in own if t.interval]
    digits = decimals(max(widths, default=0.0) / 4, max((abs(t.difference) for t in own), default=0.0))
    rows = []
    for line in ordered(group):
        test = tests.get((line.label, domain))
        if test is None or other is None:
            word = "reference" if line is other else MISSING
            rows.append((Cell(word), *(Cell(MISSING) for _ in COLUMNS)))
            continue
        each = _differences(group, line, other, domain)
        keys = tuple(r.record_key for x in (line, other) for r in group.at(x, domain) if r.seed in each)
        p = corrected.get(_name(line.label, domain))
        ends = reach(group, domain, line)
        interval = MISSING if ends is None else interval_text(ends, digits)
        texts = (interval, p_text(test.p_value), p_text(p), str(test.n))
        first = Cell(f"{test.difference:+,.{digits}f}", p is not None and p <= ALPHA, keys=keys)
        rows.append((first, *(Cell(text, keys=keys) for text in texts)))
    return rows


def reach(group: Group, domain: str, line: Line) -> tuple[float, float] | None:
    """How far a difference may be: its interval, of few seeds their smallest and largest; None for one seed."""
    test, other = comparisons(group).get((line.label, domain)), reference(group, domain)
    if test is None or other is None or test.interval is None:
        return None
    each = [*_differences(group, line, other, domain).values()]
    return (min(each), max(each)) if test.n < RANGE else test.interval


def reach_words(tests: Tests, domain: str) -> str:
    """What `reach` is on a domain: of all its rows an interval, or a range, or some of both."""
    few = {t.n < RANGE for (_, d), t in tests.items() if d == domain}
    return "interval or range" if len(few) > 1 else COLUMNS[0] if False in few else "range of seeds"


def interval_text(interval: tuple[float, float], digits: int) -> str:
    """For instance ``-1.20 to +0.31``."""
    low, high = (f"{end:+,.{digits}f}" for end in interval)
    return f"{low} to {high}"


def p_text(p: float | None) -> str:
    """Three significant digits, or a dash where there was no test."""
    return MISSING if p is None else f"{p:.3g}"


def _columns(group: Group, domain: str, other: Line | None, tests: Tests) -> list[Column]:
    name = "difference" if group.plain or other is None else f"difference from {other.base}"
    words = (reach_words(tests, domain), *COLUMNS[1:])
    return [Column(domain, name, ARROWS[group.better(group.fidelity or "")]), *(Column(domain, text) for text in words)]


def _caption(group: Group, tests: Tests, tested: int) -> tuple[str, ...]:
    few = {t.n < RANGE for t in tests.values()}
    how = "95 % percentile bootstrap interval" if False in few else "the smallest and largest of them"
    how += f", or the smallest and largest of fewer than {RANGE} seeds" if len(few) > 1 else ""
    said = [
        f"Mean of the paired differences (same seed, same latents), each method at its default control; {how}; "
        f"{exactly(max(t.n for t in tests.values()))}two-sided sign-flip test.",
        f"Holm-corrected over the {tested} tests of this table. Bold: Holm p at most {ALPHA:g}.",
    ]
    if group.plain is None:
        said.append("The best was picked by looking at the same numbers: p values are too small.")
    if least := detectable_text(group):
        said.append(sentence(least))
    if group.mixed:
        said.append(f"{len(group.mixed)} (domain, seed) pairs mix machines: their differences include the machine's.")
    named = {_name(*key): test for key, test in tests.items()}
    notes = [unreachable(named, ALPHA, "no difference of this table can be significant")]
    notes += sorted({t.note for t in tests.values() if t.note and t.n >= RANGE})
    return (*said, *(sentence(note) for note in notes if note), *(sentence(x) for x in cautions(group.records)))


def _name(label: str, domain: str) -> str:
    return f"{label} on {domain}"
