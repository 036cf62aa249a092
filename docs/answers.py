"""The verdicts of docs/answers.md: effects, tests and rules that were fixed before the run of the suite `answers`.

python docs/answers.py FOLDER...      # prints the verdicts of the records of all these folders together

A comparison is one number per seed, the mean over the domains of the claim; before all seeds are there, one per domain
and seed. Positive effects are in the claim's favour. Two-sided exact sign-flip test, Holm-corrected over the
comparisons of one line of the claim. Significantly positive: confirmed; significantly negative: refuted; else
undecided, and the smallest difference that so many would have shown stands beside it.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from comparison import Finding, by_domain, counted, finding, summary, table, tested
from published import of_suite, pooled

from benchmark.errors import BenchmarkError
from benchmark.metrics.base import Kind
from benchmark.metrics.catalogue import info_of
from benchmark.report.group import Group
from benchmark.report.lines import Line, metric_of
from benchmark.report.render import markdown_table
from benchmark.report.statistics.trade_off import Point, distance_at, dominated_share
from benchmark.report.tables.trade_off import corner, points, shares
from benchmark.report.tables.ways import changes, ways_by_seed
from benchmark.report.tables.ways import unevenness as largest_over_mean

OURS = ("fixnoise", "fixnoise[match=all,weight=0.2]")
RIVALS = ("finetune", "freezed", "feature_matching", "layer_swap")
CONTROLLED = ("layer_swap", "weight_interpolation")
KEPT: tuple[Kind, ...] = ("translation_error_l1", "identity_retrieval", "distance_averaged")
LEAST_RISE = 0.1
"""Share of the way that a control has to go to be one."""
MARGIN = 0.05
"""What counts as not worse: of the gap that is closed, of precision, of recall."""
LEAST_REAL = 2 * MARGIN
"""Precision or recall of fine-tuning from which on a domain can show a loss by the margin."""
SUITE = "answers"


def findings(g: Group) -> list[Finding]:
    """All comparisons of all claims, for those methods that were run."""
    g, found = counted(g), list[Finding]()
    for ours in (name for name in OURS if _line(g, name) is not None):
        found += [*preservation(g, ours), *control(g, ours), *realism(g, ours)]
    return found


def preservation(g: Group, ours: str) -> Iterator[Finding]:
    """Claim 1: nearer than each rival at the best KID that both reach; more of the fixed rectangle dominated."""
    for kind in KEPT:
        metric = metric_of(g.records, kind)
        if metric is None:
            continue
        domains = [d for d in g.domains if g.measured(d, metric)]
        unit = {d: scale(g, d, metric) for d in domains}
        family = []
        for rival in RIVALS:
            mine, theirs = ({d: paths(g, who, d, metric) for d in domains} for who in (ours, rival))
            at = {(d, s): _over(gain(mine[d].get(s), theirs[d].get(s)), unit[d]) for d in domains for s in g.seeds}
            family.append(finding(g, "1 preservation", ours, rival, f"{_less(kind)} at equal KID", at, domains))
        yield from tested(family)
    family = []
    for rival in RIVALS:
        areas = {who: {(d, s): a for d in g.domains for s, a in dominated(g, who, d).items()} for who in (ours, rival)}
        at = {place: _minus(areas[ours].get(place), areas[rival].get(place)) for place in areas[ours]}
        family.append(finding(g, "1 preservation", ours, rival, "larger dominated area", at, g.domains))
    yield from tested(family)


def control(g: Group, ours: str) -> Iterator[Finding]:
    """Claim 2: the share of the way rises by enough and at every step; steps are more even than the rivals'."""
    line, share = _line(g, ours), metric_of(g.records, "share_of_the_way")
    if line is not None and share is not None:
        known = [d for d in g.domains if g.measured(d, share)]
        ways = {(d, s): _way(g, line, d, share, s) for d in known for s in g.seeds}
        rise = {place: way[-1] - way[0] - LEAST_RISE if way else None for place, way in ways.items()}
        least = {place: min(b - a for a, b in pairwise(way)) if way else None for place, way in ways.items()}
        far = f"share of the way rises by more than {LEAST_RISE}"
        yield from tested([finding(g, "2 control", ours, "", far, rise, known)])
        yield from tested([finding(g, "2 control", ours, "", "share of the way rises at each step", least, known)])
    uneven = {who: unevenness(g, who) for who in (ours, *CONTROLLED)}
    family = []
    for rival in CONTROLLED:
        at = {(d, s): _minus(uneven[rival].get((d, s)), uneven[ours].get((d, s))) for d in g.domains for s in g.seeds}
        family.append(finding(g, "2 control", ours, rival, "more even steps", at, g.domains))
    yield from tested(family)


