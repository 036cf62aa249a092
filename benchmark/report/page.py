"""The HTML page: sections and their records in one file without network or other files. Never imports torch.

The templates lie in benchmark/report/templates/. All text of a record is escaped; a Content-Security-Policy forbids
every request and every script but the page's own.
"""

from __future__ import annotations

import math
from base64 import b64encode
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from importlib.resources import files
from itertools import groupby
from pathlib import Path

import jinja2
from markupsafe import Markup

from benchmark.report.cautions import cautions
from benchmark.report.figures.charts import cost_bars, fidelity_curves
from benchmark.report.figures.curves import metric_curves, training_curves
from benchmark.report.figures.ranks import critical_difference_figure, rank_words
from benchmark.report.figures.strips import Extremes, Grid, Player, extremes, pictures
from benchmark.report.figures.svg import FORBIDDEN, svg
from benchmark.report.lines import control_text, device_of, lines
from benchmark.report.tables import MISSING, Cell, Column, Row, Section, Table, brief
from benchmark.results import RunRecord

ABSENT = "not available"
STATES = ("done", "failed", "timed-out", "out-of-memory", "skipped")
WORDS = {ABSENT, *STATES[1:], MISSING}

"""What stands in a cell that has no number."""
MAX_LINES = 20


@dataclass(frozen=True)
class Chart:
    """A chart as inline SVG, what it says in words, and the heading that it stands under."""

    svg: Markup
    alt: str
    place: str = ""


@dataclass(frozen=True)
class Training:
    """What is known of a domain's trainings: metrics as chart and table, losses as chart; None where there is none."""

    domain: str
    metrics: Chart | None = None
    table: Table | None = None
    losses: Chart | None = None


@dataclass(frozen=True)
class Part:
    """All that the page shows of records that share a table; ``alarm``: failed checks of the measuring, in lines."""

    id: str
    section: Section
    facts: tuple[tuple[str, str], ...]
    alarm: tuple[str, ...]
    charts: tuple[Chart, ...]
    grids: tuple[Grid, ...]
    players: tuple[Player, ...]
    extremes: tuple[Extremes, ...]
    training: tuple[Training, ...]
    records: Sequence[RunRecord]


def page(sections: Sequence[Section], groups: Sequence[Sequence[RunRecord]], results: Path) -> tuple[str, list[str]]:
    """The page, and one line for each log or picture that could not be used.

    ``groups[i]`` are the records behind ``sections[i]``; pictures and logs are read from the folder ``results``.
    Its only links lead to ``records/`` beside it. The same input gives the same text.
    """
    parts, problems = [], []
    for number, (section, records) in enumerate(zip(sections, groups, strict=True)):
        part, found = _part(f"p{number}", section, records, results)
        parts.append(part)
        problems += found
    style, script = (
        (files("benchmark.report") / "templates" / name).read_text("utf-8") for name in ("page.css", "page.js")
    )
    named = [f"{records[0].suite} suite, source {records[0].source}" for records in groups]
    title = named[0] if len(named) == 1 else f"Results: {len(named)} tables"
    text = (
        _environment()
        .get_template("page.html.j2")
        .render(
            parts=parts,
            title=title,
            style=Markup(style),
            script=Markup(script),
            script_hash=b64encode(sha256(script.encode()).digest()).decode(),
        )
    )
    return FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text), problems


def _part(id: str, section: Section, records: Sequence[RunRecord], results: Path) -> tuple[Part, list[str]]:
    charts = []
    for place, figure, alt in (
        ("quality", fidelity_curves(records), "Chart: fidelity against consistency, the numbers of the table above"),
        ("ranks", critical_difference_figure(records), rank_words(records)),
        ("cost", cost_bars(records), "Chart: the numbers of the cost table above as bars"),
    ):
        if figure is not None:
            charts.append(Chart(svg(figure, f"{id}{place[0]}-", alt), alt, place))
    training, problems = _training(id, records, results / "logs")
    grids, players = pictures(id, records, results)
    ends, unusable = extremes(id, records, results)
    facts = (*_facts(records), *_gaps(records), ("measuring checks", _checks(records)))
    drawn = tuple(charts), tuple(grids), tuple(players), tuple(ends), tuple(training)
    return Part(id, section, facts, _alarm(records), *drawn, records), problems + unusable


def _training(id: str, records: Sequence[RunRecord], logs: Path) -> tuple[list[Training], list[str]]:
    found: dict[str, Training] = {}
    for i, course in enumerate(metric_curves(records)):
        alt = f"Chart: metrics over training on {course.domain}, the numbers of the table below"
        chart = Chart(svg(course.figure, f"{id}m{i}-", alt), alt)
        found[course.domain] = Training(course.domain, chart, course.table)
    logged, problems = training_curves(records, logs)
    for i, (domain, figure) in enumerate(logged):
        alt = f"Chart: losses in training on {domain}"
        chart = Chart(svg(figure, f"{id}t{i}-", alt), alt)
        found[domain] = replace(found.get(domain, Training(domain)), losses=chart)
    return [found[domain] for domain in sorted(found)], problems


