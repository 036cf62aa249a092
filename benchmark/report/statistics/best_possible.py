"""What the best possible images score: the ends of a metric's scale, and what real images of the domain score."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmark.metrics.catalogue import info_of
from benchmark.results import RunRecord
from benchmark.results.reals import RealScores, real_values


def best_possible(records: Sequence[RunRecord]) -> dict[tuple[str, str], float]:
    """(domain, metric) -> what the best possible images score, where the records say so.

    That is the low end of a metric's scale (``floor``) where lower is better, else its high end (``ceiling``).
    """
    found: dict[tuple[str, str], float] = {}
    for r in records:
        for name, m in r.metrics.items():
            best = m.floor if m.better == "lower" else m.ceiling
            if best is not None and m.value is not None:
                found.setdefault((r.domain, name), best)
    return found


def scores_of_reals(reals: Iterable[RealScores], records: Sequence[RunRecord]) -> dict[tuple[str, str], float]:
    """(domain, metric) -> what real images score.

    Where a metric depends on the number of images, only a score of as many as the records have counts: the ten training
    images of a few-shot domain are not the best possible ones.
    """
    counts = {(r.domain, name): m.n for r in records for name, m in r.metrics.items() if m.value is not None}
    return {
        (domain, name): m.value
        for (domain, name), m in real_values(reals, records).items()
        if m.value is not None and (info_of(name).any_count or m.n == counts.get((domain, name), m.n))
    }
