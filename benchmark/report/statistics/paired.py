"""Paired comparisons over seeds: effect, certainty, and whether there are enough seeds to tell.

Repeated calls give identical results: what is drawn at random comes from generators with a fixed seed, and neither the
order of seeds nor that of methods matters. Sources:

Sign-flip test      Fisher, The Design of Experiments (1935), section 21; Pitman, JRSS Supplement 4 (1937)
(k+1)/(m+1) rule    Phipson and Smyth, Stat. Appl. Genet. Mol. Biol. 9 (2010)
Bootstrap interval  Efron, Annals of Statistics 7 (1979); Efron and Tibshirani (1993), chapter 13
Holm                Holm, Scandinavian Journal of Statistics 6 (1979)
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import ConfigError, DataError

Better = Literal["lower", "higher"]
Floats = NDArray[np.float64]
Values = Sequence[float] | Floats

EXACT_SEEDS = 16  # up to here all sign patterns are tried
DRAWS = 2**16 - 1  # beyond, so many are drawn: their smallest p, 1 / 2^16, is that of 17 seeds
DRAWN_SEEDS = 64  # beyond, the sum over random signs is normal for every purpose
RESAMPLES = 9999
LARGEST = 2**22  # numbers that a bootstrap draws at once


@dataclass(frozen=True)
class Paired:
    """Two methods at the same ``n`` seeds; differences are a - b, in the metric's unit.

    ``interval`` (low, high) and ``p_value`` are None for one seed; the interval is a point where all differences are
    equal. ``smallest_p`` is the least p that ``n`` seeds can give. ``favours``: whose mean is better, None when equal.
    """

    n: int
    difference: float
    interval: tuple[float, float] | None
    p_value: float | None
    smallest_p: float
    favours: Literal["a", "b"] | None
    note: str | None = None


@dataclass(frozen=True)
class Adjusted:
    """p values after Holm's correction; ``untested`` had none. ``note`` names all that was corrected."""

    p_values: Mapping[str, float]
    untested: tuple[str, ...]
    note: str


@dataclass(frozen=True)
class Ties:
    """``marked``: the best mean and all that is not significantly worse. ``p_values``: against the best, after Holm.

    ``untold``: those with too few values of their own to be worse, in a column where others could be; not marked.
    """

    best: str
    marked: frozenset[str]
    p_values: Mapping[str, float]
    note: str | None = None
    untold: frozenset[str] = frozenset()


def exactly(seeds: int) -> str:
    """``exact `` before the name of the sign-flip test, or nothing where so many seeds have their patterns drawn."""
    return "exact " if seeds <= EXACT_SEEDS else ""


def smallest_p(seeds: int) -> float:
    """The least p value of `paired` with so many seeds: 2 / 2^n, and no less than 1 / 2^16, where draws take over."""
    return 2.0 ** (1 - min(seeds, EXACT_SEEDS + 1))


def seeds_needed(alpha: float, comparisons: int = 1) -> int:
    """The fewest seeds n with which any of m Holm-corrected comparisons can reach ``alpha``: m * 2 / 2^n <= alpha."""
    require_choice(alpha=alpha)
    return next(n for n in itertools.count(2) if comparisons * 2.0 ** (1 - n) <= alpha)


def paired(a: Values, b: Values, better: Better, interval: bool = True) -> Paired:
    """Compare two methods' values [n], position i of both being the same seed.

    The interval is the percentile bootstrap's 95 % of the mean difference; up to ten seeds a note says that it is too
    narrow. The p value is the two-sided sign-flip test's (exact up to 16 seeds, drawn beyond), which supposes that
    under the null hypothesis a difference is as likely as its negative, and nothing else. What is equal up to
    floating-point rounding counts as equal. Raises DataError for no seeds, unequal lengths, a missing or an infinite
    value; ConfigError for an unknown ``better``. Without ``interval`` none is drawn.
    """
    require_choice(better)
    table = np.stack([*as_table({"a": a, "b": b}).values()])
    if np.isnan(table).any():
        raise DataError("a paired comparison was asked for, a value is missing: pass only the seeds that both have")
    differences = table[0] - table[1]
    n, total = len(differences), math.fsum(differences)
    slack = 16 * float(np.finfo(float).eps * np.abs(table).sum())
    wins: Literal["a", "b"] = "a" if (total < 0) == (better == "lower") else "b"
    return Paired(
        n=n,
        difference=total / n,
        interval=_bootstrap(differences, slack) if interval and n > 1 else None,
        p_value=_sign_flip_p(differences, slack) if n > 1 else None,
        smallest_p=smallest_p(n),
        favours=wins if abs(total) > slack else None,
        note=few_seeds(n),
    )


