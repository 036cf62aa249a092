"""Records -> tables: which number stands in which cell. How a table is written down is report's business."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from benchmark.errors import ConfigError, DataError
from benchmark.report.cautions import TAUGHT, cautions
from benchmark.report.lines import (
    Line,
    device_of,
    fair_value,
    groups,
    lines,
    metric_names,
    of_steps,
    scale,
    taught_by,
    value_of,
)
from benchmark.report.statistics import Better, ties_with_best
from benchmark.results import RunRecord

MISSING, TIMES = "\N{EN DASH}", "\N{MULTIPLICATION SIGN}"
SEVERAL_SEEDS = (
    "Mean ± sample standard deviation over seeds.",
    "Bold: the best mean of a column and every row not significantly worse (exact sign-flip test of the paired "
    "differences, Holm-corrected within the column, alpha 0.05); the untouched source apart.",
)
ONE_SEED = ("One seed: no ±, and no difference can be tested; nothing is marked as best.",)
MANY_NOTES = 6
"""More different notes than this in a column are not printed one by one."""
COUNTS = "N: generated images, or pairs of images."
COSTS = {  # field of Timing -> column, digits after the point
    "seconds_per_kimg": ("s/kimg", 2),
    "train_seconds": ("training s", 1),
    "ms_per_image": ("ms/image", 2),
    "peak_mem_mb": ("peak memory MB", 0),
    "trainable_params": ("trainable parameters", 0),
    "shipped_params": ("shipped parameters", 0),
}


@dataclass(frozen=True)
class Cell:
    """One cell: its text, whether it is marked, its footnotes' numbers (from 1), and the keys of the records behind."""

    text: str
    best: bool = False
    notes: tuple[int, ...] = ()
    keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class Column:
    """One column: its group (a domain, or nothing), its name, and what belongs in small print (unit, direction, N)."""

    group: str
    name: str
    detail: str = ""


