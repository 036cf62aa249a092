"""The order of the methods: average ranks in fidelity over (domain, seed) blocks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from benchmark.report.group import Group
from benchmark.report.lines import Line
from benchmark.report.statistics.ranks import CriticalDifference, critical_difference


@dataclass(frozen=True)
class Ranking:
    """Methods ranked in ``metric`` within each (domain, seed); ``blocks``: the complete ones; ``empty``: left out."""

    metric: str
    test: CriticalDifference
    blocks: tuple[tuple[str, int], ...]
    empty: tuple[str, ...]


@lru_cache(maxsize=8)
def ranking(group: Group) -> Ranking | None:
    """Methods at their default controls, ranked in fidelity; None without a value.

    Left out: a method without any value, one trained on the metric's network, one that is the untouched source, and
    what was trained elsewhere.
    """
    metric = group.fidelity
    if metric is None:
        return None
    rivals = [line for line in group.shown if not line.outside]
    blocks = sorted({(r.domain, r.seed) for line in rivals for r in line.records})
    values = {}
    for line in rivals:
        fair = [d for d in group.domains if not group.is_taught(line, d, metric)]
        own = {(d, s): v for d in fair for s, v in group.values(line, d, metric).items()}
        if not all(group.is_source(line, d) for d in group.domains):
            values[line.base] = [own.get(block, math.nan) for block in blocks]
    empty = [name for name, v in values.items() if all(map(math.isnan, v))]
    ranked = {name: v for name, v in values.items() if name not in empty}
    if not ranked:
        return None
    test = critical_difference(ranked, group.better(metric))
    whole = [block for i, block in enumerate(blocks) if not any(math.isnan(v[i]) for v in ranked.values())]
    return Ranking(metric, test, tuple(whole), tuple(empty))


def ordered(group: Group) -> list[Line]:
    """Methods at their default control, best mean rank first; then by mean and name."""
    order = ranking(group)
    ranks = order.test.ranks if order else {}
    return sorted(group.shown, key=lambda x: (ranks.get(x.base, math.inf), _mean(group, x), x.base))


def tabled(group: Group) -> list[Line]:
    """The rows of tables: the source, methods in order, and below them all rows of a method without its default."""
    return [*([group.source] if group.source else []), *ordered(group), *group.without_default]


def _mean(group: Group, line: Line) -> float:
    values = [v for d in group.domains for v in group.values(line, d, group.fidelity).values()]
    sign = 1 if group.fidelity is None or group.better(group.fidelity) == "lower" else -1
    return sign * sum(values) / len(values) if values else math.inf