def realism(g: Group, ours: str) -> Iterator[Finding]:
    """Claim 3: at the target end not worse than fine-tuning by the margin, in each of three measures.

    A domain where fine-tuning has next to no precision or recall cannot show a loss of it, and does not count.
    """
    line, plain = _line(g, ours), _line(g, "finetune")
    if line is None or plain is None:
        return
    family = []
    closed = {who: _closed(g, x) for who, x in ((ours, line), ("finetune", plain))}
    at = {place: _minus(v, closed["finetune"].get(place), MARGIN) for place, v in closed[ours].items()}
    family.append(finding(g, "3 realism", ours, "finetune", f"KID gap closed, at most {MARGIN} less", at, g.domains))
    kinds: tuple[Kind, ...] = ("precision", "recall")
    for kind in kinds:
        metric = metric_of(g.records, kind)
        if metric is not None:
            values = {d: (g.values(line, d, metric), g.values(plain, d, metric)) for d in g.domains}
            able = [d for d, (_, theirs) in values.items() if (_mean(theirs) or 0) >= LEAST_REAL]
            at = {(d, s): _minus(a.get(s), b.get(s), MARGIN) for d, (a, b) in values.items() for s in g.seeds}
            some = f", counted on {len(able)} of {len(g.domains)} domains" if len(able) < len(g.domains) else ""
            what = f"{kind}, at most {MARGIN} less{some}"
            family.append(finding(g, "3 realism", ours, "finetune", what, at, able))
    yield from tested(family)


def paths(g: Group, who: str, domain: str, metric: str) -> dict[int, list[Point]]:
    """{seed: (what is lost of the source, KID)} from the untouched source on: along the training where that was
    measured in both, else along the control, from its end near the source. Of identity, what is lost is 1 - identity.
    """
    line, fidelity = _line(g, who), g.fidelity
    if line is None or fidelity is None or g.source is None:
        return {}
    lost = (lambda v: v) if g.better(metric) == "lower" else (lambda v: 1 - v)
    begin = {d: g.values(g.source, domain, name) for d, name in ((0, metric), (1, fidelity))}
    found: dict[int, list[Point]] = {}
    for r in g.at(line, domain) if line.control is None or who in OURS else []:
        both = [(p.metrics.get(metric), p.metrics.get(fidelity)) for p in r.curve]
        own = [(lost(x.value), y.value) for x, y in both if x and y and x.value is not None and y.value is not None]
        found |= {r.seed: own} if own else {}
    if not found:
        along = points(g, line.base, domain, metric)
        away = points(g, line.base, domain, metric_of(g.records, "distance_averaged"))
        found = {s: [(lost(x), y) for x, y in _outwards(own, away[s])] for s, own in along.items() if s in away}
    start = {s: (lost(begin[0][s]), begin[1][s]) for s in begin[0].keys() & begin[1].keys()}
    return {seed: [start[seed], *own] for seed, own in found.items() if seed in start}


def gain(mine: Sequence[Point] | None, theirs: Sequence[Point] | None) -> float | None:
    """How much less is lost on the first path than on the second, at the lowest KID that both reach.

    None where one of them never gets below the source's KID, at which both paths begin.
    """
    if not mine or not theirs:
        return None
    common = max(min(y for _, y in path) for path in (mine, theirs))
    if common >= mine[0][1]:
        return None
    return _minus(distance_at(theirs, common), distance_at(mine, common))


