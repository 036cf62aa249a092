"""Aggregates over domains with stratified bootstrap intervals, after Agarwal et al., NeurIPS 2021 (rliable).

Scores are arrays [domains, seeds] of one method, better when higher. Resampling draws seeds within each domain, so the
intervals are about these domains and not about domains in general.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.report.statistics.paired import Floats

RESAMPLES = 2000
LEAST_SEEDS = 3
"""With fewer, resampling says nothing."""


@dataclass(frozen=True)
class Estimate:
    """A value and its 95 % percentile interval; no interval where a domain has fewer than three seeds."""

    value: float
    interval: tuple[float, float] | None


def interquartile_mean(scores: Floats) -> float:
    """The mean of the middle half of all scores, those at its ends in part: 25 % are trimmed from either end."""
    values = np.sort(scores, axis=None)
    edges = np.arange(len(values) + 1) / len(values)
    weights = np.clip(np.minimum(edges[1:], 0.75) - np.maximum(edges[:-1], 0.25), 0, None)
    return float((values * weights).sum() / weights.sum())


def probability_of_improvement(a: Sequence[Floats], b: Sequence[Floats]) -> float:
    """Mean over domains of P(a > b), a draw counted as a half: Mann-Whitney's U over all pairs of seeds."""
    shares = [float(np.mean((x[:, None] > y) + 0.5 * (x[:, None] == y))) for x, y in zip(a, b, strict=True)]
    return math.fsum(shares) / len(shares)


def aggregate(domains: Sequence[Floats]) -> Estimate:
    """The interquartile mean over domains and seeds."""
    return _estimated(lambda drawn: interquartile_mean(np.concatenate(drawn)), domains)


def improvement(a: Sequence[Floats], b: Sequence[Floats]) -> Estimate:
    """``probability_of_improvement`` of a over b; domain i of both being the same."""
    count = len(a)
    return _estimated(lambda drawn: probability_of_improvement(drawn[:count], drawn[count:]), [*a, *b])


def profile(domains: Sequence[Floats], thresholds: Floats) -> Floats:
    """A performance profile: the share of runs whose score is above each threshold, domains weighted alike."""
    return np.mean([(own[:, None] > thresholds).mean(axis=0) for own in domains], axis=0)


def _estimated(statistic: Callable[[list[Floats]], float], strata: Sequence[Floats]) -> Estimate:
    value = statistic([*strata])
    if min(len(own) for own in strata) < LEAST_SEEDS:
        return Estimate(value, None)
    rng = np.random.default_rng(0)
    drawn = [statistic([own[rng.integers(0, len(own), len(own))] for own in strata]) for _ in range(_draws(strata))]
    low, high = np.percentile(drawn, (2.5, 97.5))
    return Estimate(value, (float(low), float(high)))


def _draws(strata: Sequence[Floats]) -> int:
    """Fewer for large sets, whose intervals need fewer: the time stays about the same."""
    size = sum(len(own) for own in strata)
    return RESAMPLES if size <= 200 else max(200, RESAMPLES * 200 // size)
