"""The HTML page: sections and their records in one file without network or other files. Never imports torch.

The templates lie in benchmark/report/templates/. All text of a record is escaped; a Content-Security-Policy forbids
every request and every script but the page's own.
"""

from __future__ import annotations

import json
import math
from base64 import b64encode
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from itertools import groupby
from pathlib import Path

import jinja2
from markupsafe import Markup

from benchmark.report.cautions import cautions
from benchmark.report.figures.draw import Charts
from benchmark.report.figures.drawing import FORBIDDEN, Drawing
from benchmark.report.figures.scatter import method_styles
from benchmark.report.figures.strips import Extremes, Grid, Player, extremes, pictures
from benchmark.report.group import Group
from benchmark.report.lines import control_text, device_of, lengths
from benchmark.report.papers import Paper, paper_of
from benchmark.report.section import Section
from benchmark.report.tables.ranking import ordered
from benchmark.report.tables.table import ABSENT, MISSING, Cell, Column, Row, Table, brief
from benchmark.results import RunRecord

STATES = ("done", "failed", "timed-out", "out-of-memory", "skipped")
WORDS = {ABSENT, *STATES[1:], MISSING}
"""What stands in a cell that has no number."""
MAX_LINES = 20


@dataclass(frozen=True)
class About:
    """A method in words: its mark in the charts, paper, fields and control."""

    name: str
    mark: Markup
    paper: Paper | None
    fields: str
    control: str


@dataclass(frozen=True)
class Part:
    """All that the page shows of records that share a table; ``alarm``: failed checks of the measuring, in lines."""

    id: str
    section: Section
    facts: tuple[tuple[str, str], ...]
    alarm: tuple[str, ...]
    charts: Charts
    grids: tuple[Grid, ...]
    players: tuple[Player, ...]
    extremes: tuple[Extremes, ...]
    methods: tuple[About, ...]

    @property
    def group(self) -> Group:
        return self.section.group


def page(sections: Sequence[Section], charts: Sequence[Charts], results: Path, home: str = "") -> tuple[str, list[str]]:
    """The page, and one line for each picture that could not be used; pictures are read from the folder ``results``.

    Its only links lead to the records, to tables beside it and to the methods' papers. ``home`` is the way from the
    page to the folder of ``records/``, as an address that is empty or ends with a stroke. The same input gives the same
    text.
    """
    parts, problems = [], []
    for number, (section, drawn) in enumerate(zip(sections, charts, strict=True)):
        part, found = _part(f"p{number}", section, drawn, results)
        parts.append(part)
        problems += found
    style, script = (
        (files("benchmark.report") / "templates" / name).read_text("utf-8") for name in ("page.css", "page.js")
    )
    title = sections[0].question if len(sections) == 1 else f"Results: {len(sections)} comparisons"
    text = (
        _environment()
        .get_template("page.html.j2")
        .render(
            parts=parts,
            title=title,
            home=home,
            style=Markup(style),
            script=Markup(script),
            script_hash=b64encode(sha256(script.encode()).digest()).decode(),
        )
    )
    return FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text), problems


def html_tables(title: str, tables: Sequence[Table]) -> str:
    """Tables that are no section as a page of their own, without a script."""
    style = (files("benchmark.report") / "templates" / "page.css").read_text("utf-8")
    template = _environment().get_template("alone.html.j2")
    text = template.render(title=title, tables=tables, style=Markup(style))
    return FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)


def _part(id: str, section: Section, charts: Charts, results: Path) -> tuple[Part, list[str]]:
    group = section.group
    grids, players = pictures(id, group, results)
    players = [_with_stops(player, charts) for player in players]
    ends, unusable = extremes(id, group, results)
    facts = (*_facts(group), *_gaps(group), ("measuring checks", _checks(group.records)))
    drawn = charts, tuple(grids), tuple(players), tuple(ends), tuple(_about(group))
    return Part(id, section, facts, _alarm(group.records), *drawn), unusable


