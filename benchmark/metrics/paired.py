"""Scores of pairs of images: which images each metric compares, and the result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmark.metrics.base import NO_TRAINING, Images, Kind, MetricInfo, Samples, Score, distances_to_score
from benchmark.metrics.translation import NO_TRANSLATIONS

if TYPE_CHECKING:
    from benchmark.metrics.networks.kept_maps import KeptMaps
    from benchmark.metrics.networks.perceptual import PerceptualNetwork

LEGACY: tuple[Kind, ...] = ("legacy_consistency", "legacy_consistency_face")
COMPARED: tuple[Kind, ...] = (
    *("consistency", "consistency_anchor", "step", "translation_error", "picture_distance"),
    *LEGACY,
)
CLUSTERED: tuple[Kind, ...] = ("intra", "intra_balanced")
PAIRED: tuple[Kind, ...] = (*COMPARED, *CLUSTERED, "path_length")
NO_PATHS = "not available: no images along paths were drawn"
NO_STEP = "not available: there is no value of the control before this one"
FLOOR, CEILING = "floor of ", "ceiling of "
"""Names of comparisons that are no metric of their own begin so: answers with other grain, answers of other latents."""
NO_LEGACY = "not available: no images were drawn in the published way"
NO_ANCHORED = "not available: no images were drawn at the anchor noise"


class Pairs:
    """The work of one network for one set of samples: known in advance, so that progress can be shown.

    ``infos`` are metrics of PAIRED kinds; ``training`` uint8 [t, 3, R, R], t >= 1, for those that need it.
    """

    def __init__(
        self, net: PerceptualNetwork, infos: Sequence[MetricInfo], samples: Samples, training: Images | None
    ) -> None:
        self.net, self.fakes, self.training, self.paths = net, samples.fakes, training, samples.paths
        self.comparisons, self.missing = comparisons(infos, samples, net.least_px)
        self.clustered = self._unless(NO_TRAINING if training is None else None, infos, *CLUSTERED)
        self.walked = self._unless(NO_PATHS if samples.paths is None else None, infos, "path_length")

    def _unless(self, reason: str | None, infos: Sequence[MetricInfo], *kinds: Kind) -> list[MetricInfo]:
        """Metrics of these kinds; none, and each with its reason, where one is given or images are too small."""
        found = [info for info in infos if info.kind in kinds]
        absent = Score.missing(reason) if reason else too_small(self.fakes, self.net.least_px)
        if absent is None:
            return found
        self.missing |= dict.fromkeys((info.name for info in found), absent)
        return []

    @property
    def seen(self) -> int:
        """Images that ``scores`` ticks."""
        from benchmark.metrics.intra import images_seen

        once = images_seen(self.fakes, self.training) if self.clustered and self.training is not None else 0
        along = 2 * len(self.paths) if self.walked and self.paths is not None else 0
        return once + along + sum(work.seen for work in self.comparisons)

    def scores(self, device: str, batch: int, tick: Callable[[int], None], kept: KeptMaps) -> dict[str, Score]:
        """{name: score}; ``tick(k)`` after every k images. ``kept`` holds this network's maps of earlier images."""
        from benchmark.metrics.formulas.path_length import lengths_to_score, path_lengths
        from benchmark.metrics.intra import balanced_intra, images_to_clusters, intra
        from benchmark.metrics.networks.perceptual import images_to_distances

        found = dict(self.missing)
        for work in self.comparisons:
            distances = images_to_distances(self.net, work.images, work.others, device, batch, tick, kept)
            found |= bounded({name: distances_to_score(values) for name, values in distances.items()})
        if self.clustered and self.training is not None:
            clusters = images_to_clusters(self.net, self.fakes, self.training, device, batch, tick)
            formulas = {"intra": intra, "intra_balanced": balanced_intra}
            found |= {info.name: formulas[info.kind](clusters) for info in self.clustered}
        if self.walked and self.paths is not None:
            score = lengths_to_score(path_lengths(self.net, self.paths, device, tick))
            found |= {info.name: score for info in self.walked}
        return found