@dataclass(frozen=True)
class Row:
    """One row: a method at one value of its control, and its footnotes; ``zero_step`` is the untouched source."""

    label: str
    cells: tuple[Cell, ...]
    zero_step: bool = False
    notes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Table:
    """A table that can be written in any format."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    footnotes: tuple[str, ...] = ()
    caption: tuple[str, ...] = ()


@dataclass(frozen=True)
class Section:
    """All that is reported about records that share a table."""

    quality: Table
    cost: Table
    conditions: tuple[str, ...]
    pictures: tuple[str, ...] = ()
    control: Table | None = None
    pairs: Table | None = None
    published: Table | None = None

    @property
    def tables(self) -> tuple[Table, ...]:
        """All tables, in order."""
        return tuple(t for t in (self.quality, self.pairs, self.control, self.published, self.cost) if t)


class Footnotes(list[str]):
    """Numbered from 1; the same text is the same note."""

    def mark(self, text: str) -> int:
        if text not in self:
            self.append(text)
        return self.index(text) + 1


def primary_table(records: Sequence[RunRecord], controls: bool = False) -> Table:
    """The table of metrics: one row per method, one group of columns per domain, the untouched source first.

    ``controls`` adds a row for each further value of a method's control. Cells are mean ± sample standard deviation
    over seeds; the best mean of a column is marked together with all that is not significantly worse, the untouched
    source apart, and nothing where there is one seed. Raises DataError without records and
    ConfigError when the records belong to several suites or sources or were not measured alike.
    """
    found = groups(records)
    if not found:
        raise DataError("no records to tabulate: run a suite first")
    if len(found) > 1:
        names = ", ".join(f"{g[0].suite} from {g[0].source}" for g in found)
        raise ConfigError(f"one table was asked for, the records belong to several ({names}): use one --out for each")
    records = found[0]
    shown = [line for line in lines(records) if controls or line.is_default or line.zero_step]
    notes = Footnotes()
    columns, cells = [], []
    for domain in sorted({r.domain for r in records}):
        here = [r for r in records if r.domain == domain]
        shown_metrics = [m for m in metric_names(here) or metric_names(records) if not of_steps(m)]
        for metric in shown_metrics or ["result"]:  # failures need a column, too
            columns.append(_column(records, domain, metric))
            cells.append(_metric_cells(shown, domain, metric, notes, len({r.seed for r in records})))
    rows = [
        Row(line.label, tuple(column[i] for column in cells), line.zero_step, doctor_notes(line.records, notes))
        for i, line in enumerate(shown)
    ]
    caption = (*(SEVERAL_SEEDS if len({r.seed for r in records}) > 1 else ONE_SEED), COUNTS)
    first = records[0]
    title = f"{first.suite} suite, source {first.source} ({first.source_sha256[:12]})"
    title += "".join(f"; {text}" for text in cautions(records))
    return Table(title, tuple(columns), tuple(rows), tuple(notes), caption)


def cost_table(records: Sequence[RunRecord]) -> Table:
    """What each method costs at its default control, one row per method and device; mean ± std over seeds.

    A seed's value is the mean over its domains.
    """
    shown, notes, rows = lines(records), Footnotes(), []
    for line in shown:
        if not (line.is_default or line.zero_step):
            continue
        done = [r for r in line.records if r.status == "done"]
        for device in sorted({device_of(r) for r in done}):
            here = [r for r in done if device_of(r) == device]
            shared = tuple(notes.mark(text) for text in _shared_training(line, here, shown))
            cells = [_cost_cell(here, field, digits, shared) for field, (_, digits) in COSTS.items()]
            rows.append(Row(line.base, (*cells, Cell(device)), line.zero_step))
    columns = [Column("", name) for name, _ in COSTS.values()] + [Column("", "device")]
    caption = ["Mean over domains, then mean ± sample standard deviation over seeds; no ± where there is one seed."]
    if len({row.cells[-1].text for row in rows}) > 1:
        caption.append("Several devices, a row for each: times can be compared only between rows of the same device.")
    return Table("Cost", tuple(columns), tuple(rows), tuple(notes), tuple(caption))


def doctor_notes(records: Sequence[RunRecord], notes: Footnotes) -> tuple[int, ...]:
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


def _column(records: Sequence[RunRecord], domain: str, metric: str) -> Column:
    found = [r.metrics[metric] for r in records if r.domain == domain and metric in r.metrics]
    measured = [m for m in found if m.value is not None]
    detail = (f"{TIMES}10³ " if scale(metric) == 1000 else "") + (
        "↑" if any(m.better == "higher" for m in found) else "↓"
    )
    return Column(domain, metric, detail + (f" (N={measured[0].n})" if measured else ""))


def _metric_cells(shown: Sequence[Line], domain: str, metric: str, notes: Footnotes, seeds: int) -> list[Cell]:
    """One column, top to bottom."""
    here = [[r for r in line.records if r.domain == domain] for line in shown]
    values = [_values(records, metric) for records in here]
    ranked = [v.mean() for v, line in zip(values, shown, strict=True) if len(v) and not line.zero_step]
    marked = _marked(shown, here, metric, notes)
    digits = digits_of(
        max((abs(x) for x in ranked), default=0.0) or max((v.abs().max() for v in values if len(v)), default=1)
    )
    said = {r.metrics[metric].note for records in here for r in records if metric in r.metrics}
    crowd = f"{metric}: most values have notes of their own; they are in tables.csv" if len(said) > MANY_NOTES else None
    cells = []
    for line, records, v in zip(shown, here, values, strict=True):
        word, marks = _exceptions(line, records, metric, notes, crowd)
        if len(v):
            word = mean_std(v, digits) + (f" (n={len(v)})" if len(v) < seeds else "")
        behind = [r for r in records if value_of(r, metric) is not None] or records
        cells.append(Cell(word, line.label in marked, marks, tuple(r.record_key for r in behind)))
    return cells


def _marked(shown: Sequence[Line], here: Sequence[Sequence[RunRecord]], metric: str, notes: Footnotes) -> set[str]:
    """Labels of the best row of a column and of all that are not significantly worse; none where there is one seed."""
    seeds = sorted({r.seed for records in here for r in records})
    better: Better = next((r.metrics[metric].better for rs in here for r in rs if metric in r.metrics), "lower")
    values = {
        line.label: by_seed(records, seeds, metric)
        for line, records in zip(shown, here, strict=True)
        if not line.zero_step
    }
    measured = {label: v for label, v in values.items() if not all(map(math.isnan, v))}
    if len(seeds) < 2 or not measured:
        return set()
    ties = ties_with_best(measured, better)
    if ties.note:
        notes.append(ties.note) if ties.note not in notes else None
    return set(ties.marked)


def by_seed(records: Sequence[RunRecord], seeds: Sequence[int], metric: str) -> list[float]:
    """One value for each of ``seeds``, not scaled, NaN where no record has one that may be compared."""
    found = {r.seed: v for r in records if (v := fair_value(r, metric)) is not None}
    return [found.get(seed, math.nan) for seed in seeds]


def _values(records: Sequence[RunRecord], metric: str) -> pd.Series[float]:
    found = (value_of(r, metric) for r in records)
    return pd.Series([v * scale(metric) for v in found if v is not None], dtype=float)


def _exceptions(
    line: Line, records: Sequence[RunRecord], metric: str, notes: Footnotes, crowd: str | None
) -> tuple[str, tuple[int, ...]]:
    """What a cell without a value says, and the footnotes that explain missing values and those that have a note.

    ``crowd`` stands in for the notes of values where there are too many of them to be read.
    """
    words: list[str] = []
    marks: list[int] = []
    for r in records:
        if r.status != "done":
            words.append(r.status)
            marks.append(notes.mark(f"{line.base} on {r.domain}, seed {r.seed}: {r.status}: {brief(r.reason, 300)}"))
        elif metric in r.metrics and r.metrics[metric].value is None:
            words.append("not available")
            marks.append(notes.mark(f"{metric}: {brief(r.metrics[metric].reason, 300)}"))
        elif metric in r.metrics and taught_by(r, metric):
            marks.append(notes.mark(f"{line.base}: {TAUGHT}"))
        elif metric in r.metrics and r.metrics[metric].note:
            marks.append(notes.mark(crowd or f"{metric}: {brief(r.metrics[metric].note, 300)}"))
    return (min(words, default=MISSING)), tuple(sorted(set(marks)))


def brief(text: str | None, width: int = 120) -> str:
    """On one line, of at most ``width`` characters."""
    text = " ".join((text or "").split())
    return text if len(text) <= width else text[: width - 1] + "…"


def digits_of(largest: float) -> int:
    """Digits after the point so that the largest value of a column has four significant ones."""
    return min(6, max(0, 3 - math.floor(math.log10(largest)))) if largest > 0 else 3


def mean_std(values: pd.Series[float], digits: int) -> str:
    """ "mean ± sample standard deviation", or the value alone."""
    mean = f"{values.mean():,.{digits}f}"
    return mean if len(values) < 2 else f"{mean} ± {values.std(ddof=1):,.{digits}f}"


def _cost_cell(records: Sequence[RunRecord], field: str, digits: int, shared: tuple[int, ...]) -> Cell:
    seeds: dict[int, list[float]] = defaultdict(list)
    known = [r for r in records if getattr(r.timing, field) is not None]
    for r in known:
        seeds[r.seed].append(float(getattr(r.timing, field)))
    means = pd.Series([sum(v) / len(v) for v in seeds.values()], dtype=float)
    if not len(means):
        return Cell(MISSING)
    same = field.endswith("params") and means.nunique() == 1
    text = f"{means[0]:,.0f}" if same else mean_std(means, digits)
    marks = shared if field in ("seconds_per_kimg", "train_seconds") else ()
    return Cell(text, notes=marks, keys=tuple(r.record_key for r in known))


def _shared_training(line: Line, records: Sequence[RunRecord], shown: Sequence[Line]) -> list[str]:
    """A note where a method has no training of its own, naming the method whose checkpoint it uses."""
    keys = {r.train_key for r in records if r.timing.reused_training}
    owners = {o.base for o in shown if any(r.train_key in keys and not r.timing.reused_training for r in o.records)}
    owners -= {line.base}
    whose = f"that of {', '.join(sorted(owners))}" if owners else "that of a method outside this table"
    return [f"{line.base} needs no training of its own: it uses {whose}."] if keys else []
