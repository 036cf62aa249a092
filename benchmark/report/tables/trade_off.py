"""Fidelity against preservation in numbers: dominated area, preservation at equal fidelity, aggregates over domains."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from benchmark.metrics.catalogue import info_of
from benchmark.report.group import ERRORS, PRESERVATION, Group, short_title
from benchmark.report.lines import Line
from benchmark.report.statistics.aggregates import Estimate, aggregate, improvement, profile
from benchmark.report.statistics.paired import Floats
from benchmark.report.statistics.trade_off import Point, distance_at, dominated_share
from benchmark.report.tables.ranking import ordered
from benchmark.report.tables.table import MANY_DOMAINS, MISSING, Cell, Column, Row, Table, mean_text, number
from benchmark.report.tables.ways import still, ways
from benchmark.results.reals import gap_closed

FARTHEST = 0.5
"""The corner's distance where a domain has no right answer: about what unrelated images are apart."""
PROFILED = (0.25, 0.5, 0.75)
LEAST_MOVE = 0.05
"""A control that changes fidelity by less than this share of it is no path to a fidelity."""
ALONG = " along its control"
"""How the path of a control is called, after the method."""
SAME = 1e-4
"""Two points that differ by less than this share in both numbers are one network, measured twice."""
LEAST_DOMAINS = 5
"""Performance profiles over fewer domains are steps without meaning."""


@dataclass(frozen=True)
class AtEqual:
    """Blocks in which a method was compared with a path at its own fidelity: its error or distance minus the path's."""

    errors: tuple[float, ...]
    """Where the right answer is known."""
    distances: tuple[float, ...]
    """To the source, elsewhere."""


def nearer(differences: tuple[float, ...]) -> int:
    """In how many blocks the method is nearer than the path."""
    return sum(d < 0 for d in differences)


def corner(group: Group, domain: str, metric: str | None = None) -> Point | None:
    """The fixed corner of a domain: the untouched source's error (or FARTHEST, for distances) and its fidelity.

    ``metric`` is the error or distance, by default the one that tells preservation on this domain.
    """
    metric, fidelity = metric or group.preservation(domain), group.fidelity
    if metric is None or fidelity is None or group.source is None or group.better(fidelity) != "lower":
        return None
    own = [*group.values(group.source, domain, fidelity).values()]
    errors = [*group.values(group.source, domain, metric).values()]
    if not own or info_of(fidelity).kind not in ("kid", "fd", "fd_infinity"):
        return None
    known = info_of(metric).kind in ERRORS
    far = sum(errors) / len(errors) if known and errors else FARTHEST
    found = (far, sum(own) / len(own))
    return found if min(found) > 0 else None


def points(group: Group, base: str, domain: str, metric: str | None = None) -> dict[int, list[Point]]:
    """{seed: (preservation, fidelity) of all values of a method's control, in its order}; ``metric`` as of `corner`."""
    metric, fidelity = metric or group.preservation(domain), group.fidelity
    found: dict[int, list[Point]] = defaultdict(list)
    for line in group.by_base.get(base, []):
        far = group.values(line, domain, metric)
        for seed, y in group.values(line, domain, fidelity).items():
            if seed in far:
                found[seed].append((far[seed], y))
    return found


def course_metric(group: Group, domain: str) -> str | None:
    """The distance or error that was measured along the trainings: that of preservation, if it is among them."""
    seen = dict.fromkeys(n for r in group.records if r.domain == domain for p in r.curve for n in p.metrics)
    fit = [name for name in seen if info_of(name).kind in (*ERRORS, *PRESERVATION)]
    best = group.preservation(domain)
    return best if best in fit else next((name for name in fit if group.measured(domain, name)), None)


def training_path(group: Group, line: Line, domain: str) -> dict[int, list[Point]]:
    """{seed: (preservation, fidelity) along the training}, where both were measured and may be compared at any N."""
    metric, fidelity = course_metric(group, domain), group.fidelity
    if metric is None or fidelity is None or not info_of(fidelity).any_count:
        return {}
    found = {}
    for r in group.at(line, domain):
        both = [(p.metrics.get(metric), p.metrics.get(fidelity)) for p in r.curve]
        path = [(x.value, y.value) for x, y in both if x and y and x.value is not None and y.value is not None]
        if len(path) > 1:
            found[r.seed] = path
    return found


