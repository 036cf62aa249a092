"""Control curves in numbers: how far a method's control goes, how evenly, and what it gives on the way.

For each method, domain and seed, along the grid of the control:

- path: sum of the perceptual steps from one value to the next (same z, same noise stream).
- unevenness: largest step over mean step; 1 is perfectly even.
- directness: net change of the distance to the source over the sum of its changes; 1 is monotone, 0 comes back.

A control whose whole path is within noise has neither: largest over mean of rounding errors says nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from benchmark.metrics.base import DISTANCES
from benchmark.metrics.catalogue import info_of
from benchmark.report.group import ERRORS, Group, short_title
from benchmark.report.lines import Line, control_text, metric_of, value_of
from benchmark.report.tables.metrics import column_digits
from benchmark.report.tables.table import ARROWS, MISSING, Cell, Column, Row, Table, decimals, mean_text, spread
from benchmark.results import RunRecord
from benchmark.results.record import control_order

COLUMNS = {"path": "", "unevenness": "↓", "directness": "↑"}
"""Column: its direction."""
FAINT = 0.02
"""A path shorter than this share of the distance to the source is no movement."""


@dataclass(frozen=True)
class Curve:
    """One method on one domain with one seed, in the order of the control. ``steps`` is one shorter, or empty.

    ``noise`` is the standard error of one distance; 0 where it is not known.
    """

    far: tuple[float, ...]
    steps: tuple[float, ...]
    noise: float = 0.0

    @property
    def still(self) -> bool:
        """Whether the control moves nothing that can be told from noise."""
        way = sum(abs(b - a) for a, b in pairwise(self.far))
        within = max(self.far) - min(self.far) <= max(2 * self.noise, 1e-9)
        faint = sum(self.steps) <= FAINT * max(self.far) if self.steps else way <= FAINT * max(self.far) or within
        return within and faint


def measures(curve: Curve) -> dict[str, float | None]:
    """The numbers of one curve; None where it has no steps, or moves nothing."""
    steps, far = curve.steps, curve.far
    changes = [b - a for a, b in pairwise(far)]
    total, way = sum(steps), sum(map(abs, changes))
    return {
        "path": total if steps else None,
        "unevenness": max(steps) * len(steps) / total if total > 0 and not curve.still else None,
        "directness": abs(sum(changes)) / way if way > 0 and not curve.still else None,
    }


def control_table(group: Group) -> Table | None:
    """One row per method with a control, a group of columns per domain, mean ± std over seeds; None without any."""
    found = curves(group)
    if not found:
        return None
    domains = sorted({domain for _, domain, _ in found})
    rows, still = [], list[str]()
    grouped = by_place(found)
    for base in dict.fromkeys(base for base, _, _ in found):
        behind = [r for line in group.by_base[base] for r in line.records]
        cells = [Cell(_kept(behind))]
        for domain in domains:
            own = grouped.get((base, domain), [])
            numbers = [measures(curve) for curve in own]
            keys = tuple(r.record_key for r in behind if (base, domain, r.seed) in found and r.domain == domain)
            cells += [_cell([n[column] for n in numbers], column == "path", keys) for column in COLUMNS]
            still += [f"{base} on {domain}"] if _still(own) else []
        rows.append(Row(base, tuple(cells), method=base))
    columns = [Column("", "generators kept")]
    columns += [Column(domain, column, arrow) for domain in domains for column, arrow in COLUMNS.items()]
    return Table("Control curves", tuple(columns), tuple(rows), (), _caption(group, still))


def value_tables(group: Group) -> list[Table]:
    """One table per method with a control: its values by domains, with fidelity, preservation and the step before."""
    found = []
    step, courses = metric_of(group.records, "step"), by_place(curves(group))
    for base in group.controlled:
        own = group.by_base[base]
        if len(own) < 2:
            continue
        columns: list[Column] = []
        cells: list[list[Cell]] = []
        for domain in group.domains:
            for metric in _metrics(group, domain, step):
                if metric is not None and any(group.values(x, domain, metric) for x in own):
                    columns.append(Column(domain, short_title(metric), ARROWS[group.better(metric)]))
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
            still = [d for d in group.domains if _still(courses.get((base, d), []))]
            said = (
                (f"The control moves nothing here that can be told from noise: {', '.join(still)}.",) if still else ()
            )
            found.append(Table(f"{base}: values of its control", tuple(columns), tuple(rows), (), said, head=name))
    return found


@lru_cache(maxsize=8)
def curves(group: Group) -> dict[tuple[str, str, int], Curve]:
    """{(method, domain, seed): curve} of those controls that have at least two values in numbers, all of them done."""
    far = metric_of(group.records, *DISTANCES)
    step = metric_of(group.records, "step")
    members: dict[tuple[str, str, int], list[RunRecord]] = defaultdict(list)
    for line in group.lines:
        for r in line.records:
            if isinstance(r.control, int | float):
                members[line.base, r.domain, r.seed].append(r)
    found = {}
    for key, own in members.items():
        own.sort(key=lambda r: control_order(r.control))
        distances, steps = ([_value(r, name) for r in own] for name in (far, step))
        known = [v for v in distances if v is not None]
        if len(own) > 1 and len(known) == len(own):
            walked = [v for v in steps[1:] if v is not None]
            errors = [m.std_error for r in own if far and (m := r.metrics.get(far)) and m.std_error]
            noise = max(errors, default=0.0)
            found[key] = Curve(tuple(known), tuple(walked) if len(walked) == len(own) - 1 else (), noise)
    return found


def by_place(found: Mapping[tuple[str, str, int], Curve]) -> dict[tuple[str, str], list[Curve]]:
    """(method, domain) -> its curves, one per seed."""
    grouped: dict[tuple[str, str], list[Curve]] = defaultdict(list)
    for (base, domain, _), curve in found.items():
        grouped[base, domain].append(curve)
    return dict(grouped)


def _still(own: list[Curve]) -> bool:
    return bool(own) and all(curve.still for curve in own)


def _metrics(group: Group, domain: str, step: str | None) -> list[str | None]:
    """Fidelity, preservation, and the distance to the source where preservation is an error; the step before."""
    kept, far = group.preservation(domain), metric_of(group.records, *DISTANCES)
    is_error = kept is not None and info_of(kept).kind in ERRORS
    further = [far] if is_error and far is not None and group.measured(domain, far) else []
    return [*dict.fromkeys((group.fidelity, kept, *further, step))]


def _values(group: Group, domain: str, metric: str, own: list[Line]) -> list[Cell]:
    digits = column_digits(group, domain, metric)
    cells = []
    for line in own:
        values = [*group.values(line, domain, metric).values()]
        keys = tuple(r.record_key for r in group.at(line, domain))
        cells.append(Cell(mean_text(values, digits), keys=keys) if values else Cell(MISSING))
    return cells


def _value(record: RunRecord, metric: str | None) -> float | None:
    return None if metric is None else value_of(record, metric)


def _kept(records: list[RunRecord]) -> str:
    kept = {str(n) for r in records if (n := getattr(r.timing, "generators_kept", None)) is not None}
    return ", ".join(sorted(kept)) or MISSING


def _cell(values: list[float | None], is_path: bool, keys: tuple[str, ...]) -> Cell:
    known = [v for v in values if v is not None]
    if not known:
        return Cell(MISSING)
    digits = decimals(spread(known), max(known), 3 if is_path else 2)
    return Cell(mean_text(known, digits), keys=keys)


def _caption(group: Group, still: list[str]) -> tuple[str, ...]:
    step, far = metric_of(group.records, "step"), metric_of(group.records, *DISTANCES)
    said = [
        f"Along the grid of each control: path = sum of {step or 'steps (not measured)'}; unevenness = largest over "
        f"mean step (1 is even); directness = net over total change of {far} (1 is monotone).",
        "Generators kept: sets of weights that a user needs to move the control. Grids differ between methods: compare "
        "unevenness only where they are alike.",
    ]
    if still:
        said.append(f"{MISSING}: the path is within noise, so it has no shape ({', '.join(still)}).")
    return tuple(said)