def holm(p_values: Mapping[str, float | None], what: str = "comparisons") -> Adjusted:
    """Correct p values for being several: the i-th smallest of m (from 0) times m - i, never falling, at most 1.

    ``what`` names what the keys are ("domains"). None means that there was no test; it does not count among the m.
    Raises DataError for a value outside 0 ... 1.
    """
    tested = {name: p for name, p in p_values.items() if p is not None}
    if wrong := [f"{name}: {p}" for name, p in tested.items() if not 0 <= p <= 1]:
        raise DataError(f"Holm's correction needs p values from 0 to 1, found {', '.join(wrong)}; None means no test")
    ordered = sorted(tested.items(), key=lambda item: item[1])
    raised = itertools.accumulate((p * (len(ordered) - i) for i, (_, p) in enumerate(ordered)), max)
    by_name = {name: min(1.0, p) for (name, _), p in zip(ordered, raised, strict=True)}
    untested = tuple(name for name, p in p_values.items() if p is None)
    note = f"Holm-corrected over {len(tested)} {what}: {', '.join(tested) or 'none'}"
    note += f"; no test: {', '.join(untested)}" if untested else ""
    return Adjusted({name: by_name[name] for name in tested}, untested, note)


def ties_with_best(values: Mapping[str, Values], better: Better, alpha: float = 0.05) -> Ties:
    """What to mark in a column: the best mean and every method that `paired` does not find significantly worse.

    ``values``: method -> [seeds], position i of all being the same seed; NaN where a method has no value. The best is
    the best mean among the methods with the most values. The others are compared with it at the seeds that both have,
    Holm-corrected over these comparisons. A method without any value is not marked; nor is one that shares so few
    seeds with the best that it could not be worse, where one with all seeds could.

    As the best is picked by looking, the chance that some of k equal methods loses its mark is above ``alpha``;
    simulated at 0.05: 6 % for k = 3, 9 % for k = 8. For each single one of them, the truly best, it was below 3 %.
    Raises DataError when no method has a value, or one is infinite.
    """
    require_choice(better, alpha)
    table = {name: v for name, v in sorted(as_table(values).items()) if not np.isnan(v).all()}
    if not table:
        raise DataError(f"the best of {', '.join(values)} was asked for, none has a value: leave this column out")
    counts = {name: int((~np.isnan(v)).sum()) for name, v in table.items()}
    full = [name for name in table if counts[name] == max(counts.values())]
    means = {name: math.fsum(table[name][~np.isnan(table[name])]) / counts[name] for name in full}
    best = (min if better == "lower" else max)(full, key=means.__getitem__)
    tests = {}
    for name, own in table.items():
        shared = ~np.isnan(own) & ~np.isnan(table[best])
        if name != best and shared.any():
            tests[name] = paired(own[shared], table[best][shared], better, interval=False)
    corrected = holm({name: t.p_value for name, t in tests.items()}).p_values
    worse = {name for name, p in corrected.items() if p <= alpha and tests[name].favours == "b"}
    partial = [n for n in table if n != best and (n not in tests or tests[n].n < counts[best])]
    least = seeds_needed(alpha, max(1, len(corrected)))
    short = {n for n in partial if n not in tests or tests[n].n < least} if counts[best] >= least else set()
    notes = [unreachable(tests, alpha, "bold marks the whole tie")] if tests else []
    compared = [n for n in partial if n not in short]
    notes += [f"{', '.join(compared)}: compared with {best} only at the seeds that both have"] if compared else []
    notes += [f"{', '.join(sorted(short))}: too few seeds shared with {best} for a test"] if short else []
    untold = frozenset(short - worse)
    marked = frozenset(table.keys() - worse - untold)
    return Ties(best, marked, corrected, "; ".join(filter(None, notes)) or None, untold)


