"""Parts of README.md and docs/ that are made from published records: tables, captions, sentences (see measured.py)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import answers
import chosen
import comparison
import repetition
from published import ROOT, Published, every, pooled

from benchmark.metrics.base import Kind
from benchmark.metrics.catalogue import info_of
from benchmark.report.figures.grids import slug
from benchmark.report.group import ERRORS, Group, row_label, short_title
from benchmark.report.lines import Line, control_text, lengths, metric_of
from benchmark.report.render import markdown_table
from benchmark.report.sentences import sentences
from benchmark.report.tables.headline import headline
from benchmark.report.tables.metrics import column_digits, metric_cells
from benchmark.report.tables.ranking import ordered
from benchmark.report.tables.table import ARROWS, Cell, Column, Footnotes, Row, Table, mean_text
from benchmark.results.reals import read_reals
from benchmark.system.text.lists import listed

KNOWN: tuple[Kind, ...] = ("kid", "translation_error_l1", "share_of_the_way", "identity_retrieval")
UNKNOWN: tuple[Kind, ...] = ("kid", "recall", "distance_averaged")
"""Columns of a domain where right answers are known, and where they are not."""
REMARKS = {
    "open-peeps-64": "That source hardly uses its noise, so methods that act through it cannot show their effect."
}
"""What to know of a source, whatever the numbers."""


def table(p: Published, page: Path, more: str) -> str:
    """Methods at their default control, and those named in `more` at every value of theirs."""
    g, notes = p.group, Footnotes()
    shown = [*([g.source] if g.source else []), *_rows(g, _known(p, more.split(", ") if more else []))]
    columns, cells, legend = list[Column](), list[list[Cell]](), dict[str, None]()
    for domain in g.domains:
        for metric in _metrics(g, domain):
            columns.append(Column(domain, short_title(metric), ARROWS[g.better(metric)]))
            cells.append(metric_cells(g, domain, metric, shown, notes, noted=False)[0])
            m = g.examples[domain, metric]
            legend[f"{short_title(metric)} `{metric}` (N = {m.n})"] = None
    rows = [
        Row(_label(g, line), tuple(c[i] for c in cells), line.zero_step, method="" if line.zero_step else line.base)
        for i, line in enumerate(shown)
    ]
    text = markdown_table(Table("", tuple(columns), tuple(rows), tuple(notes)))
    others = ["Rows at other values of a control are shown, but neither ranked nor marked."] if more else []
    return "\n".join([text, "", *_conditions(p, page), *others, f"Columns: {', '.join(legend)}.", *_scales(g)])


def rows(p: Published, page: Path, more: str) -> str:
    """The rows of some methods: fidelity and the distance or error of each domain, parameters trained and stored."""
    g, wanted = p.group, _known(p, more.split(", "))
    lines = [x for x in (g.source, *ordered(g)) if x is not None and x.records[0].method in wanted]
    columns, cells = list[Column](), list[list[Cell]]()
    for domain in g.domains:
        for metric in filter(None, (g.fidelity, g.preservation(domain))):
            columns.append(Column(domain, short_title(metric), ARROWS[g.better(metric)]))
            cells.append(metric_cells(g, domain, metric, lines, Footnotes(), noted=False)[0])
    for name, title in (("trainable_params", "parameters trained"), ("shipped_params", "stored")):
        counts = [max((getattr(r.timing, name) or 0 for r in x.records), default=0) for x in lines]
        columns.append(Column("", title))
        cells.append([Cell(f"{count:,}") for count in counts])
    made = tuple(Row(row_label(x), tuple(c[i] for c in cells), x.zero_step) for i, x in enumerate(lines))
    return markdown_table(Table("", tuple(columns), made)) + f"\n\nFrom [these tables]({p.link('tables.md', page)})."


def overview(p: Published, page: Path, more: str) -> str:
    """The report's own headline table, or those of its columns whose titles are in ``more``."""
    whole = _only(headline(p.group), more.split(", ")) if more else headline(p.group)
    text = markdown_table(replace(whole, caption=(), legend=()))
    words = (_code(line) for line in replace(whole, caption=("",)).words[1:])
    return "\n".join([text, "", *_conditions(p, page), *words, *_scales(p.group)])


def _only(whole: Table, names: Sequence[str]) -> Table:
    unknown = set(names) - {column.name for column in whole.columns}
    if unknown:
        raise LookupError(f"the headline table has no column {listed(sorted(unknown))}")
    kept = [i for i, column in enumerate(whole.columns) if column.name in names]
    rows = tuple(replace(row, cells=tuple(row.cells[i] for i in kept)) for row in whole.rows)
    return replace(whole, columns=tuple(whole.columns[i] for i in kept), rows=rows)