def scale(g: Group, domain: str, metric: str) -> float | None:
    """What a loss is a share of: the source's error, or the distance that fine-tuning ends at; identity is a share."""
    kind = info_of(metric).kind
    if kind == "identity_retrieval":
        return 1.0
    whose = _line(g, "finetune") if kind == "distance_averaged" else g.source
    return _mean(g.values(whose, domain, metric)) if whose else None


def dominated(g: Group, who: str, domain: str) -> dict[int, float]:
    """{seed: share of the fixed rectangle that all values of the method's control dominate}.

    The rectangle is of KID and the error, or the averaged distance to the source where no right answer is known.
    """
    line, metric = _line(g, who), next((m for m in _kept(g) if g.measured(domain, m)), None)
    at = corner(g, domain, metric) if metric else None
    if line is None or at is None:
        return {}
    return {s: dominated_share(p, at) for s, p in points(g, line.base, domain, metric).items()}


def unevenness(g: Group, who: str) -> dict[tuple[str, int], float]:
    """{(domain, seed): largest over mean step, from 0 for equal steps to 1 where one step is all}.

    Steps are changes of the share of the way, or of the averaged distance where no right answer is known. A control
    that moves nothing has none.
    """
    line, found = _line(g, who), {}
    for domain in g.domains if line else ():
        for seed, curve in ways_by_seed(g, line.base, domain).items():
            steps = changes(curve)
            value = None if curve.still or len(steps) < 2 else largest_over_mean(steps)
            if value is not None:
                found[domain, seed] = (value - 1) / (len(steps) - 1)
    return found


def _outwards(path: Sequence[Point], away: Sequence[Point]) -> list[Point]:
    """A path along a control in the direction that begins at its end nearer to the source, whatever was measured."""
    return [*path] if away[0][0] <= away[-1][0] else [*reversed(path)]


def _kept(g: Group) -> list[str]:
    """The error, then the averaged distance, of those that were measured."""
    kinds: tuple[Kind, ...] = ("translation_error_l1", "distance_averaged")
    return [m for kind in kinds if (m := metric_of(g.records, kind)) is not None]


def _way(g: Group, line: Line, domain: str, metric: str, seed: int) -> list[float] | None:
    own = [g.values(x, domain, metric).get(seed) for x in g.by_base[line.base]]
    known = [v for v in own if v is not None]
    return known if len(known) == len(own) > 1 else None


def _closed(g: Group, line: Line) -> dict[tuple[str, int], float]:
    return {(d, seed): v for d, own in zip(g.domains, shares(g, line), strict=True) for seed, v in own.items()}


def _mean(values: Mapping[int, float]) -> float | None:
    return math.fsum(values.values()) / len(values) if values else None


def _over(a: float | None, b: float | None) -> float | None:
    return None if a is None or not b else a / b


def _line(g: Group, who: str) -> Line | None:
    """A method at its default control, by its registered name."""
    return next((x for x in g.shown if x.records[0].method == who), None)


def _minus(a: float | None, b: float | None, plus: float = 0.0) -> float | None:
    return None if a is None or b is None else a - b + plus


def _less(kind: Kind) -> str:
    names: dict[str, str] = {"translation_error_l1": "lower error", "identity_retrieval": "more identity kept"}
    return names.get(kind, "nearer to the source")


def main(folders: Sequence[str]) -> None:
    """Print the verdicts."""
    try:
        found = {folder: of_suite(Path(folder), SUITE) for folder in folders}
        if not folders or None in found.values():
            lacking = ", ".join(folder for folder, p in found.items() if p is None)
            sys.exit(f"There are no records of the suite {SUITE} in {lacking or 'no folder'}: answers.py FOLDER...")
        g = pooled([p for p in found.values() if p is not None])
    except BenchmarkError as error:
        sys.exit(f"These records do not make one run: {error}")
    said = findings(g)
    print("\n".join([*summary(g, said), "", *(f"{markdown_table(t)}\n" for t in (table(said), by_domain(said)))]))


if __name__ == "__main__":
    main(sys.argv[1:])
