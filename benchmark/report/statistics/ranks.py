"""Ranks of methods over blocks: whether methods differ at all, and which do.

Friedman, JASA 32 (1937); Nemenyi (1963); Demšar, JMLR 7 (2006), section 3.2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from benchmark.report.statistics.paired import Better, Floats, Values, as_table, require_choice

FEW_BLOCKS = 10  # Demšar's rule of thumb
LEAST_BLOCKS = 3  # of any number of methods at 0.05; found without the distribution, which takes a second to import


@dataclass(frozen=True)
class CriticalDifference:
    """Average ranks over ``blocks`` complete blocks (1 is best; best first), ``dropped`` ones had a value missing.

    ``statistic`` and ``p_value`` are Friedman's; methods whose ranks are ``difference`` or more apart differ.
    ``groups`` are the maximal sets of two or more methods that do not, best first: the bars of the diagram.
    ``reason`` says why there is no ``difference``, and then no group either; ``note`` says how far to trust it.
    """

    ranks: Mapping[str, float]
    blocks: int
    dropped: int
    alpha: float
    statistic: float | None = None
    p_value: float | None = None
    difference: float | None = None
    groups: tuple[tuple[str, ...], ...] = ()
    reason: str | None = None
    note: str | None = None


def critical_difference(values: Mapping[str, Values], better: Better, alpha: float = 0.05) -> CriticalDifference:
    """Rank methods within blocks, test whether they differ at all (Friedman), and which do (Nemenyi).

    ``values``: method -> [blocks], a block being for instance a (domain, seed) pair, position i of all being the same;
    NaN where there is no value: that block is dropped and counted. Equal values share their average rank. Blocks are
    taken as independent, and seeds of one domain are no sample of domains: with (domain, seed) blocks the verdict is
    about these domains; for one about domains in general pass one mean per domain. When Friedman's test finds
    nothing, all methods are one group. Raises DataError for no method, unequal lengths or an infinite value.
    """
    require_choice(better, alpha)
    found = as_table(values)
    table = np.stack([*found.values()])
    whole = ~np.isnan(table).any(axis=0)
    blocks, dropped = int(whole.sum()), int((~whole).sum())
    ranked = pd.DataFrame(table[:, whole] * (1 if better == "lower" else -1)).rank(axis=0).to_numpy()
    means = {name: math.fsum(row) / blocks for name, row in zip(found, ranked, strict=True)} if blocks else {}
    ranks = dict(sorted(means.items(), key=lambda item: (item[1], item[0])))
    if reason := _no_ranking(found, blocks, alpha):
        return CriticalDifference(ranks, blocks, dropped, alpha, reason=reason)
    from scipy import stats  # takes a second: only where there is a test

    same = bool((ranked == ranked[0]).all())  # equal values only: scipy would divide 0 by 0
    statistic, p = (0.0, 1.0) if same else map(float, stats.friedmanchisquare(*ranked))
    width = _nemenyi(len(found), blocks, alpha)
    notes = [] if p <= alpha else [f"Friedman's test finds no difference (p = {p:.3g}): all methods are one group"]
    if blocks <= FEW_BLOCKS:
        notes.append(f"{blocks} blocks: both tests are approximations for more than {FEW_BLOCKS}")
    groups = _groups(ranks, width) if p <= alpha else (tuple(ranks),)
    note = "; ".join(notes) or None
    return CriticalDifference(ranks, blocks, dropped, alpha, statistic, p, width, groups, note=note)


@lru_cache(maxsize=64)
def nemenyi_q(methods: int, alpha: float) -> float:
    """Demšar's table 5: the studentized range's upper ``alpha`` point (infinite degrees of freedom) over sqrt(2)."""
    from scipy import stats

    return float(stats.studentized_range.ppf(1 - alpha, methods, np.inf)) / math.sqrt(2)


def _nemenyi(methods: int, blocks: int, alpha: float) -> float:
    """Demšar's critical difference: q sqrt(k (k + 1) / (6 N))."""
    return nemenyi_q(methods, alpha) * math.sqrt(methods * (methods + 1) / (6 * blocks))


def _groups(ranks: Mapping[str, float], width: float) -> tuple[tuple[str, ...], ...]:
    """Maximal runs of neighbours (in order of rank) whose first and last differ by less than ``width``."""
    names, found, end = list(ranks), [], 0
    for i, name in enumerate(names):
        last = max(j for j, other in enumerate(names) if ranks[other] - ranks[name] < width)
        if last > i and last >= end:
            found.append(tuple(names[i : last + 1]))
            end = last + 1
    return tuple(found)


def _no_ranking(table: Mapping[str, Floats], blocks: int, alpha: float) -> str | None:
    if (methods := len(table)) < 3:
        return f"{methods} methods: ranks are compared from 3 on; compare two with the sign-flip test"
    if not blocks:
        empty = [name for name, v in table.items() if np.isnan(v).all()]
        why = f"; leave out {', '.join(empty)}, without any value" if empty else ""
        return f"no block has a value of every method{why}"
    if blocks < LEAST_BLOCKS and alpha <= 0.05:
        needed = LEAST_BLOCKS
    else:
        needed = math.ceil((_nemenyi(methods, 1, alpha) / (methods - 1)) ** 2)  # ranks differ by k - 1 at most
    if blocks < needed:
        return f"{blocks} of at least {needed} blocks: even the first and the last of every block could not differ"
    return None