def picture(p: Published, page: Path, more: str) -> str:
    """A drawing of the folder: ``DOMAIN`` or ``DOMAIN, METHOD`` along the method's control."""
    domain, _, method = more.partition(", ")
    if not method:
        name, text = (
            f"grid_{slug(domain)}.png",
            f"The same latent in each column, on {domain}: the source, then one row per method",
        )
    else:
        base = next(x.base for x in p.group.lines if x.records[0].method in _known(p, [method]))
        name = f"controls_{slug(domain)}__{slug(base)}.png"
        text = f"{base} on {domain} along its control, a latent in each column; first row: source, last: real images"
    if not (p.folder / "figures" / name).is_file():
        raise LookupError(f"{p.folder.name} has no drawing {name}")
    return f"![{text}]({p.link(f'figures/{name}', page)})"


def findings(p: Published, page: Path, more: str) -> str:
    """What the statistics say, and what the columns of known answers and the controls add."""
    return "\n".join(f"- {_code(text)}" for text in (*sentences(p.group), *_of_source(p.group), *_ways(p.group)))


def seeds(p: Published, page: Path, more: str) -> str:
    """How much the seed alone moves the fidelity of a method."""
    g, found = p.group, []
    name = short_title(g.fidelity or "")
    for domain in g.domains:
        for line in g.shown:
            values = [*g.values(line, domain, g.fidelity).values()]
            found += [max(values) - min(values)] if len(values) > 1 else []
    first, tables = g.records[0], p.link("tables.md", page)
    where = f"suite `{first.suite}`, source `{first.source}`, {lengths(g.records)} kimg, [tables]({tables})"
    if not found:
        return f"The seed's part in these numbers is not known: {where} has one seed."
    return (
        f"The seed alone moves a method's {name} by {min(found):.2g} to {max(found):.2g} (highest minus lowest of "
        f"{len(g.seeds)} seeds; {where})."
    )


def verdict(p: Published, page: Path, more: str) -> str:
    """How far the run is, and a sentence per claim of docs/answers.md and method."""
    g = _all(p)
    return "\n".join(comparison.summary(g, answers.findings(g)))


def verdicts(p: Published, page: Path, more: str) -> str:
    """What the records of all folders of the suite say to the claims of docs/answers.md."""
    parts, g = every(p.group.records[0].suite, p.folder.parent), _all(p)
    found = answers.findings(g)
    said = [*comparison.summary(g, found), "", markdown_table(comparison.table(found)), "", *comparison.LEGEND, ""]
    return "\n".join([*said, *(line for part in parts for line in _conditions(part, page))])


def reals(p: Published, page: Path, more: str) -> str:
    """What training images score against held-out ones, where the folder keeps it."""
    found = {scores.domain: scores for scores in read_reals(p.folder) if scores.domain in p.group.domains}
    if not found:
        return "No published folder of the default suite holds these scores yet."
    parts = []
    for domain, scores in sorted(found.items()):
        told = {
            name: m
            for name, m in scores.metrics.items()
            if info_of(name).kind in ("kid", "coverage", "precision", "recall")
        }
        words = [
            f"{short_title(n)} {m.value:.2g}" + (f" ± {m.std_error:.1g}" if m.std_error else "")
            for n, m in told.items()
            if m.value is not None
        ]
        count = next((m.n for m in told.values()), 0)
        parts.append(f"{count} training images of `{domain}` have {', '.join(words)}")
    return f"Suite `{p.group.records[0].suite}`: {'; '.join(parts)} (± standard error)."


def _all(p: Published) -> Group:
    """The records of all folders with the suite of this one."""
    return pooled(every(p.group.records[0].suite, p.folder.parent))


def _known(p: Published, names: Sequence[str]) -> Sequence[str]:
    """The names; LookupError where the folder has no row of a method."""
    unknown = set(names) - {x.records[0].method for x in p.group.lines}
    if unknown:
        raise LookupError(f"{p.folder.name} has no method {listed(sorted(unknown))}")
    return names


def _rows(g: Group, whole: Sequence[str]) -> Iterator[Line]:
    """Methods at their default control in the report's order; those of `whole` at all values of theirs."""
    for line in ordered(g):
        yield from g.by_base[line.base] if line.records[0].method in whole else [line]


def _metrics(g: Group, domain: str) -> list[str]:
    kinds = KNOWN if any(info_of(m).kind in ERRORS and g.measured(domain, m) for m in g.metrics) else UNKNOWN
    found = [metric_of(g.records, kind) for kind in kinds]
    return [m for m in found if m is not None and g.measured(domain, m)]


def _label(g: Group, line: Line) -> str:
    several = not line.zero_step and line.control is not None and line.is_default and len(g.by_base[line.base]) > 1
    return row_label(line) + (", default" if several else "")