@lru_cache(maxsize=8)
def equal_fidelity(group: Group) -> dict[str, dict[str, AtEqual]]:
    """{path: {method: comparison}}: each method's default point against paths that reach the same fidelity.

    Paths are the plain method stopped earlier and the controls of the other methods, where these move the images and
    their fidelity at all. A block (domain and seed) counts where the path reaches the method's fidelity by another
    network; a path does not stand against its own method.
    """
    domains, found = group.domains, dict[str, dict[str, AtEqual]]()
    if group.plain is not None:
        stopped = {(d, s): p for d in domains for s, p in training_path(group, group.plain, d).items()}
        metrics = {d: course_metric(group, d) for d in domains}
        found |= _against_all(group, stopped_earlier(group.plain), group.plain.base, stopped, metrics)
    metrics = {d: group.preservation(d) for d in domains}
    for base in group.controlled:
        moved = [d for d in domains if not still(ways(group).get((base, d), []))]
        own = {(d, s): p for d in moved for s, p in points(group, base, d).items() if _moves(p)}
        found |= _against_all(group, f"{base}{ALONG}", base, own, metrics)
    return found


def stopped_earlier(plain: Line) -> str:
    """How the path of the plain method's training is called."""
    return f"{plain.base} stopped earlier"


def _moves(path: list[Point]) -> bool:
    values = [y for _, y in path]
    return len(path) > 1 and max(values) - min(values) > LEAST_MOVE * max(values)


def _against_all(
    group: Group, name: str, owner: str, blocks: dict[tuple[str, int], list[Point]], metrics: dict[str, str | None]
) -> dict[str, dict[str, AtEqual]]:
    """{name: {method: comparison}}; nothing where no block can be compared."""
    found = {}
    for line in ordered(group):
        errors, distances = list[float](), list[float]()
        for domain in group.domains:
            kept = metrics[domain]
            differences = errors if kept and info_of(kept).kind in ERRORS else distances
            far = group.values(line, domain, kept)
            for seed, y in group.values(line, domain, group.fidelity).items():
                path = blocks.get((domain, seed))
                if not path or seed not in far or group.is_source(line, domain):
                    continue
                other = None if _is_on(path, (far[seed], y)) else distance_at(path, y)
                differences += [] if other is None else [far[seed] - other]
        if line.base != owner and (errors or distances):
            found[line.base] = AtEqual(tuple(errors), tuple(distances))
    return {name: found} if found else {}


def _is_on(path: list[Point], point: Point) -> bool:
    """Whether a point is one of the path's: the same network, whose numbers differ by rounding."""
    return any(all(math.isclose(a, b, rel_tol=SAME) for a, b in zip(own, point, strict=True)) for own in path)


def equal_fidelity_tables(group: Group) -> list[Table]:
    """One for errors to the right answer, one for distances to the source.

    Rows: methods at their default control. Columns: paths. Cells: mean difference (blocks in which it is nearer).
    """
    measured = (("error to the right answer", "errors"), ("distance to the source", "distances"))
    return [table for what, kind in measured if (table := _equal_table(group, what, kind)) is not None]


def _equal_table(group: Group, what: str, kind: str) -> Table | None:
    found = {name: {who: getattr(own, kind) for who, own in by.items()} for name, by in equal_fidelity(group).items()}
    paths = [name for name, by in found.items() if any(by.values())]
    rows = []
    for line in ordered(group):
        texts = []
        for name in paths:
            own = found[name].get(line.base, ())
            texts.append(f"{sum(own) / len(own):+.3f} ({nearer(own)} of {len(own)})" if own else MISSING)
        if set(texts) - {MISSING}:
            rows.append(Row(line.base, tuple(map(Cell, texts)), method=line.base))
    if not rows:
        return None
    name = short_title(group.fidelity or "")
    caption = (
        f"The method's {what} minus that of the other way to the same {name}, in the same domain and seed "
        "(linear between measured points); in brackets the blocks in which the method is nearer. Blocks count where "
        f"the other way reaches the method's {name}; blocks of one domain are not independent.",
    )
    return Table(f"At equal {name}: {what}", tuple(Column("", path) for path in paths), tuple(rows), (), caption)


def scores(group: Group, line: Line) -> list[Floats]:
    """Per domain the shares of the gap that a method closes, one per seed."""
    return [np.asarray([*own.values()], dtype=np.float64) for own in shares(group, line)]


