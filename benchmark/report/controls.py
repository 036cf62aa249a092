"""Control curves in numbers: how far a method's control goes, how evenly, and what it gives on the way.

For each method, domain and seed, along the grid of the control:

- path: sum of the perceptual steps from one value to the next (same z, same noise stream).
- unevenness: largest step over mean step; 1 is perfectly even.
- directness: net change of the distance to the source over the sum of its changes; 1 is monotone, 0 comes back.
- dominated: share of the rectangle between the untouched source and the origin of the fidelity-consistency plane that
  the curve's points dominate (hypervolume in two dimensions, both axes to be minimised; Zitzler and Thiele 1999).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import pandas as pd

from benchmark.metrics.base import DISTANCES, Kind
from benchmark.report.cautions import cautions
from benchmark.report.lines import Line, lines, metric_of
from benchmark.report.tables import MISSING, Cell, Column, Footnotes, Row, Table, doctor_notes, mean_std
from benchmark.results import RunRecord
from benchmark.results.record import control_order

COLUMNS = {"path": 3, "unevenness": 2, "directness": 2, "dominated": 3}
"""Column: digits after the point."""
DIRECTIONS = {"path": "", "unevenness": "↓", "directness": "↑", "dominated": "↑"}
METRICS: dict[str, tuple[Kind, ...]] = {"kid": ("kid",), "far": DISTANCES, "step": ("step",)}
"""What a curve is made of, and the kinds of metrics that measure it."""


@dataclass(frozen=True)
class Curve:
    """One method on one domain with one seed, in the order of the control. ``steps`` is one shorter, or empty."""

    kid: tuple[float, ...]
    far: tuple[float, ...]
    steps: tuple[float, ...]


def control_table(records: Sequence[RunRecord]) -> Table | None:
    """One row per method with a control, a group of columns per domain; mean ± std over seeds. None without controls.

    Records belong to one suite and source.
    """
    names = {what: metric_of(records, *kinds) for what, kinds in METRICS.items()}
    found = _curves(records, names)
    if not found:
        return None
    notes = Footnotes()
    domains = sorted({domain for _, domain, _ in found})
    corners = {domain: _corner(records, found, domain, names["kid"]) for domain in domains}
    rows = []
    shown = lines(records)
    kept = {line.base: _kept(line) for line in shown}
    for base in dict.fromkeys(base for base, _, _ in found):
        cells = [Cell(kept[base])]
        behind = [r for line in shown if line.base == base for r in line.records]
        for domain in domains:
            own = [curve for (b, d, _), curve in found.items() if (b, d) == (base, domain)]
            numbers = pd.DataFrame([measures(curve, corners[domain]) for curve in own], columns=list(COLUMNS))
            keys = tuple(r.record_key for r in behind if (base, domain, r.seed) in found and r.domain == domain)
            cells += [_cell(numbers[column], digits, keys) for column, digits in COLUMNS.items()]
        rows.append(Row(base, tuple(cells), notes=doctor_notes(behind, notes)))
    columns = [Column("", "generators kept")]
    columns += [Column(domain, column, DIRECTIONS[column]) for domain in domains for column in COLUMNS]
    return Table("Control curves", tuple(columns), tuple(rows), tuple(notes), (*_caption(names), *cautions(records)))


def measures(curve: Curve, corner: tuple[float, float] | None) -> dict[str, float | None]:
    """The numbers of one curve; None where it has no steps, never moves, or there is nothing to compare with."""
    steps, far = curve.steps, curve.far
    changes = [b - a for a, b in pairwise(far)]
    total, way = sum(steps), sum(map(abs, changes))
    return {
        "path": total if steps else None,
        "unevenness": max(steps) * len(steps) / total if total > 0 else None,
        "directness": abs(sum(changes)) / way if way > 0 else None,
        "dominated": dominated_share(list(zip(curve.far, curve.kid, strict=True)), corner) if corner else None,
    }


def dominated_share(points: Sequence[tuple[float, float]], corner: tuple[float, float]) -> float:
    """Share of the rectangle from the origin to ``corner`` that lies above and to the right of any point, in [0, 1].

    Negative values (an unbiased kernel distance has them) count as 0. Both coordinates of ``corner`` must be positive.
    """
    x_end, y_end = corner
    area, lowest = 0.0, y_end
    for x, y in sorted((max(x, 0.0), max(y, 0.0)) for x, y in points):
        if x < x_end and y < lowest:
            area += (x_end - x) * (lowest - y)
            lowest = y
    return area / (x_end * y_end)


def _curves(records: Sequence[RunRecord], names: Mapping[str, str | None]) -> dict[tuple[str, str, int], Curve]:
    """{(method, domain, seed): curve} of those controls that have at least two values in numbers, all of them done."""
    members: dict[tuple[str, str, int], list[RunRecord]] = defaultdict(list)
    for line in lines(records):
        for r in line.records:
            if isinstance(r.control, int | float):
                members[line.base, r.domain, r.seed].append(r)
    found = {}
    for key, own in members.items():
        own.sort(key=lambda r: control_order(r.control))
        kid, far, step = ([_value(r, names[kind]) for r in own] for kind in ("kid", "far", "step"))
        if len(own) > 1 and None not in kid and None not in far:
            steps = [] if None in step[1:] else step[1:]
            found[key] = Curve(*(tuple(v for v in values if v is not None) for values in (kid, far, steps)))
    return found


def _value(record: RunRecord, metric: str | None) -> float | None:
    return record.metrics[metric].value if metric in record.metrics and record.status == "done" else None


def _corner(
    records: Sequence[RunRecord], found: Mapping[tuple[str, str, int], Curve], domain: str, kid: str | None
) -> tuple[float, float] | None:
    """(the largest distance of any curve, the source's kernel distance); the mean over seeds of the latter."""
    source = [v for r in records if r.zero_step and r.domain == domain and (v := _value(r, kid)) is not None]
    far = max((x for (_, d, _), curve in found.items() if d == domain for x in curve.far), default=0.0)
    corner = (far, sum(source) / len(source)) if source else (far, 0.0)
    return corner if min(corner) > 0 else None


def _kept(line: Line) -> str:
    kept = {str(n) for r in line.records if (n := getattr(r.timing, "generators_kept", None)) is not None}
    return ", ".join(sorted(kept)) or MISSING


def _cell(values: pd.Series[float], digits: int, keys: tuple[str, ...]) -> Cell:
    values = values.dropna().astype(float)
    return Cell(mean_std(values, digits), keys=keys) if len(values) else Cell(MISSING)


def _caption(names: Mapping[str, str | None]) -> tuple[str, ...]:
    return (
        f"Along the grid of each control: path = sum of {names['step'] or 'steps (not measured)'}; unevenness = "
        f"largest over mean step (1 is even); directness = net over total change of {names['far']} (1 is monotone); "
        f"dominated = share of the rectangle from 0 to the source's {names['kid']} and the farthest point's distance "
        "that the points dominate.",
        "Generators kept: sets of weights that a user needs to move the control. Grids differ between methods: compare "
        "unevenness only where they are alike. Mean ± sample standard deviation over seeds.",
    )