def _conditions(p: Published, page: Path) -> Iterator[str]:
    """Which run it is, on how many seeds, what is marked, and what else must be said of it."""
    g = p.group
    first = g.records[0]
    count = f"one seed ({g.seeds[0]})" if len(g.seeds) == 1 else f"{len(g.seeds)} seeds"
    yield (
        f"Suite `{first.suite}`, source `{first.source}`, {lengths(g.records)} kimg, {count}, "
        f"published as `{p.folder.name}`; all numbers, costs and conditions: [tables]({p.link('tables.md', page)})."
    )
    note = p.folder / "NOTE.md"
    yield from note.read_text("utf-8").strip().splitlines() if note.is_file() else []
    yield from [REMARKS[first.source]] if first.source in REMARKS else []
    yield from (_code(text) for text in headline(g).caption if text)


def _scales(g: Group) -> Iterator[str]:
    """Floor and ceiling of the metrics that have them, as means over the records."""
    metric = metric_of(g.records, "translation_error_l1")
    for domain in g.domains if metric else ():
        ends = [
            (m.floor, m.ceiling)
            for r in g.records
            if r.domain == domain and (m := r.metrics.get(metric or "")) and m.value is not None
        ]
        floors, ceilings = ([v for v in own if v is not None] for own in zip(*ends, strict=True)) if ends else ([], [])
        if floors and ceilings:
            floor, ceiling = (sum(values) / len(values) for values in (floors, ceilings))
            yield (
                f"On {domain} the error's floor, the same answer with different grain, is {floor:.3f}; "
                f"its ceiling, the right answer for another latent, is {ceiling:.3f}."
            )


def _of_source(g: Group) -> Iterator[str]:
    """The plain method in words: how much of the source's distance is left, whose drawings they are."""
    if g.plain is None or g.source is None or g.fidelity is None:
        return
    left, kept = [], []
    identity = metric_of(g.records, "identity_retrieval")
    for domain in g.domains:
        own, base = (_mean(g.values(x, domain, g.fidelity).values()) for x in (g.plain, g.source))
        left += [f"{100 * own / base:.0f} % on {domain}"] if own is not None and base else []
        same = [*g.values(g.plain, domain, identity).values()]
        kept += [f"{_text(g, domain, identity, same)} on {domain}"] if same and identity else []
    if left:
        more = f"; identity kept is {listed(kept)}" if kept else ""
        name = short_title(g.fidelity)
        yield f"{g.plain.base} leaves this share of the untouched source's {name}: {listed(left)}{more}."


def _ways(g: Group) -> Iterator[str]:
    """Each numeric control from its first value to its last, where right answers are known."""
    for base in g.controlled:
        lines = [x for x in g.by_base[base] if isinstance(x.control, int | float)]
        for domain in g.domains if len(lines) > 1 else []:
            metrics = [m for m in _metrics(g, domain) if info_of(m).kind in ("share_of_the_way", "identity_retrieval")]
            ends = lines[0], lines[-1]
            both = [(m, *([*g.values(x, domain, m).values()] for x in ends)) for m in metrics]
            parts = [
                f"{short_title(m)} {_text(g, domain, m, a)} to {_text(g, domain, m, b)}" for m, a, b in both if a and b
            ]
            name = (lines[0].records[0].control_name or "control").replace("_", " ")
            unit = " px" * name.endswith(" px")
            path = (
                f"{name.removesuffix(' px')} {control_text(ends[0].control)} to {control_text(ends[1].control)}{unit}"
            )
            if parts:
                yield f"{base} on {domain}, {path}: {'; '.join(parts)}."


def _text(g: Group, domain: str, metric: str, values: Sequence[float]) -> str:
    return mean_text(values, column_digits(g, domain, metric))


def _mean(values: Iterable[float]) -> float | None:
    known = [*values]
    return sum(known) / len(known) if known else None


def _code(text: str) -> str:
    return re.sub(r"(?<![`\w])(\w+_\w+)(?![`\w])", r"`\1`", text)


PARTS: dict[str, Callable[[Published, Path, str], str]] = {
    "table": table,
    "rows": rows,
    "overview": overview,
    "picture": picture,
    "findings": findings,
    "seeds": seeds,
    "reals": reals,
    "verdict": verdict,
    "verdicts": verdicts,
    "by-domain": lambda p, page, more: markdown_table(comparison.by_domain(answers.findings(_all(p)))),
    "image-weights": lambda p, page, more: markdown_table(
        chosen.image_weights_table(ROOT / "results" / "trials" / more)
    ),
    "repetition": lambda p, page, more: repetition.repetition(_all(p), ROOT / "results" / "trials" / more),
    "settings": lambda p, page, more: chosen.written(p.group, ROOT / "results" / "trials" / more),
}