def shares(group: Group, line: Line) -> list[dict[int, float]]:
    """Per domain {seed: the share of the gap that a method closes}: (source - method) / (source - real).

    The gap ends at the best possible images where their score is known, else at 0. A seed whose source is no worse has
    no gap, and so no share; nor has any where higher is better.
    """
    lower = group.fidelity is not None and group.better(group.fidelity) == "lower"
    found = []
    for domain in group.domains:
        sources = group.values(group.source, domain, group.fidelity) if group.source else {}
        own = group.values(line, domain, group.fidelity)
        end = group.best_possible.get((domain, group.fidelity or ""), 0.0)
        mean = sum(sources.values()) / len(sources) if sources else 0.0
        begin = {seed: sources.get(seed, mean) for seed in own}
        closed = {s: gap_closed(begin[s], value, end) for s, value in own.items() if lower and begin[s] > end}
        found.append({seed: share for seed, share in closed.items() if share is not None})
    return found


def aggregate_table(group: Group) -> Table | None:
    """Over domains: share of the gap closed, P(better than the plain method), dominated area; None without a source."""
    if group.source is None or group.fidelity is None or group.better(group.fidelity) != "lower":
        return None
    corners = {d: corner(group, d) for d in group.domains if len(group.domains) <= MANY_DOMAINS}
    plain = scores(group, group.plain) if group.plain else []
    several = len(group.domains) >= LEAST_DOMAINS
    rows = []
    for line in ordered(group):
        own = scores(group, line)
        if not all(len(v) for v in own) or all(group.is_source(line, d) for d in group.domains):
            continue
        cells = [_estimate(aggregate(own), percent=True)]
        is_plain = line is group.plain
        comparable = plain and not is_plain and all(len(v) for v in plain)
        cells.append(_estimate(improvement(own, plain)) if comparable else Cell(MISSING))
        cells += [_area(group, line, d, at) for d, at in corners.items()]
        if several:
            cells += [Cell(f"{share:.0%}") for share in profile(own, np.asarray(PROFILED))]
        rows.append(Row(line.base, tuple(cells), method=line.base))
    if not rows:
        return None
    name = f"P(better than {group.plain.base})" if group.plain else "P(better)"
    columns = [Column("", "gap closed", "↑"), Column("", name, "↑")]
    columns += [Column(d, "dominated", "↑") for d in corners]
    columns += [Column("runs that close", f"{share:.0%}", "↑") for share in PROFILED] if several else []
    return Table("Over all domains", tuple(columns), tuple(rows), (), _caption(group, corners))


def _area(group: Group, line: Line, domain: str, at: Point | None) -> Cell:
    if at is None:
        return Cell(MISSING)
    found = points(group, line.base, domain)
    areas = [dominated_share(own, at) for _, own in sorted(found.items())]
    keys = tuple(r.record_key for r in group.at(line, domain))
    return Cell(mean_text(areas, 3), keys=keys) if areas else Cell(MISSING)


def _estimate(found: Estimate, percent: bool = False) -> Cell:
    def text(v: float) -> str:
        return f"{number(100 * v, 0)} %" if percent else number(v, 2)

    if found.interval is None:
        return Cell(text(found.value))
    low, high = found.interval
    return Cell(f"{text(found.value)} [{text(low).removesuffix(' %')}, {text(high).removesuffix(' %')}]")


def _caption(group: Group, corners: dict[str, Point | None]) -> tuple[str, ...]:
    name = short_title(group.fidelity or "")
    fixed = [f"{d} ({at[0]:.3g}, {at[1]:.3g})" for d, at in corners.items() if at]
    said = [
        f"Gap closed: share of the way in {name} from the untouched source to real images (to 0 where their score is "
        "not known), interquartile mean over domains and seeds; P: probability that a run is better. In square "
        "brackets 95 % intervals of a bootstrap stratified by domain, from three seeds on.",
    ]
    if fixed:
        said.append(
            "Dominated: share of the rectangle up to a fixed corner that the method's points dominate, all values of "
            f"its control together; corners (distance or error, {name}): {'; '.join(fixed)}. The corner is the "
            f"source's own error and {name}; a distance to the source ends at {FARTHEST:g}."
        )
    return tuple(said)
