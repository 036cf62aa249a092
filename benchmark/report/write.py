"""A folder of records -> tables.md, tables.tex, tables.csv, provenance.csv, figures/ and page.html, without torch.

Everything is computed from the records alone, and the same records give the same bytes.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from benchmark.errors import ConfigError, DataError
from benchmark.report.figures.draw import draw
from benchmark.report.figures.grids import slug, write_grids
from benchmark.report.figures.paper import write_pdf
from benchmark.report.group import group_of
from benchmark.report.lines import flatten, groups, lines, tidy
from benchmark.report.page import page
from benchmark.report.render import latex, markdown
from benchmark.report.section import Section, section_of, with_conditions, with_note, with_pictures
from benchmark.report.spreadsheet import csv_text
from benchmark.report.tables.table import ABSENT, brief, why_absent
from benchmark.results import ResultStore, RunRecord
from benchmark.results.note import read_note
from benchmark.results.reals import read_reals
from benchmark.system.files import write_atomic
from benchmark.system.text.terminal import visible_line

__all__ = ["Report", "Section", "read", "show", "write_report"]


LONG = 2000
"""Characters of a reason in `show`."""


@dataclass(frozen=True)
class Report:
    """The files written, one line per file of the store or picture that could not be used, and what was tabulated."""

    paths: tuple[Path, ...]
    problems: tuple[str, ...]
    sections: tuple[Section, ...]


def read(results: Path, keys: Collection[str] | None = None) -> tuple[list[RunRecord], list[str]]:
    """The records of a folder (those of ``keys``) and a line per file that is none; DataError where there are none."""
    store = ResultStore(results)
    records, problems = store.read_all()
    records = [r for r in records if keys is None or r.record_key in keys]
    if not records:
        more = f" ({problems[0]})" if problems else ""
        raise DataError(f"no usable records in {store.records}{more}: run a suite into this folder first")
    return records, problems


def write_report(
    results: Path, out: Path | None = None, keys: Collection[str] | None = None, pdf: bool = False
) -> Report:
    """Tabulate and draw the records of the folder ``results`` into ``out`` (the same folder by default).

    ``keys`` are the records of one run: they are in the report, and so are others of the folder unless they were not
    measured like these; then the report says what it leaves out. Records of different suites or sources get tables of
    their own. With ``pdf`` there is a chart for a paper, too.

    Raises DataError (no folder, no records, ``out`` not writable, or a link in it) and ConfigError (records that were
    not measured alike); nothing is written then.
    """
    out = Path(out or results)
    ResultStore(out).ensure_no_links()
    records, problems = read(results)
    records, left_out = (records, []) if keys is None else with_earlier(records, keys)
    if not records:
        raise DataError(f"no usable records of this run in {results}: run the suite again")
    problems = [*problems, *left_out]
    reals = read_reals(Path(results), problems)
    note = read_note(Path(results), problems)
    made = [with_conditions(section_of(group_of(group, reals)), left_out) for group in groups(records)]
    made = [with_note(section, note) for section in made]
    paths: list[Path] = []
    sections, drawings = [], []
    for section in made:
        first = section.group.records[0]
        prefix = f"{slug(first.suite)}_{slug(first.source)}_{slug(first.source_sha256[:8])}_" if len(made) > 1 else ""
        drawn = write_grids(section.group, Path(results), out / "figures", prefix)
        charts, unread = draw(section, Path(results) / "logs")
        files = [out / "figures" / f"{prefix}{name}.png" for name in charts.files]
        for path, chart in zip(files, charts.files.values(), strict=True):
            write_atomic(path, chart.png())
        problems += [*drawn.problems, *unread]
        paths += [*drawn.paths, *files]
        vector = out / "figures" / f"{prefix}trade-off.pdf"
        paths += [vector] if pdf and write_pdf(section.group, vector) else []
        sections.append(with_pictures(section, [f"figures/{p.name}" for p in (*files, *drawn.paths)]))
        drawings.append(charts)
    html, unused = page(sections, drawings, Path(results), _way(out, Path(results)))
    problems += unused
    table = tidy(records)
    long = csv_text([table.columns, *table.itertuples(index=False)])
    texts = {"tables.md": markdown(sections), "tables.tex": latex(sections), "tables.csv": long}
    texts |= {"provenance.csv": provenance(sections), "page.html": html}
    for name, text in texts.items():
        write_atomic(out / name, text.encode())
        paths.append(out / name)
    return Report(tuple(paths), tuple(dict.fromkeys(problems)), tuple(sections))


def _way(start: Path, end: Path) -> str:
    """The relative address of a folder, empty where it is the same."""
    way = Path(os.path.relpath(end.resolve(), start.resolve())).as_posix()
    return "" if way == "." else f"{quote(way)}/"


def with_earlier(records: Sequence[RunRecord], keys: Collection[str]) -> tuple[list[RunRecord], list[str]]:
    """The records ``keys`` and those of the others that can stand beside them, and a sentence for each set left out."""
    kept, left_out = [r for r in records if r.record_key in keys], []
    others: dict[tuple[str, str, str], list[RunRecord]] = defaultdict(list)
    for r in records:
        if r.record_key not in keys:
            others[r.suite, r.source, r.source_sha256].append(r)
    for place, earlier in others.items():
        own = [r for r in kept if (r.suite, r.source, r.source_sha256) == place]
        try:
            for group in groups([*own, *earlier]):
                lines(group)
            kept += earlier
        except ConfigError as error:
            left_out.append(f"Left out: {len(earlier)} other records of suite {place[0]} in this folder: {error}.")
    return kept, left_out


def provenance(sections: Sequence[Section]) -> str:
    """CSV with a row for each cell that comes from records: where it stands, what it says, the keys of the records."""
    rows: list[tuple[str, ...]] = [("section", "table", "row", "group", "column", "cell", "record_keys")]
    for section in sections:
        for table in section.tables:
            name = "headline" if table is section.headline else table.title
            for row in table.rows:
                for column, cell in zip(table.columns, row.cells, strict=True):
                    place = (section.title, name, row.label, column.group, column.name)
                    if cell.keys:
                        rows.append((*place, cell.text, " ".join(cell.keys)))
    return csv_text(rows)


def show(record: RunRecord) -> str:
    """One record for a person to read."""
    knob = f", {record.control_name or 'control'}={record.control}" if record.control is not None else ""
    lines = [f"{record.record_key}  {record.status}" + (f": {record.reason}" if record.reason else "")]
    lines += [
        f"{record.method}{knob} on {record.domain}, seed {record.seed}, suite {record.suite}, from {record.source}"
    ]
    for name, m in record.metrics.items():
        spread = f" ± {m.std_error:g} (standard error)" if m.std_error is not None else ""
        spread += f", interval {m.interval[0]:g} to {m.interval[1]:g}" if m.interval else ""
        absent = f"{ABSENT}: {why_absent(m.reason, LONG)}"
        value = absent if m.value is None else f"{m.value:g}{spread} (N={m.n}, {m.better} is better)"
        lines.append(f"  {name:24} {value}" + (f"; {m.note}" if m.note else ""))
    if record.doctor and not record.doctor.passed:
        lines.append(f"measured although the doctor failed: {brief('; '.join(record.doctor.failed), 600)}")
    for title, values in (
        ("timing", record.timing.model_dump(exclude_none=True)),
        ("fields", record.fields),
        ("settings", record.settings),
        ("environment", record.environment),
    ):
        lines += [f"{title}:", *(f"  {name:24} {value}" for name, value in flatten(values).items())] if values else []
    lines += [f"note: {note}" for note in record.notes]
    lines += [f"samples: {record.grid}"] if record.grid else []
    return "\n".join(map(visible_line, lines))
