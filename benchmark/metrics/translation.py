"""Metrics of translation: how far a generator moves the source's images, and whether it moves them rightly.

Images are compared after most of their grain was averaged away: each is the mean over several noises at one latent,
slightly blurred. What is left of the grain counts. Source and adapted images are averaged over the same stream of
noises, so random noise leaves the same grain in both, which cancels, and noise nearer to the anchor leaves another.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from benchmark.metrics.base import Answers, Kind, MetricInfo, Score, TranslatedPictures, Translations

LATENTS, DRAWS = 100, 8
"""Latents that are compared, and noises that each image is averaged over."""
TRANSLATED: tuple[Kind, ...] = ("distance_averaged", "translation_error_l1", "share_of_the_way", "identity_retrieval")
"""Kinds of metrics that compare averaged images; no network."""
ANSWERED: tuple[Kind, ...] = ("translation_error", "translation_error_l1", "share_of_the_way", "identity_retrieval")
"""Kinds without a value where the right answer is not known."""
NO_TRANSLATIONS = "not available: no averaged images were drawn"
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def translations_to_scores(infos: Sequence[MetricInfo], found: Translations | None) -> dict[str, Score]:
    """{name: score} of metrics of the kinds TRANSLATED; floor and ceiling as each metric's function says."""
    if found is None:
        return {info.name: Score.missing(NO_TRANSLATIONS) for info in infos}
    scores = {}
    for info in infos:
        if info.kind == "distance_averaged":
            scores[info.name] = distance_averaged(found.adapted, found.sources)
        elif isinstance(found.answers, str):
            scores[info.name] = Score.missing(found.answers)
        else:
            scores[info.name] = AGAINST_ANSWERS[info.kind](found.adapted, found.sources, found.answers)
    return scores


def pictures_to_scores(infos: Sequence[MetricInfo], found: TranslatedPictures | str) -> dict[str, Score]:
    """{name: score} of metrics of the kind picture_error; floor and ceiling as `translation_error` says."""
    why = found if isinstance(found, str) else found.answers
    if isinstance(found, str) or isinstance(why, str):
        return {info.name: Score.missing(str(why)) for info in infos}
    return {info.name: translation_error(found.averaged, found.averaged, why) for info in infos}


def distance_averaged(adapted: np.ndarray, sources: np.ndarray) -> Score:
    """Mean absolute difference to the source, in units of the full range; 0 for the source itself at random noise.

    At other noise it holds the grain that averaging leaves, most at the anchor, whose grain is not averaged at all.
    """
    return _mean(_l1(blurred(adapted), blurred(sources)))


def translation_error(adapted: np.ndarray, sources: np.ndarray, answers: Answers) -> Score:
    """Mean absolute difference to the right answer, in units of the full range.

    Floor: the same answer with other grain, so what a second set of right answers scores. It is no lower bound: without
    grain the right answer would have 1/sqrt(2) of it; all with one grain, which nothing averages, about twice as much.
    Ceiling: the right answer of another latent.
    """
    right = blurred(answers.mean)
    score = _mean(_l1(blurred(adapted), right))
    floor = float(_l1(blurred(answers.again), right).mean())
    ceiling = float(_l1(np.roll(right, 1, axis=0), right).mean()) if len(right) > 1 else None
    return score.model_copy(update={"floor": floor, "ceiling": ceiling})


def share_of_the_way(adapted: np.ndarray, sources: np.ndarray, answers: Answers) -> Score:
    """Where the images stand between source and right answer: <A - S, K - S> / <K - S, K - S> over all latents.

    0 at the source (floor), 1 at the answer; the ceiling is what answers with other grain reach.
    """
    start = blurred(sources)
    way = blurred(answers.mean) - start
    gone, length = _dot(blurred(adapted) - start, way), _dot(way, way)
    if not length.sum():
        return Score.missing("not available: the right answers are the source's own images")
    share = float(gone.sum() / length.sum())
    n = len(gone)
    spread = math.sqrt(n / (n - 1) * float(np.square(gone - share * length).sum())) / float(length.sum())
    score = Score.measured(share, n, spread)
    reached = float(_dot(blurred(answers.again) - start, way).sum() / length.sum())
    return score.model_copy(update={"floor": 0.0, "ceiling": reached})


def identity_retrieval(adapted: np.ndarray, sources: np.ndarray, answers: Answers) -> Score:
    """Share of images whose nearest right answer, by the correlation of edges, is that of their own latent.

    Edges do not depend on the medium's colours. Floor: chance. Ceiling: answers with other grain.
    """
    right = edges(answers.mean)
    n = len(right)
    share = _retrieved(edges(adapted), right)
    score = Score.measured(share, n, math.sqrt(share * (1 - share) / n))
    return score.model_copy(update={"floor": 1 / n, "ceiling": _retrieved(edges(answers.again), right)})


AGAINST_ANSWERS = {
    "translation_error_l1": translation_error,
    "share_of_the_way": share_of_the_way,
    "identity_retrieval": identity_retrieval,
}


def blurred(images: np.ndarray) -> np.ndarray:
    """[n,3,R,R] smoothed by a Gaussian of R/64 px: lessens the grain that averaging leaves; lines stay."""
    return _smooth(images, images.shape[-1] / 64)


def edges(images: np.ndarray) -> np.ndarray:
    """Unit vectors [n, R*R]: gradient magnitude of the luma, smoothed, without its mean over the images."""
    luma = np.tensordot(images, LUMA, ([1], [0]))
    dy, dx = np.gradient(luma, axis=(1, 2))
    found = _smooth(np.hypot(dy, dx), 0.7 * images.shape[-1] / 64)
    vectors = (found - found.mean(axis=0)).reshape(len(images), -1)
    return vectors / (np.linalg.norm(vectors, axis=1, keepdims=True) + 1e-8)


def _smooth(images: np.ndarray, width: float) -> np.ndarray:
    """A Gaussian over the last two axes."""
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(images, (*[0] * (images.ndim - 2), width, width), mode="nearest")


def _retrieved(found: np.ndarray, right: np.ndarray) -> float:
    return float(((found @ right.T).argmax(axis=1) == np.arange(len(right))).mean())


def _l1(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.abs(a - b).mean(axis=(1, 2, 3), dtype=np.float64)


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(axis=(1, 2, 3), dtype=np.float64)


def _mean(values: np.ndarray) -> Score:
    n = len(values)
    return Score.measured(float(values.mean()), n, float(values.std(ddof=1)) / math.sqrt(n) if n > 1 else None)
