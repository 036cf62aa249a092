"""The difference that a number of seeds can detect: power of the paired t test.

Cohen, Statistical Power Analysis for the Behavioral Sciences (1988), section 2; the noncentral t distribution exactly.
"""

from __future__ import annotations

import math


def detectable_difference(deviation: float, seeds: int, power: float = 0.8, alpha: float = 0.05) -> float | None:
    """The least true mean difference that a two-sided paired t test finds with probability ``power``.

    ``deviation`` is the standard deviation of the paired differences, ``seeds`` their number. None for fewer than two.
    """
    if seeds < 2 or deviation <= 0:
        return None
    from scipy import special  # a third of the time that scipy.stats takes

    freedom = seeds - 1
    critical = float(special.stdtrit(freedom, 1 - alpha / 2))
    low, high = 0.0, 1.0
    while _power(high, seeds, critical) < power:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _power(middle, seeds, critical) < power else (low, middle)
    return deviation * high


def pooled(deviations: list[float]) -> float:
    """The root mean square of standard deviations that come from equally many values."""
    return math.sqrt(sum(d * d for d in deviations) / len(deviations))


def _power(effect: float, seeds: int, critical: float) -> float:
    """Of an effect in standard deviations; the far tail is left out where it is below rounding."""
    from scipy import special

    shift = effect * math.sqrt(seeds)
    upper = 1 - float(special.nctdtr(seeds - 1, shift, critical))
    lower = float(special.nctdtr(seeds - 1, shift, -critical)) if shift < 6 else 0.0
    return upper + lower
