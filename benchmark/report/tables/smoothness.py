"""Controls at a glance: how far each goes, whether it turns back, how even its steps are, how many models it needs."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.report.group import Group, short_title
from benchmark.report.lines import Line, control_text
from benchmark.report.tables.controls import generators_kept
from benchmark.report.tables.metrics import column_digits
from benchmark.report.tables.ranking import ordered
from benchmark.report.tables.table import (
    MANY_DOMAINS,
    MISSING,
    Cell,
    Column,
    Row,
    Table,
    number,
)
from benchmark.report.tables.ways import Curve, changes, measures, numbered, still, unevenness, ways

DIGITS = 3
TITLE = "How smooth is each control?"
MEANING = {
    "share of the way": "0 at the source, 1 at the right answer",
    "to source": "distance to the source's image of the same latent",
    "to source, averaged": "distance to the source's image of the same latent, both averaged over the noise",
}


def smoothness_table(group: Group) -> Table | None:
    """A row per method with a control, three columns per domain; None without any, or with very many domains."""
    found = ways(group)
    domains = sorted({domain for _, domain in found})
    if not found or len(domains) > MANY_DOMAINS:
        return None
    rows = []
    known = {base for base, _ in found}
    for base in dict.fromkeys(x.base for x in (*ordered(group), *group.without_default) if x.base in known):
        lines = numbered(group, base)
        cells = [Cell(generators_kept([r for line in lines for r in line.records]))]
        for domain in domains:
            keys = tuple(r.record_key for line in (lines[0], lines[-1]) for r in group.at(line, domain))
            cells += _cells(group, domain, found.get((base, domain), []), keys)
        rows.append(Row(_label(base, lines), tuple(cells), method=base))
    columns = [Column("", "models")]
    for domain in domains:
        name = short_title(group.way(domain) or "")
        columns += [Column(domain, name), Column(domain, "monotone"), Column(domain, "unevenness", "↓")]
    return Table(TITLE, tuple(columns), tuple(rows), (), _caption(found), "control", _legend(group, domains))


def _label(base: str, lines: Sequence[Line]) -> str:
    """``FixNoise (noise 0 to 1)``, ``Layer swapping (8 to 32 px)``."""
    name = (lines[0].records[0].control_name or "control").replace("_", " ")
    values = f"{control_text(lines[0].control)} to {control_text(lines[-1].control)}"
    return f"{base} ({values} px)" if name.endswith(" px") else f"{base} ({name} {values})"


def _cells(group: Group, domain: str, own: list[Curve], keys: tuple[str, ...]) -> list[Cell]:
    """From the first to the last value, whether each seed goes one way, and largest over mean step."""
    if not own:
        return [Cell(MISSING)] * 3
    digits = min(DIGITS, column_digits(group, domain, group.way(domain) or ""))
    ends = (sum(curve.far[i] for curve in own) / len(own) for i in (0, -1))
    way = Cell(" to ".join(number(v, digits) if v else "0" for v in ends), keys=keys)
    if still(own):
        return [way, Cell(MISSING), Cell(MISSING)]
    moving = [curve for curve in own if not curve.still]
    straight = sum((measures(curve)["directness"] or 0) > 1 - 1e-9 for curve in moving)
    word = "yes" if straight == len(moving) else f"{straight} of {len(moving)} seeds" if straight else "no"
    uneven = [v for curve in moving if (v := unevenness(changes(curve))) is not None]
    return [way, Cell(word), Cell(number(sum(uneven) / len(uneven), 2), keys=keys)]


def _legend(group: Group, domains: Sequence[str]) -> tuple[tuple[str, str], ...]:
    where: dict[str, list[str]] = {}
    for domain in domains:
        where.setdefault(group.way(domain) or "", []).append(domain)
    said = []
    for metric, own in where.items():
        name = short_title(metric)
        what = MEANING.get(name, group.examples[own[0], metric].title or metric)
        said.append((name, f"{name} ({', '.join(own)}): {what}; at the first and the last value of the control."))
    return (*said, ("models", "models: generators to keep; 1 serves all values of the control."))


def _caption(found: dict[tuple[str, str], list[Curve]]) -> tuple[str, ...]:
    """What the columns say of every measure, and whose steps are fewer or more than those of most."""
    counts = {base: len(changes(own[0])) for (base, _), own in found.items()}
    usual = max(sorted(set(counts.values())), key=[*counts.values()].count)
    others = [f"{base} {n}" for base, n in counts.items() if n != usual]
    said = f"Steps measured: {', '.join(others)}, all others {usual}; compare unevenness where they are alike."
    return (
        "monotone: no step turns back, in any seed. unevenness: largest over mean step, mean of the seeds; 1 is even. "
        f"{MISSING}: the control moves it by less than twice the standard error over images.",
        *([said] if others else []),
    )