def _bootstrap(differences: Floats, slack: float) -> tuple[float, float]:
    """Sorted, and of a set and its mirror image always the same one: (b, a) gets the mirrored interval of (a, b)."""
    if np.ptp(differences) <= slack:
        mean = math.fsum(differences) / len(differences)
        return mean, mean
    plain, mirrored = sorted(differences.tolist()), sorted((-differences).tolist())
    sign = 1.0 if plain >= mirrored else -1.0
    data, rng = np.asarray(max(plain, mirrored)), np.random.default_rng(0)
    # BCa covers no better at these n (tried on normal and exponential differences) and is undefined for some.
    at_once = max(1, LARGEST // len(data))
    rows = [min(at_once, RESAMPLES - begun) for begun in range(0, RESAMPLES, at_once)]
    means = np.concatenate([data[rng.integers(0, len(data), (n, len(data)))].mean(axis=1) for n in rows])
    low, high = sorted(sign * float(end) for end in np.percentile(means, (2.5, 97.5)))
    return low, high


def _sign_flip_p(differences: Floats, slack: float) -> float:
    """The share of sign patterns whose |sum| is at least the observed one; ``slack`` absorbs rounding."""
    sizes, seen = np.sort(np.abs(differences)), abs(math.fsum(differences)) - slack
    if len(sizes) <= EXACT_SEEDS:
        sums = sizes[:1]  # the first keeps its sign: a pattern and its opposite have the same |sum|
        for size in sizes[1:]:
            sums = np.concatenate((sums + size, sums - size))
        return float(np.mean(np.abs(sums) >= seen))
    if len(sizes) > DRAWN_SEEDS:
        width = math.sqrt(math.fsum(size * size for size in sizes))
        return math.erfc(max(seen, 0.0) / (width * math.sqrt(2))) if width > 0 else 1.0
    sums = _signs(len(sizes)) @ sizes
    return (int(np.count_nonzero(np.abs(sums) >= seen)) + 1) / (DRAWS + 1)


@lru_cache(maxsize=4)
def _signs(n: int) -> Floats:
    """Random signs [DRAWS, n], the same in every call."""
    rng = np.random.default_rng(0)
    return rng.choice((-1.0, 1.0), (DRAWS, n))


def few_seeds(n: int) -> str | None:
    """How far the bootstrap interval of so few seeds is from 95 %, measured on normal differences; None for many."""
    if n == 1:
        return "one seed: neither an interval nor a test"
    covers = "covers less than 95 % (about 76 % with 3 seeds, 83 % with 5, 90 % with 10)"
    return f"{n} seeds: the bootstrap interval {covers}" if n <= 10 else None


def unreachable(tests: Mapping[str, Paired], alpha: float, so: str) -> str | None:
    """Says so when no comparison could be significant, however the values had come out, and what follows: ``so``."""
    n = max(t.n for t in tests.values())
    rest = so + "; at least {} seeds are needed for p = " + f"{alpha:g}"
    if n == 1:
        return f"with 1 seed there is no test, so {rest.format(seeds_needed(alpha, len(tests)))}"
    floors = holm({name: t.smallest_p for name, t in tests.items() if t.n > 1}).p_values
    floor, m = min(floors.values()), len(floors)
    if floor <= alpha:
        return None
    after = f" ({floor:.3g} after Holm's correction over {m} comparisons)" if m > 1 else ""
    start = f"with {n} seeds the two-sided sign-flip test cannot go below p = {smallest_p(n):.3g}{after}"
    return f"{start}, so {rest.format(seeds_needed(alpha, m))}"


def as_table(values: Mapping[str, Values]) -> dict[str, Floats]:
    """Checked float64 arrays of one length; None becomes NaN."""
    try:
        table = {name: np.asarray(v, dtype=np.float64) for name, v in values.items()}
    except (TypeError, ValueError):
        raise DataError("a list of numbers was expected of every method, found something else; pass floats") from None
    shapes = {name: v.shape for name, v in table.items()}
    if len(set(shapes.values())) != 1 or any(len(s) != 1 or s == (0,) for s in shapes.values()):
        found = ", ".join(f"{name} {shape}" for name, shape in shapes.items()) or "no method"
        raise DataError(f"one value per seed was expected of every method, found shapes: {found}; NaN marks a gap")
    if infinite := [name for name, v in table.items() if np.isinf(v).any()]:
        raise DataError(f"finite values were expected, {', '.join(infinite)} has an infinite one; NaN marks a gap")
    return table


def require_choice(better: str = "lower", alpha: float = 0.05) -> None:
    if better not in ("lower", "higher"):
        raise ConfigError(f"better was given as {better!r}; say 'lower' or 'higher'")
    if not 0 < alpha < 1:
        raise ConfigError(f"alpha was given as {alpha}; it is a probability between 0 and 1, such as 0.05")