def _gaps(records: Sequence[RunRecord]) -> list[tuple[str, str]]:
    """Which seeds of which method have no numbers, as a fact; none where all have."""
    seeds, domains = {r.seed for r in records}, sorted({r.domain for r in records})
    said = []
    for line in lines(records):
        for domain in domains if line.is_default or line.zero_step else ():
            states = {r.seed: r.status for r in line.records if r.domain == domain}
            bad = [f"seed {n} {states.get(n, 'not run')}" for n in sorted(seeds) if states.get(n) != "done"]
            said += [f"{line.base} on {domain}: {', '.join(bad)}"] if bad else []
    more = [f"and {len(said) - MAX_LINES} more"] if len(said) > MAX_LINES else []
    return [("without numbers", "; ".join([*(brief(text) for text in said[:MAX_LINES]), *more]))] if said else []


def _alarm(records: Sequence[RunRecord]) -> tuple[str, ...]:
    """What the doctor found wrong, each line once, and in how many records."""
    bad = [r.doctor for r in records if r.doctor and not r.doctor.passed]
    found = Counter(line for doctor in bad for line in (doctor.failed or ("no check named",)))
    lines_ = [f"{line} ({count} of {len(records)} records)" for line, count in found.most_common(MAX_LINES)]
    return (*lines_, *([f"and {len(found) - MAX_LINES} more"] if len(found) > MAX_LINES else []))


def _checks(records: Sequence[RunRecord]) -> str:
    done = [r for r in records if r.status == "done"]
    seen = [r.doctor for r in records if r.doctor]
    if not seen:
        return "not examined"
    counts = " or ".join(str(n) for n in sorted({d.checks for d in seen}))
    failed, unseen = sum(not d.passed for d in seen), sum(r.doctor is None for r in done)
    said = f"FAILED: {failed} of {len(records)} records" if failed else f"passed ({counts} checks)"
    return said + (f"; {unseen} records not examined" if unseen else "")


def _facts(records: Sequence[RunRecord]) -> tuple[tuple[str, str], ...]:
    """What was run, in words."""
    first, adapted = records[0], [r for r in records if not r.zero_step]
    methods = dict.fromkeys(line.base for line in lines(records) if not line.zero_step)
    lengths = sorted({r.timing.kimg for r in adapted if r.timing.kimg is not None})
    states = {s: sum(r.status == s for r in records) for s in STATES}
    size = first.architecture.get("resolution", first.settings.get("resolution"))
    return (
        ("suite", first.suite),
        *(("caution", text) for text in cautions(records)),
        ("source", first.source + (f", {size} px" if isinstance(size, int) else "") + f" ({first.source_sha256[:12]})"),
        ("methods", ", ".join(methods) or "none"),
        ("domains", ", ".join(sorted({r.domain for r in records}))),
        ("seeds", ", ".join(str(seed) for seed in sorted({r.seed for r in records}))),
        ("training", f"{' or '.join(f'{x:g}' for x in lengths)} kimg" if lengths else "not recorded"),
        ("device", "; ".join(sorted({device_of(r) for r in records}))),
        ("records", ", ".join(f"{n} {state}" for state, n in states.items() if n)),
    )


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("benchmark.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"brief": brief, "breaks": _breaks, "number": _number, "columns": _columns}
    environment.filters |= {"groups": _groups, "bodies": _bodies, "absent": _absent}
    environment.filters["keys"] = lambda cell: " ".join(key[:12] for key in cell.keys)
    environment.filters["verdict"] = _verdict
    environment.filters["control"] = lambda r: control_text(r.control)
    return environment


def _verdict(record: RunRecord) -> str:
    return "not examined" if record.doctor is None else "passed" if record.doctor.passed else "FAILED"


def _breaks(name: str) -> Markup:
    """A metric's name that may be broken after underscores."""
    return Markup("_<wbr>").join(brief(name).split("_"))


def _number(cell: Cell) -> str:
    """The number that a cell is sorted by; nothing where there is none."""
    try:
        value = float(cell.text.split()[0].replace(",", ""))
    except (ValueError, IndexError):
        return cell.text if cell.text and not cell.text.startswith(tuple(WORDS)) else ""
    return repr(value) if math.isfinite(value) else ""


def _columns(table: Table) -> list[tuple[int, Column]]:
    """The columns that say something: where no row has a value, a line below the table does."""
    texts = [{row.cells[i].text for row in table.rows} for i in range(len(table.columns))]
    return [(i, c) for i, c in enumerate(table.columns) if ABSENT not in texts[i] or texts[i] - WORDS]


def _absent(table: Table) -> list[tuple[str, tuple[int, ...]]]:
    """(metric and where, footnotes) of the other columns."""
    shown, found = {i for i, _ in _columns(table)}, dict[tuple[str, tuple[int, ...]], list[str]]()
    for i, c in enumerate(table.columns):
        if i not in shown:
            notes = tuple(sorted({n for row in table.rows if row.cells[i].text == ABSENT for n in row.cells[i].notes}))
            found.setdefault((c.name, notes), []).append(c.group)
    return [(f"{name} ({', '.join(where)})", notes) for (name, notes), where in found.items()]


def _groups(columns: Sequence[tuple[int, Column]]) -> list[dict[str, object]]:
    return [{"name": name, "count": len(list(own))} for name, own in groupby(columns, key=lambda p: p[1].group)]


def _bodies(rows: Sequence[Row]) -> list[list[Row]]:
    """The untouched source apart: it stays above whatever is sorted."""
    return [body for body in ([r for r in rows if r.zero_step], [r for r in rows if not r.zero_step]) if body]
