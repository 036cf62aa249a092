"""Control curves in numbers: how far a method's control goes, how evenly, and what it gives on the way.

For each method, domain and seed, along the grid of the control:

- path: sum of the perceptual steps from one value to the next (same z, same noise stream).
- unevenness: largest step over mean step; 1 is perfectly even.
- directness: net change of the distance to the source over the sum of its changes; 1 is monotone, 0 comes back.

A control that changes the images by less than twice the standard error over them has neither: largest over mean of
rounding errors says nothing.
"""

from __future__ import annotations

from benchmark.metrics.base import DISTANCES
from benchmark.report.group import Group, short_title
from benchmark.report.lines import Line, control_text, metric_of
from benchmark.report.tables.metrics import column_digits
from benchmark.report.tables.table import ARROWS, MISSING, Cell, Column, Row, Table, decimals, mean_text, spread
from benchmark.report.tables.ways import by_place, curves, little, measures, still, ways
from benchmark.results import RunRecord

COLUMNS = {"path": "", "unevenness": "↓", "directness": "↑"}
"""Column: its direction."""


def control_table(group: Group) -> Table | None:
    """One row per method with a control, a group of columns per domain, mean ± std over seeds; None without steps."""
    found = curves(group)
    if not any(curve.steps for curve in found.values()):
        return None
    domains = sorted({domain for _, domain, _ in found})
    rows, quiet = [], list[str]()
    grouped = by_place(found)
    for base in dict.fromkeys(base for base, _, _ in found):
        behind = [r for line in group.by_base[base] for r in line.records]
        cells = [Cell(generators_kept(behind))]
        for domain in domains:
            own = grouped.get((base, domain), [])
            numbers = [measures(curve) for curve in own]
            keys = tuple(r.record_key for r in behind if (base, domain, r.seed) in found and r.domain == domain)
            cells += [_cell([n[column] for n in numbers], column == "path", keys) for column in COLUMNS]
            quiet += [f"{base} on {domain}"] if still(own) else []
        rows.append(Row(base, tuple(cells), method=base))
    columns = [Column("", "generators kept")]
    columns += [Column(domain, column, arrow) for domain in domains for column, arrow in COLUMNS.items()]
    return Table("Control curves", tuple(columns), tuple(rows), (), _caption(group, quiet))


def value_tables(group: Group) -> list[Table]:
    """One table per method with a control: its values by domains, with fidelity, preservation and the step before."""
    found = []
    step, courses = metric_of(group.records, "step"), ways(group)
    for base in group.controlled:
        own = group.by_base[base]
        if len(own) < 2:
            continue
        columns: list[Column] = []
        cells: list[list[Cell]] = []
        for domain in group.domains:
            for metric in _metrics(group, domain, step):
                if metric is not None and any(group.values(x, domain, metric) for x in own):
                    columns.append(
                        Column(domain, short_title(metric), "" if metric == step else ARROWS[group.better(metric)])
                    )
                    cells.append(_values(group, domain, metric, own))
        name = (own[0].records[0].control_name or "control").replace("_", " ")
        rows = [
            Row(
                control_text(x.control) + (" (default)" if x.is_default else ""),
                tuple(c[i] for c in cells),
                method=base,
            )
            for i, x in enumerate(own)
        ]
        if columns:
            quiet = [d for d in group.domains if still(courses.get((base, d), []))]
            said = (f"The control moves {little(group, quiet)}: {', '.join(quiet)}.",) if quiet else ()
            found.append(Table(f"{base}: values of its control", tuple(columns), tuple(rows), (), said, head=name))
    return found


def _metrics(group: Group, domain: str, step: str | None) -> list[str | None]:
    """Fidelity, preservation, the way along the control, and the step before."""
    return [*dict.fromkeys((group.fidelity, group.preservation(domain), group.way(domain), step))]


def _values(group: Group, domain: str, metric: str, own: list[Line]) -> list[Cell]:
    digits = column_digits(group, domain, metric)
    cells = []
    for line in own:
        values = [*group.values(line, domain, metric).values()]
        keys = tuple(r.record_key for r in group.at(line, domain))
        cells.append(Cell(mean_text(values, digits), keys=keys) if values else Cell(MISSING))
    return cells


def generators_kept(records: list[RunRecord]) -> str:
    """How many sets of weights a user needs to move the control, as text."""
    kept = {str(n) for r in records if (n := getattr(r.timing, "generators_kept", None)) is not None}
    return ", ".join(sorted(kept)) or MISSING


def _cell(values: list[float | None], is_path: bool, keys: tuple[str, ...]) -> Cell:
    known = [v for v in values if v is not None]
    if not known:
        return Cell(MISSING)
    digits = decimals(spread(known), max(known), 3 if is_path else 2)
    return Cell(mean_text(known, digits), keys=keys)


def _caption(group: Group, quiet: list[str]) -> tuple[str, ...]:
    step, far = metric_of(group.records, "step"), metric_of(group.records, *DISTANCES)
    said = [
        f"Along the grid of each control: path = sum of {step or 'steps (not measured)'}; unevenness = largest over "
        f"mean step (1 is even); directness = net over total change of {far} (1 is monotone).",
        "Generators kept: sets of weights that a user needs to move the control. Grids differ between methods: compare "
        "unevenness only where they are alike.",
    ]
    if quiet:
        still_ones = ", ".join(quiet)
        said.append(
            f"{MISSING}: the control changes the images by less than twice the standard error over them, so it has no "
            f"shape ({still_ones})."
        )
    return tuple(said)
