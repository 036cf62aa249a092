"""A comparison of docs/answers.md and what is concluded from it: the test, the verdict, the table and the sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Literal, get_args

from benchmark.report.group import Group
from benchmark.report.statistics.paired import holm, paired
from benchmark.report.statistics.power import detectable_difference
from benchmark.report.tables.table import MISSING, Cell, Column, Row, Table, spread
from benchmark.suites import load_suite
from benchmark.system.text.lists import listed

SEEDS = 8
"""So many are planned. From here on a seed is the unit of a test, before it a training on one domain."""
ALPHA, POWER = 0.05, 0.8
Verdict = Literal["confirmed", "refuted", "undecided", "not comparable"]
LEGEND = (
    "effect: mean over n units, positive in the claim's favour.",
    'The threshold is taken off: for "rises by more than 0.1" the effect is the rise less 0.1, for "at most 0.05 less" '
    "the difference plus 0.05.",
    "detectable: the least true effect that n units show with 80 % power.",
    "not compared: pairs of domain and seed in which the comparison could not be made.",
)
"""What the columns of the table are."""
Places = Mapping[tuple[str, int], float | None]
"""{(domain, seed): a difference, or None where it could not be made}."""
HEADS = ("method", "against", "effect", "95 % interval", "n", "p", "Holm p", "detectable", "not compared", "verdict")


@dataclass(frozen=True)
class Finding:
    """One comparison: ``values`` has one number per unit, positive in the claim's favour."""

    claim: str
    method: str
    rival: str
    what: str
    values: tuple[float, ...]
    missing: int
    """(domain, seed) places where it could not be made."""
    domains: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """One number per seed, by domain."""
    p_value: float | None = None
    holm_p: float | None = None

    @property
    def effect(self) -> float | None:
        return math.fsum(self.values) / len(self.values) if self.values else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % percentile bootstrap over the units."""
        return paired(self.values, [0.0] * len(self.values), "higher").interval if self.values else None

    @property
    def detectable(self) -> float | None:
        """The least true effect that so many units show with 80 % power, without the correction."""
        return detectable_difference(spread(self.values), len(self.values), POWER, ALPHA) if self.values else None

    @property
    def verdict(self) -> Verdict:
        if not self.values:
            return "not comparable"
        if self.holm_p is None or self.holm_p > ALPHA or not self.effect:
            return "undecided"
        return "confirmed" if self.effect > 0 else "refuted"


def verdict(own: Sequence[Finding]) -> Verdict:
    """Of several comparisons: confirmed if all are, refuted if any is."""
    kinds = {f.verdict for f in own}
    return "refuted" if "refuted" in kinds else "confirmed" if kinds == {"confirmed"} else "undecided"


@lru_cache(maxsize=4)
def planned(suite: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The domains and the registered names of the methods of a suite."""
    found = load_suite(suite)
    return tuple(found[0].domains), tuple(m.name for m in found[1])


@lru_cache(maxsize=8)
def pairs(g: Group) -> dict[str, list[int]]:
    """{domain of the plan: the seeds of which every row has a finished record there}."""
    domains, methods = planned(g.records[0].suite)
    rows = {name: [x for x in g.lines if x.records[0].method == name] for name in methods}
    done = {(x.label, r.domain, r.seed) for x in g.lines for r in x.records if r.status == "done"}
    wanted = [x.label for own in rows.values() for x in own]
    whole = all(rows.values())
    return {d: [s for s in g.seeds if whole and all((label, d, s) in done for label in wanted)] for d in domains}


def complete(g: Group) -> list[int]:
    """The seeds of which every row has a finished record on all domains, up to as many as are planned."""
    return sorted(set.intersection(*(set(own) for own in pairs(g).values())))[:SEEDS]


def preliminary(g: Group) -> bool:
    """Whether fewer seeds than planned are complete on all domains."""
    return len(complete(g)) < SEEDS


def counted(g: Group) -> Group:
    """What the tests are made of: all records, and once enough seeds are complete, those of these seeds alone."""
    seeds = g.seeds if preliminary(g) else complete(g)
    return replace(g, records=tuple(r for r in g.records if r.seed in seeds))


def finding(g: Group, claim: str, ours: str, rival: str, what: str, at: Places, domains: Sequence[str]) -> Finding:
    """One value per seed, the mean over the domains, of those seeds that have all of them.

    While fewer seeds than planned are complete: one value per domain and seed.
    """
    rows = {s: [at.get((d, s)) for d in domains] for s in g.seeds}
    whole = {s: [v for v in row if v is not None] for s, row in rows.items()}
    means = tuple(math.fsum(v) / len(v) for s, v in whole.items() if v and len(v) == len(rows[s]))
    each = tuple(v for own in whole.values() for v in own)
    missing = sum(v is None for row in rows.values() for v in row)
    own = {d: tuple(v for s in g.seeds if (v := at.get((d, s))) is not None) for d in domains}
    return Finding(claim, ours, rival, what, each if preliminary(g) else means, missing, own)


