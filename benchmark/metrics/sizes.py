"""The number of images that each kind of metric needs: checked before a training and before the metric."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from benchmark.metrics.base import Kind, MetricInfo
from benchmark.metrics.families import NEIGHBOURS
from benchmark.metrics.formulas.fd_infinity import AT_LEAST
from benchmark.metrics.formulas.kid import AT_LEAST as KID_AT_LEAST
from benchmark.metrics.formulas.neighbours import HELD_OUT_AT_LEAST


@dataclass(frozen=True)
class Sizes:
    """Numbers of images: those at hand, or those that are needed."""

    generated: int = 1
    """Generated images; pairs are the first of them."""
    pairs: int = 0
    held_out: int = 0
    training: int = 0


WORDS = {
    "generated": "generated images",
    "pairs": "pairs",
    "held_out": "held-out images",
    "training": "training images",
}
SETTINGS = {"generated": "eval.samples", "pairs": "eval.pairs", "held_out": "split.test", "training": "split.train"}

_NEIGHBOURS = Sizes(generated=NEIGHBOURS + 1, held_out=NEIGHBOURS + 1)
_MEMORISATION = Sizes(held_out=HELD_OUT_AT_LEAST, training=2)
NEEDS: dict[Kind, Sizes] = {
    "kid": Sizes(generated=KID_AT_LEAST, held_out=KID_AT_LEAST),
    "fd": Sizes(generated=2, held_out=2),
    "fd_infinity": Sizes(generated=AT_LEAST, held_out=2),
    **dict.fromkeys(("precision", "recall", "density", "coverage"), _NEIGHBOURS),
    **dict.fromkeys(("memorisation", "authenticity"), _MEMORISATION),
    "intra": Sizes(generated=2, training=1),
    "intra_balanced": Sizes(generated=2, training=2),
    "share_of_the_way": Sizes(pairs=2),
    "identity_retrieval": Sizes(pairs=2),
    "picture_kid": Sizes(held_out=KID_AT_LEAST),
}
"""What is not named here needs one pair: see `needed`."""


def needed(info: MetricInfo) -> Sizes:
    """How many images of each kind a metric needs."""
    return NEEDS.get(info.kind, Sizes(pairs=1))


def shortage(info: MetricInfo, there: Sizes) -> str | None:
    """Why the metric has no value at these sizes, None where it has; counts of training images below 0 are unknown."""
    short = list(_short(info, there))
    if not short:
        return None
    needed = " and ".join(f"{need} {WORDS[what]}" for what, need, _ in short)
    return f"not available: needs {needed}; there are {' and '.join(str(have) for *_, have in short)}"


def _short(info: MetricInfo, there: Sizes) -> Iterable[tuple[str, int, int]]:
    """(what, how many are needed, how many there are) of all that are too few."""
    needs = needed(info)
    for what in WORDS:
        need, have = getattr(needs, what), getattr(there, what)
        if 0 <= have < need:
            yield what, need, have
