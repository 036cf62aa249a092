"""A folder of records -> tables.md, tables.tex, tables.csv, provenance.csv, figures/ and page.html, without torch.

Everything is computed from the records alone, and the same records give the same bytes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import ConfigError, DataError
from benchmark.report.controls import control_table
from benchmark.report.differences import pairs_table
from benchmark.report.figures.grids import slug, write_figures
from benchmark.report.lines import flatten, groups, lines, machine, metric_names, tidy
from benchmark.report.page import page
from benchmark.report.published import published_table
from benchmark.report.render import latex, markdown, rich_table
from benchmark.report.spreadsheet import csv_text
from benchmark.report.tables import Section, brief, cost_table, primary_table
from benchmark.results import ResultStore, RunRecord
from benchmark.system.files import write_atomic
from benchmark.system.terminal import visible_line

__all__ = ["Report", "Section", "conditions", "primary_table", "rich_table", "show", "write_report"]


@dataclass(frozen=True)
class Report:
    """The files written, one line per file of the store or picture that could not be used, and what was tabulated."""

    paths: tuple[Path, ...]
    problems: tuple[str, ...]
    sections: tuple[Section, ...]


def write_report(results: Path, out: Path | None = None, keys: Collection[str] | None = None) -> Report:
    """Tabulate and draw the records of the folder ``results`` into ``out`` (the same folder by default).

    ``keys`` are the records of one run: they are in the report, and so are others of the folder unless they were not
    measured like these; then the report says what it leaves out. Records of different suites or sources get tables of
    their own. Raises DataError (no folder, no records, ``out`` not writable, or a link in it) and ConfigError (records
    that were not measured alike); nothing is written then.
    """
    store, out = ResultStore(results), Path(out or results)
    ResultStore(out).ensure_no_links()
    records, problems = store.read_all()
    records, left_out = (records, []) if keys is None else with_earlier(records, keys)
    if not records:
        more = f" ({problems[0]})" if problems else ""
        raise DataError(f"no usable records in {store.records}{more}: run a suite into this folder first")
    found = groups(records)
    tables = [
        (primary_table(group, controls=True), cost_table(group), [*conditions(group), *left_out]) for group in found
    ]
    problems += left_out
    paths, sections = [], []
    for group, (quality, cost, listed) in zip(found, tables, strict=True):
        first = group[0]
        prefix = f"{slug(first.suite)}_{slug(first.source)}_{slug(first.source_sha256[:8])}_" if len(found) > 1 else ""
        drawn = write_figures(group, store.out, out / "figures", prefix)
        problems += drawn.problems
        paths += drawn.paths
        pictures = tuple(f"figures/{p.name}" for p in drawn.paths)
        further = control_table(group), pairs_table(group), published_table(group)
        sections.append(Section(quality, cost, tuple(listed), pictures, *further))
    html, unused = page(sections, found, store.out)
    problems += unused
    table = tidy(records)
    long = csv_text([table.columns, *table.itertuples(index=False)])
    texts = {"tables.md": markdown(sections), "tables.tex": latex(sections), "tables.csv": long}
    texts |= {"provenance.csv": provenance(sections), "page.html": html}
    for name, text in texts.items():
        write_atomic(out / name, text.encode())
        paths.append(out / name)
    return Report(tuple(paths), tuple(problems), tuple(sections))


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
            for row in table.rows:
                for column, cell in zip(table.columns, row.cells, strict=True):
                    place = (section.quality.title, table.title, row.label, column.group, column.name)
                    if cell.keys:
                        rows.append((*place, cell.text, " ".join(cell.keys)))
    return csv_text(rows)


def conditions(records: Sequence[RunRecord]) -> list[str]:
    """Sentences without which the numbers of these records (one suite, one source) mean nothing."""
    first = records[0]
    digests = dict(sorted((r.domain, r.domain_digest[:12]) for r in records))
    said = [f"Suite: {first.suite}. Source: {first.source} (sha256 {first.source_sha256[:12]})."]
    said += [f"Domains: {', '.join(f'{name} (digest {digest})' for name, digest in digests.items())}."]
    said += [f"Seeds: {', '.join(str(seed) for seed in sorted({r.seed for r in records}))}."]
    said += _varying("Settings", ((r.domain, flatten(r.settings)) for r in records))
    for name in metric_names(records):
        m = next(r.metrics[name] for r in records if name in r.metrics)
        said.append(f"{name}: {m.title + '; ' if m.title else ''}{m.better} is better.")
    methods = {r.method for r in records if not r.zero_step}
    holders: dict[str, set[str]] = defaultdict(set)
    for r in records:
        for note in r.notes:
            holders[note].add(r.method)
    for note, who in holders.items():
        said.append(f"{note}" if who >= methods else f"{', '.join(sorted(who))}: {note}")
    said += _varying("Environment", ((r.domain, machine(r)) for r in records))
    said.append(f"Doctor: {_doctor(records)}.")
    said.append("Which records are behind which number: provenance.csv, beside the tables.")
    return said


def _doctor(records: Sequence[RunRecord]) -> str:
    verdicts = [r.doctor for r in records if r.status == "done"]
    passed, failed = (sum(d is not None and d.passed is p for d in verdicts) for p in (True, False))
    counts = ((passed, "passed"), (failed, "failed"), (len(verdicts) - passed - failed, "not examined"))
    return ", ".join(f"{n} of {len(verdicts)} records {word}" for n, word in counts if n) or "no record was measured"


def _varying(title: str, settings: Iterable[tuple[str, dict[str, str]]]) -> list[str]:
    """One line of what is the same everywhere, one line for each setting that is not."""
    values: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for domain, flat in settings:
        for name, value in flat.items():
            values[name][value].add(domain)
    same = [f"{name} {next(iter(v))}" for name, v in values.items() if len(v) == 1]
    lines = [f"{title}: {', '.join(same)}."] if same else []
    for name, by_value in values.items():
        if len(by_value) > 1:
            cases = "; ".join(f"{value} ({', '.join(sorted(where))})" for value, where in sorted(by_value.items()))
            lines.append(f"{title}, {name}: {cases}.")
    return lines


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
        value = (
            f"not available: {m.reason}" if m.value is None else f"{m.value:g}{spread} (N={m.n}, {m.better} is better)"
        )
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
