"""Inputs with answers known by hand or in closed form, for the functions that score a run.

Small sets of features for the metrics of sets, images of one colour for the metrics of pairs: values and the order of
arguments are examined together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from benchmark.metrics import list_metrics
from benchmark.metrics.base import (
    NO_PICTURES,
    Answers,
    Images,
    Kind,
    MetricInfo,
    Samples,
    Score,
    TranslatedPictures,
    Translations,
)
from benchmark.metrics.formulas.examples import (
    Example,
    copies,
    directions,
    dropped_mode,
    endless,
    gaussians,
    kernel,
    quantiles,
    right_angle,
    signs,
)
from benchmark.metrics.formulas.path_length import EPSILON, lengths_to_score, path_lengths
from benchmark.metrics.intra import Clusters, balanced_intra, images_to_clusters, images_to_intra
from benchmark.metrics.networks.perceptual import PerceptualNetwork
from benchmark.metrics.paired import Comparison, comparisons
from benchmark.metrics.pooled import features_to_scores
from benchmark.metrics.translation import translations_to_scores

Features = NDArray[np.float32]
Scorer = Callable[[Sequence[MetricInfo], Features, Features, Features | None], dict[str, Score]]
"""(metrics, generated, reference, training) -> score by metric."""
Chooser = Callable[[Sequence[MetricInfo], Samples, int], tuple[list[Comparison], dict[str, Score]]]
"""(metrics, samples, smallest size) -> who is compared with whom."""
Translator = Callable[[Sequence[MetricInfo], Translations | None], dict[str, Score]]
"""(metrics, averaged images) -> score by metric."""


@dataclass(frozen=True)
class Check:
    """A question and its answer. Where it could not be put, ``found`` says why."""

    name: str
    state: Literal["ok", "failed", "not available"]
    found: str
    expected: str = ""


def close(name: str, found: ArrayLike, expected: ArrayLike, tolerance: float) -> Check:
    """Equal up to ``tolerance`` times the largest number expected (times 1 where all are 0); shows the worst."""
    a, b = np.asarray(found, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    if a.shape != b.shape:
        return Check(name, "failed", f"shape {list(a.shape)}", f"shape {list(b.shape)}")
    allowed = tolerance * (float(np.abs(b).max()) or 1.0)
    gaps = np.nan_to_num(np.abs(a - b), nan=math.inf)
    worst = gaps.argmax()
    of = f" (worst of {a.size})" if a.size > 1 else ""
    good = gaps.flat[worst] <= allowed
    return Check(name, "ok" if good else "failed", f"{a.flat[worst]:.6g}{of}", f"{b.flat[worst]:.6g} ± {allowed:.2g}")


def same(name: str, found: object, expected: object) -> Check:
    """Exactly equal."""
    return Check(name, "ok" if found == expected else "failed", str(found), str(expected))


def known_answers(kind: Kind, score: Scorer = features_to_scores) -> list[Check]:
    """Value and argument order of a metric that compares sets of features; no checks for other kinds."""
    if kind not in EXAMPLES:
        return []
    info = next(info for info in list_metrics().values() if info.kind == kind)
    fakes, reals, answer, tolerance, training = EXAMPLES[kind]()

    def ask(a: NDArray[np.float64], b: NDArray[np.float64]) -> Score:
        further = None if training is None else training.astype(np.float32)
        return score([info], a.astype(np.float32), b.astype(np.float32), further)[info.name]

    def value(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
        found = ask(a, b).value
        return math.nan if found is None else found

    checks = [
        close(f"{kind}: known answer", value(fakes, reals), answer, tolerance),
        same(f"{kind}: counts generated images", ask(fakes, reals).n, len(fakes)),
    ]
    if kind == "fd":
        turn = signs(16)[1:3] / 4  # into more dimensions than images: the other branch, the same distance
        checks += [
            close("fd: fewer images than features", value(fakes @ turn, reals @ turn), answer, tolerance),
            close("fd: sets exchanged", value(reals, fakes), answer, tolerance),
            close("fd: identical sets", value(reals, reals), 0, tolerance),
        ]
    return checks


def compared(kinds: Sequence[Kind], choose: Chooser = comparisons) -> list[Check]:
    """Which images each metric of pairs compares; each set of images is of one colour, by which it is known again."""

    def plain(colour: int) -> Images:
        return np.full((2, 3, 32, 32), colour, dtype=np.uint8)

    def framed(colour: int, inside: int) -> Images:
        images = plain(colour)
        images[:, :, 12:28, 8:24] = inside
        return images

    legacy = (framed(7, inside=5), framed(8, inside=6))
    pictures = TranslatedPictures(plain(9), plain(10), plain(0) / np.float32(255), NO_PICTURES)
    black = plain(0) / np.float32(255)
    translations = Translations(black, black, Answers(black, black, plain(11), plain(12)))
    samples = Samples(
        *(plain(1), plain(2), plain(3), plain(4)), legacy=legacy, translations=translations, pictures=pictures
    )
    sides = {
        "translation_error": (11, 1),
        "consistency": (2, 1),
        "consistency_anchor": (2, 3),
        "step": (4, 1),
        "legacy_consistency": (7, 8),
        "legacy_consistency_face": (5, 6),
        "picture_distance": (9, 10),
    }
    infos = {kind: next(i for i in list_metrics().values() if i.kind == kind) for kind in kinds if kind in sides}
    chosen, _ = choose(list(infos.values()), samples, 1)
    found = {name: (int(c.images.max()), int(images.max())) for c in chosen for name, images in c.others.items()}
    return [same(f"{kind}: who is compared", found.get(info.name), sides[kind]) for kind, info in infos.items()]


def translated(kind: Kind, score: Translator = translations_to_scores) -> list[Check]:
    """Bars at four places as the source's images, in negative as their right answers.

    A shift of all levels by 1/4 or 1/8 is a distance or an error of as much, half the difference is half the way, and
    each answer is recognised but for those of other latents.
    """
    info = next(info for info in list_metrics().values() if info.kind == kind)
    sources = np.full((4, 3, 32, 32), 0.25, np.float32)
    for i, image in enumerate(sources):
        image[:, :, 4 + 6 * i : 8 + 6 * i] = 0.5
    right = 1 - sources
    cases = {
        "distance_averaged": ((sources + 0.25, 0.25),),
        "translation_error_l1": ((right - 0.125, 0.125),),
        "share_of_the_way": (((sources + right) / 2, 0.5), (sources, 0.0)),
        "identity_retrieval": ((right, 1.0), (np.roll(right, 1, axis=0), 0.0)),
    }[kind]
    drawn = np.zeros(right.shape, np.uint8)
    answers = Answers(right, right - 0.0625, drawn, drawn)
    found = [score([info], Translations(sources, adapted, answers))[info.name] for adapted, _ in cases]
    values = [math.nan if s.value is None else s.value for s in found]
    checks = [close(f"{kind}: known answer", values, [value for _, value in cases], 1e-6)]
    if kind == "translation_error_l1":
        floors = [math.nan if s.floor is None else s.floor for s in found]
        checks.append(close(f"{kind}: floor", floors, [0.0625], 1e-6))
    return checks


def clustered(score: Callable[..., Score] = images_to_intra) -> list[Check]:
    """Images of one grey each, compared by their difference: clusters of 3, 2, 1 and 0 around four training images.

    Means of pairs: (1 + 1 + 2) / 3 around 10 and 4 around 50; one image makes no pair, and nothing is near 200. Over
    all four clusters (4 / 3 + 4) / 4 = 4 / 3; over those that have pairs it would be twice that.
    """

    def grey(*levels: int) -> Images:
        return np.tile(np.array(levels, dtype=np.uint8)[:, None, None, None], (1, 3, 8, 8))

    found = score(Grey(), grey(9, 10, 11, 48, 52, 90), grey(10, 50, 91, 200), "cpu", 6, lambda k: None)
    value = math.nan if found.value is None else found.value
    return [
        close("intra: known answer", value, 4 / 3, 1e-6),
        same("intra: clusters without a pair are told", found.note, "2 of 4 clusters without a pair, counted as 0"),
    ]


def balanced(score: Callable[[Clusters], Score] = balanced_intra) -> list[Check]:
    """The clusters of ``clustered``, which hold 1/2, 1/3, 1/6 and none of the images: half the images weigh 1/4 by the
    logarithm to base 4, a third log4(3) / 3; (4/3) / 4 + 4 log4(3) / 3.
    """
    images = np.tile(np.array([9, 10, 11, 48, 52, 90, 10, 50, 91, 200], np.uint8)[:, None, None, None], (1, 3, 8, 8))
    found = score(images_to_clusters(Grey(), images[:6], images[6:], "cpu", 6, lambda k: None))
    value = math.nan if found.value is None else found.value
    return [close("intra_balanced: known answer", value, 1 / 3 + 4 * math.log(3, 4) / 3, 1e-6)]


def walked(score: Callable[[NDArray[np.float64]], Score] = lengths_to_score) -> list[Check]:
    """201 paths whose second image is k eps^2 levels brighter, k = 1, ..., 201, but for two too short and two too long.

    Without those, which are the lowest and the highest 1 %, the mean of 3, ..., 199 is 101.
    """
    speeds = torch.arange(1.0, 202.0)
    speeds[:2], speeds[-2:] = 0, 1e6
    first = torch.zeros(201, 3, 8, 8)
    paths = [(first, first + (speeds * EPSILON**2)[:, None, None, None])]
    found = score(path_lengths(Grey(), paths, "cpu", lambda k: None))
    value = math.nan if found.value is None else found.value
    return [
        close("path_length: known answer", value, 101, 1e-5),
        same("path_length: counts paths", found.n, 201),
    ]


class Grey(PerceptualNetwork):
    """Distance: the difference of two pictures' mean levels."""

    least_px = 1

    def features(self, images: Tensor) -> list[Tensor]:
        """The mean level of each image."""
        return [images.float().mean((1, 2, 3), keepdim=True)]

    def distance(self, a: list[Tensor], b: list[Tensor]) -> Tensor:
        """Of one number each."""
        return (a[0] - b[0]).abs().flatten()


EXAMPLES: Mapping[str, Callable[[], Example]] = {
    "fd": gaussians,
    "kid": kernel,
    "precision": partial(dropped_mode, 1.0),
    "recall": partial(dropped_mode, 0.5),
    "density": partial(dropped_mode, 1.14),
    "coverage": partial(dropped_mode, 0.5),
    "fd_infinity": endless,
    "memorisation": copies,
    "authenticity": copies,
    "mind": quantiles,
    "vendi": directions,
    "cmmd": right_angle,
}