@dataclass(frozen=True)
class Comparison:
    """Images [n, 3, R, R] and, by name of metric, others [n, 3, R, R] to compare them with."""

    images: Images
    others: dict[str, Images]

    @property
    def seen(self) -> int:
        """Images that pass through the network."""
        return len(self.images) * (1 + len(self.others))


def comparisons(
    infos: Sequence[MetricInfo], samples: Samples, least_px: int
) -> tuple[list[Comparison], dict[str, Score]]:
    """What to compare for the metrics of pairs among ``infos``, and the scores of those that are unavailable.

    ``least_px`` is the size of the smallest images that the network takes.
    """
    found: list[Comparison] = []
    missing = {info.name: Score.missing(_why_missing(info.kind, samples)) for info in infos if info.kind in COMPARED}
    for images, by_kind in _sets(samples):
        others = {info.name: by_kind[info.kind] for info in infos if info.kind in by_kind}
        others |= _bounds(infos, samples) if "translation_error" in by_kind else {}
        small = too_small(images, least_px)
        missing = {name: reason for name, reason in missing.items() if name not in others}
        if small:
            missing |= dict.fromkeys(others, small)
        elif others:
            found.append(Comparison(images, others))
    return found, missing


def bounded(scores: dict[str, Score]) -> dict[str, Score]:
    """The scores of metrics, those of their floors and ceilings put into them."""
    found = {}
    for name, score in scores.items():
        if not name.startswith((FLOOR, CEILING)):
            ends = {"floor": scores.get(FLOOR + name), "ceiling": scores.get(CEILING + name)}
            found[name] = score.model_copy(update={end: s.value for end, s in ends.items() if s is not None})
    return found


def _bounds(infos: Sequence[MetricInfo], samples: Samples) -> dict[str, Images]:
    """What floors and ceilings of translation errors compare the right answers with."""
    answers = samples.translations.answers if samples.translations else NO_TRANSLATIONS
    if isinstance(answers, str):
        return {}
    names = [info.name for info in infos if info.kind == "translation_error"]
    others = {FLOOR: answers.drawn_again}
    if len(answers.drawn) > 1:
        others[CEILING] = np.roll(answers.drawn, 1, axis=0)
    return {end + name: images for name in names for end, images in others.items()}


def _why_missing(kind: Kind, samples: Samples) -> str:
    """Why a comparison was not made."""
    if kind == "translation_error":
        found = samples.translations
        return NO_TRANSLATIONS if found is None or not isinstance(found.answers, str) else found.answers
    if kind == "picture_distance" and isinstance(samples.pictures, str):
        return samples.pictures
    return {"step": NO_STEP, "consistency_anchor": NO_ANCHORED}.get(kind, NO_LEGACY)


def too_small(images: Images, least_px: int) -> Score | None:
    """The score of a metric whose network does not take images of this size."""
    px = images.shape[-1]
    return Score.missing(f"not available: needs images of {least_px} px; these are {px}") if px < least_px else None


def face(images: Images) -> Images:
    """The part that the published evaluation cuts out of aligned faces: [n, 3, R, R] to [n, 3, R/2, R/2]."""
    eighth = images.shape[-1] // 8
    return images[:, :, 3 * eighth : 7 * eighth, 2 * eighth : 6 * eighth]


def _sets(samples: Samples) -> list[tuple[Images, dict[Kind, Images]]]:
    """Images, and by kind of metric those they are compared with."""
    adapted = samples.fakes[: len(samples.sources)]
    others: dict[Kind, Images] = {"consistency": adapted}
    if samples.anchored is not None:
        others["consistency_anchor"] = samples.anchored
    sets: list[tuple[Images, dict[Kind, Images]]] = [(samples.sources, others)]
    if samples.before is not None:
        sets.append((samples.before, {"step": adapted}))
    if samples.translations is not None and not isinstance(samples.translations.answers, str):
        drawn = samples.translations.answers.drawn
        sets.append((drawn, {"translation_error": samples.fakes[: len(drawn)]}))
    if not isinstance(samples.pictures, str):
        sets.append((samples.pictures.inputs, {"picture_distance": samples.pictures.drawn}))
    if samples.legacy is not None:
        source, other = samples.legacy
        sets.append((source, {"legacy_consistency": other}))
        sets.append((face(source), {"legacy_consistency_face": face(other)}))
    return sets