def _with_stops(player: Player, charts: Charts) -> Player:
    """A slider that knows where its values stand in the chart above it: px from the chart's left."""
    chart = charts.controls.get((player.method, player.domain))
    known = json.loads(player.frames)
    if chart is not None and len(chart.stops) == len(known["frames"]):
        for frame, x in zip(known["frames"], chart.stops, strict=True):
            frame["x"] = round(x, 1)
    return Player(player.title, player.method, player.domain, json.dumps(known))


def _about(group: Group) -> list[About]:
    found, drawn = [], method_styles(group)
    for line in ordered(group):
        drawing = Drawing(14, 14, f"mark of {line.base}")
        drawing.marker(7, 7, drawn[line.base], 4.4)
        fields = ", ".join(f"{k} {json.dumps(v)}" for k, v in line.records[0].fields.items()) or "none"
        values = [control_text(x.control) for x in group.by_base[line.base] if x.control is not None]
        name = (line.records[0].control_name or "control").replace("_", " ")
        control = f"{name}: {', '.join(dict.fromkeys(values))}" if values else "none"
        found.append(About(line.base, drawing.svg(), paper_of(line.records[0].method), fields, control))
    return found


def _gaps(group: Group) -> list[tuple[str, str]]:
    """Which seeds of which method have no numbers, as a fact; none where all have."""
    said = []
    for line in group.lines:
        shown = line.is_default or line.zero_step or line in group.without_default
        for domain in group.domains if shown else ():
            states = {r.seed: r.status for r in group.at(line, domain)}
            bad = [f"seed {n} {states.get(n, 'not run')}" for n in group.seeds if states.get(n) != "done"]
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


def _facts(group: Group) -> tuple[tuple[str, str], ...]:
    """What was run, in words."""
    records = group.records
    first = records[0]
    trained = lengths(records)
    commits = sorted({str(c)[:7] for r in records if (c := r.environment.get("commit"))})
    states = {s: sum(r.status == s for r in records) for s in STATES}
    size = first.architecture.get("resolution", first.settings.get("resolution"))
    return (
        *(("caution", text) for text in cautions(records)),
        ("suite", first.suite),
        ("source", first.source + (f", {size} px" if isinstance(size, int) else "")),
        ("seeds", ", ".join(str(seed) for seed in group.seeds)),
        ("training", f"{trained} kimg" if trained else "not recorded"),
        ("machine", "; ".join(sorted({device_of(r) for r in records}))),
        *([("commit", " and ".join(commits))] if commits else []),
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
    environment.filters |= {"brief": brief, "number": _number, "groups": _groups, "bodies": _bodies, "mark": _mark}
    environment.filters["keys"] = lambda cell: " ".join(key[:12] for key in cell.keys[:30])
    environment.filters["verdict"] = _verdict
    environment.filters["control"] = lambda r: control_text(r.control)
    environment.filters["sign"] = lambda name: sha256(name.encode()).hexdigest()[:10]
    return environment


def _verdict(record: RunRecord) -> str:
    return "not examined" if record.doctor is None else "passed" if record.doctor.passed else "FAILED"


def _number(cell: Cell) -> str:
    """The number that a cell is sorted by; nothing where there is none."""
    try:
        value = float(cell.text.split()[0].replace(",", "").rstrip("†"))
    except (ValueError, IndexError):
        return cell.text if cell.text and not cell.text.startswith(tuple(WORDS)) else ""
    return repr(value) if math.isfinite(value) else ""


def _mark(part: Part, method: str) -> Markup:
    """The mark of a method in the charts."""
    return next((m.mark for m in part.methods if m.name == method), Markup(""))


def _groups(columns: Sequence[Column]) -> list[dict[str, object]]:
    return [{"name": name, "count": len(list(own))} for name, own in groupby(columns, key=lambda c: c.group)]


def _bodies(rows: Sequence[Row]) -> list[list[Row]]:
    """The untouched source apart: it stays above whatever is sorted, and the best possible images below."""
    last = [r for r in rows if not r.zero_step and not r.method]
    middle = [r for r in rows if not r.zero_step and r.method]
    if not middle:
        middle, last = last, []
    return [body for body in ([r for r in rows if r.zero_step], middle, last) if body]
