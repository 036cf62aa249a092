"""Ways along controls: what a control changes from one of its values to the next, seed by seed.

Two kinds: the distance to the source with the perceptual steps between neighbours (``curves``), and what the control is
for, the share of the way to the right answer or the averaged distance (``ways``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from benchmark.metrics.base import DISTANCES
from benchmark.metrics.catalogue import info_of
from benchmark.report.group import Group
from benchmark.report.lines import Line, metric_of, value_of
from benchmark.results import RunRecord
from benchmark.results.record import control_order

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
        """Whether the control moves next to nothing: less than twice the standard error over images."""
        way = sum(abs(b - a) for a, b in pairwise(self.far))
        within = max(self.far) - min(self.far) <= max(2 * self.noise, 1e-9)
        faint = sum(self.steps) <= FAINT * max(self.far) if self.steps else way <= FAINT * max(self.far) or within
        return within and faint


def measures(curve: Curve) -> dict[str, float | None]:
    """The numbers of one curve; None where it has no steps, or moves nothing."""
    steps, far = curve.steps, curve.far
    way = sum(changes(curve))
    return {
        "path": sum(steps) if steps else None,
        "unevenness": None if curve.still else unevenness(steps),
        "directness": abs(far[-1] - far[0]) / way if way > 0 and not curve.still else None,
    }


def unevenness(steps: Sequence[float]) -> float | None:
    """Largest over mean step, 1 where all are equal; None where there is no step."""
    return max(steps) * len(steps) / sum(steps) if sum(steps) > 0 else None


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


def still(own: list[Curve]) -> bool:
    """Whether a control moves next to nothing, in any seed."""
    return bool(own) and all(curve.still for curve in own)


def little(group: Group, domains: Sequence[str]) -> str:
    """What a control that is still on these domains moves there, and by how much, to follow "moves"."""
    kinds = {info_of(metric).kind for d in domains if (metric := group.way(d))}
    share, distance = "share_of_the_way" in kinds, bool(kinds - {"share_of_the_way"})
    what = " and ".join([*["the share of the way"] * share, *["the distance to the source"] * distance])
    return f"{what} by less than twice the standard error over images"


@lru_cache(maxsize=8)
def ways(group: Group) -> dict[tuple[str, str], list[Curve]]:
    """{(method, domain): its way along the control, a curve per seed}, as `ways_by_seed` has them."""
    every = {(base, d): [*ways_by_seed(group, base, d).values()] for base in group.controlled for d in group.domains}
    return {place: own for place, own in every.items() if own}


def ways_by_seed(group: Group, base: str, domain: str) -> dict[int, Curve]:
    """{seed: a method's way along its control}, in the measure ``group.way`` of the domain.

    Its steps are the changes of that measure, so the curves hold none. Controls without numbers, and those of one
    value, have no way.
    """
    lines = numbered(group, base)
    if len(lines) < 2:
        return {}
    values = [group.values(line, domain, group.way(domain)) for line in lines]
    seeds = sorted(set.intersection(*(set(own) for own in values)))
    return {seed: _curve(group, lines, domain, seed, [v[seed] for v in values]) for seed in seeds}


def changes(curve: Curve) -> list[float]:
    """How far a way goes from each value to the next, without its direction."""
    return [abs(b - a) for a, b in pairwise(curve.far)]


def numbered(group: Group, base: str) -> list[Line]:
    """The rows of a control whose values are numbers, in their order."""
    return [line for line in group.by_base[base] if isinstance(line.control, int | float)]


def _curve(group: Group, lines: Sequence[Line], domain: str, seed: int, values: list[float]) -> Curve:
    metric = group.way(domain) or ""
    errors = [r.metrics[metric].std_error for line in lines for r in group.at(line, domain) if r.seed == seed]
    return Curve(tuple(values), (), max((e for e in errors if e), default=0.0))


def _value(record: RunRecord, metric: str | None) -> float | None:
    return None if metric is None else value_of(record, metric)
