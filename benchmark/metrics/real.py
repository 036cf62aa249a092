"""Scores of real images: a domain's training images against its held-out ones, in the metrics of sets.

They say where the scale of a metric ends: no generator that was trained on these images can be asked for more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmark.errors import DataError
from benchmark.metrics.base import Images, Kind, Samples, Score
from benchmark.metrics.evaluator import Evaluator
from benchmark.metrics.pooled import MEMORISATION, POOLED

OF_SETS: tuple[Kind, ...] = tuple(kind for kind in POOLED if kind not in MEMORISATION)
"""Kinds that need no third set of images, and no pairs."""


def real_scores(evaluator: Evaluator, training: Images, reference: Images, digest: str, most: int) -> dict[str, Score]:
    """{metric: score} of the evaluator's metrics of sets; the first `most` training images stand for generated ones.

    uint8 [t, 3, R, R] and [m, 3, R, R]; ``digest`` stands for the content of the reference set, as in `Evaluator`.
    Where there are too few images a score is not available.
    """
    names = [info.name for info in evaluator.infos if info.kind in OF_SETS]
    images = training[:most]
    if len(images) < 2:
        return dict.fromkeys(names, Score.missing(f"not available: {len(images)} training images"))
    samples = Samples(images, images[:2], images[:2])

    def scored(some: Sequence[str]) -> dict[str, Score]:
        own = Evaluator(some, evaluator.cache, evaluator.device, evaluator.batch, stand_ins=evaluator.stand_ins)
        return own(samples, reference, digest).scores

    try:
        return scored(names)
    except DataError:  # a metric that wants more images than there are costs itself alone
        return {name: _unless_refused(scored, name) for name in names}


def _unless_refused(scored: Callable[[Sequence[str]], dict[str, Score]], name: str) -> Score:
    try:
        return scored([name])[name]
    except DataError as error:
        return Score.missing(f"not available: {error}")