def tested(family: Sequence[Finding]) -> list[Finding]:
    """With p, and Holm's p over these comparisons."""
    tests = {
        str(i): paired(f.values, [0.0] * len(f.values), "higher").p_value if f.values else None
        for i, f in enumerate(family)
    }
    corrected = holm(tests).p_values
    return [replace(f, p_value=tests[str(i)], holm_p=corrected.get(str(i))) for i, f in enumerate(family)]


def table(found: Sequence[Finding]) -> Table:
    """One row per comparison."""
    rows = []
    for f in found:
        low, high = f.interval or (math.nan, math.nan)
        numbers = (_signed(f.effect), f"{low:+.3f} to {high:+.3f}" if f.interval else MISSING, str(len(f.values)))
        tests = [MISSING if p is None else f"{p:.3g}" for p in (f.p_value, f.holm_p)]
        least = MISSING if f.detectable is None else f"{f.detectable:.2g}"
        texts = (f.method, f.rival or MISSING, *numbers, *tests, least, str(f.missing), f.verdict)
        rows.append(Row(f"{f.claim}: {f.what}", tuple(map(Cell, texts)), method=f.method))
    return Table("Verdicts", tuple(Column("", name) for name in HEADS), tuple(rows), head="claim")


def by_domain(found: Sequence[Finding]) -> Table:
    """One row per comparison, one column per domain: the mean, and how many seeds are in the claim's favour."""
    domains = list(dict.fromkeys(d for f in found for d in f.domains))
    rows = [
        Row(f"{f.claim}: {f.what}", (Cell(f.method), Cell(f.rival or MISSING), *(_favour(f, d) for d in domains)))
        for f in found
    ]
    columns = tuple(Column("", name) for name in ("method", "against", *domains))
    return Table("Effects by domain", columns, tuple(rows), head="claim")


def _favour(f: Finding, domain: str) -> Cell:
    own = f.domains.get(domain, ())
    if not own:
        return Cell(MISSING)
    return Cell(f"{_signed(math.fsum(own) / len(own))} ({sum(v > 0 for v in own)} of {len(own)})")


def summary(g: Group, found: Sequence[Finding]) -> list[str]:
    """How far the run is, where it has not ended, and a sentence per claim and method."""
    said, word = [], ""
    if preliminary(g):
        word, done = "preliminary: ", pairs(g)
        each = listed([f"{len(own)} on {domain}" for domain, own in done.items()])
        said += [
            f"**Preliminary:** {SEEDS} seeds per domain are planned; complete so far: {each}. "
            "Until all are complete, each pair of domain and seed is one unit of the tests.",
            f"By the final rule, whose unit is the seed, fewer than {SEEDS} seeds can decide no line with four rivals: "
            "what is called confirmed or refuted so far counts pairs of one seed as independent, which makes p too "
            "small.",
            "",
        ]
    elif left := [seed for seed in g.seeds if seed not in complete(g)]:
        said += [f"The first {SEEDS} complete seeds count. Not counted: seed {listed(list(map(str, left)))}.", ""]
    for claim in dict.fromkeys(f.claim for f in found):
        number, _, title = claim.partition(" ")
        for ours in dict.fromkeys(f.method for f in found if f.claim == claim):
            own = [f for f in found if (f.claim, f.method) == (claim, ours)]
            found_of = {v: sum(f.verdict == v for f in own) for v in get_args(Verdict)}
            counts = [f"{n} {v}" for v, n in found_of.items() if n or v != "not comparable"]
            said.append(
                f"- Claim {number} ({title}), `{ours}`: **{word}{verdict(own)}** "
                f"({', '.join(counts)} of {len(own)} comparisons)."
                f"{_decided(own, 'confirmed')}{_decided(own, 'refuted')}"
            )
    return said


def _decided(own: Sequence[Finding], word: Verdict) -> str:
    """`` Confirmed: lower error at equal KID (against finetune, freezed); ...``, or nothing."""
    rivals: dict[str, list[str]] = {}
    for f in own:
        if f.verdict == word:
            rivals.setdefault(f.what, []).extend([f"`{f.rival}`"] if f.rival else [])
    parts = [f"{what} (against {', '.join(names)})" if names else what for what, names in rivals.items()]
    return f" {word.capitalize()}: {'; '.join(parts)}." if parts else ""


def _signed(value: float | None) -> str:
    return MISSING if value is None else f"{value:+.3f}"
