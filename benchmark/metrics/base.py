"""The types of evaluation: a score, the images that are scored, what a metric is. No torch here."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from benchmark.errors import DataError
from benchmark.results.record import Measurement, MetricValue

Images = NDArray[np.uint8]
"""uint8 [n, 3, R, R], RGB, 0..255."""

Kind = Literal[
    "kid", "fd", "fd_infinity", "precision", "recall", "density", "coverage",
    "memorisation", "authenticity",
    "consistency", "consistency_anchor", "step", "legacy_consistency", "legacy_consistency_face", "intra",
    "distance_averaged", "translation_error", "translation_error_l1", "share_of_the_way", "identity_retrieval",
    "mind", "vendi", "cmmd", "intra_balanced", "path_length",
    "picture_distance", "picture_kid", "picture_error",
    "own",
    "unknown",
]  # fmt: skip
_KINDS: tuple[Kind, ...] = get_args(Kind)
KIND_OF_WORDS: dict[str, Kind] = {
    **dict(zip(_KINDS, _KINDS, strict=True)),
    **dict.fromkeys(("lpips", "st_lpips"), "consistency"),
    "ppl": "path_length",
}
"""{first words of a metric's name: its kind}."""
_DISTANCE, _SHARE = "the network's distance", "share"
UNITS: dict[Kind, str] = {
    **dict.fromkeys(("kid", "cmmd", "picture_kid"), "squared kernel distance"),
    **dict.fromkeys(("fd", "fd_infinity"), "squared features"),
    "mind": "3 d squared features",
    "vendi": "images",
    "path_length": "distance per squared step in w",
    **dict.fromkeys(("precision", "recall", "coverage", "memorisation", "authenticity", "identity_retrieval"), _SHARE),
    "density": "1 where both sets are alike",
    **dict.fromkeys(
        ("consistency", "consistency_anchor", "step", "translation_error", "intra", "intra_balanced"), _DISTANCE
    ),
    **dict.fromkeys(("legacy_consistency", "legacy_consistency_face", "picture_distance"), _DISTANCE),
    **dict.fromkeys(("distance_averaged", "translation_error_l1", "picture_error"), "full range"),
    "share_of_the_way": "way from source to answer",
}
"""What one of a kind's value is; a share lies in 0..1, a number of images in 1..n."""
DISTANCES: tuple[Kind, ...] = ("consistency", "consistency_anchor")
"""Kinds of the distance between an adapted image and the source's."""
PICTURED: tuple[Kind, ...] = ("picture_distance", "picture_kid", "picture_error")
"""Kinds that need translated pictures."""
STAND_IN = "standin_"
"""Names of metrics and networks begin so where another file takes the place of published weights."""
NO_TRAINING = "not available: the training images were not given"
NO_PICTURES = "not available: no pictures were translated"
LARGEST = np.float64(1e100)
"""Squares and sums of larger numbers leave float64."""


def kind_words(name: str) -> str | None:
    """The longest of the first words of a metric's name that stand for a kind."""
    return max((w for w in KIND_OF_WORDS if name == w or name.startswith(f"{w}_")), key=len, default=None)


class Score(Measurement):
    """One number with its size and its uncertainty, or the reason why there is none."""

    reason: str | None = None
    note: str | None = Field(default=None, description="what has to be known beside the value")

    @model_validator(mode="after")
    def _value_or_reason(self) -> Score:
        if (self.value is None) == (self.reason is None):
            raise ValueError("a score has either a value or a reason")
        return self

    @classmethod
    def measured(cls, value: float, n: int, std_error: float | None = None, note: str | None = None) -> Score:
        """A score with its interval from the standard error, where there is one."""
        interval = None if std_error is None else (value - 1.96 * std_error, value + 1.96 * std_error)
        return cls(value=value, n=n, std_error=std_error, interval=interval, note=note)

    @classmethod
    def missing(cls, reason: str) -> Score:
        """No value; ``reason`` names the file and where to put it."""
        return cls(value=None, n=0, reason=reason)


@dataclass(frozen=True)
class Answers:
    """What the right translation of n latents looks like."""

    mean: np.ndarray  # float32 [n,3,R,R], 0 to 1, averaged over the medium's fields
    again: np.ndarray  # the same with other fields
    drawn: np.ndarray  # uint8 [n,3,R,R], with one draw of the fields
    drawn_again: np.ndarray  # uint8 [n,3,R,R], with another


@dataclass(frozen=True)
class Translations:
    """Averaged images of n latents, float32 [n,3,R,R] in 0 to 1, and the right answers or why there are none."""

    sources: np.ndarray
    adapted: np.ndarray
    answers: Answers | str


@dataclass(frozen=True)
class TranslatedPictures:
    """Pictures of the source's domain, n of them, inverted and drawn by the adapted generator."""

    inputs: Images
    """uint8 [n,3,R,R], the pictures themselves."""
    drawn: Images
    """uint8 [n,3,R,R], with one draw of the control's noise."""
    averaged: np.ndarray
    """float32 [n,3,R,R] in 0 to 1, the mean over several noises."""
    answers: Answers | str
    """Their right translations, or why there are none."""


class OwnFormula(Protocol):
    """A metric from outside; see `plugins.py`."""

    def score(self, fakes: Any, real: Any, training: Any) -> Score:
        """Of features float32 [n, d], [m, d] and [t, d] or None."""


class ImagePairs(Protocol):
    """Neighbouring images along paths of w, made when they are asked for; see `formulas/path_length.py`."""

    def __len__(self) -> int:
        """Paths."""

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        """Batches of tensors, float32 [k, 3, r, r] twice, 0..255."""


@dataclass(frozen=True)
class Samples:
    """The images of one evaluated control, drawn once and shared by all metrics. All uint8 [n, 3, R, R].

    ``fakes`` are adapted(z_i), i < N, with the control's noise. ``sources`` are source(z_i), i < P, with the source's
    anchor noise; ``anchored`` are adapted(z_i), i < P, with that same noise, where a metric asks for them. So
    ``fakes[i]``, ``sources[i]`` and ``anchored[i]`` belong to one latent, and P <= N.
    """

    fakes: Images
    sources: Images
    anchored: Images | None = None
    before: Images | None = None
    """The first P of ``fakes`` at the value of the control before this one: same z, same stream of noise."""
    legacy: tuple[Images, Images] | None = None
    """P images each of source and adapted network, as FixNoise's published evaluation draws them: see Sampler."""
    translations: Translations | None = None
    """Averaged images of the first latents, where a metric asks for them."""
    paths: ImagePairs | None = None
    """Pairs of neighbouring images, where a metric asks for them."""
    pictures: TranslatedPictures | str = NO_PICTURES
    """Translated pictures, or why there are none."""

    def __post_init__(self) -> None:
        anchored = self.sources if self.anchored is None else self.anchored
        for name, images in {"fakes": self.fakes, "sources": self.sources, "anchored": anchored}.items():
            require_images(images, name, least=1)
        further = {} if self.before is None else {"images before this control": self.before}
        if self.legacy is not None:
            further |= {"legacy images of the source": self.legacy[0], "adapted legacy images": self.legacy[1]}
        for name, images in further.items():
            if images.shape != self.sources.shape or images.dtype != np.uint8:
                raise DataError(f"{name} must be uint8 {self.sources.shape}; found {images.dtype} {images.shape}.")
        if self.sources.shape != anchored.shape or self.sources.shape[1:] != self.fakes.shape[1:]:
            shapes = (self.fakes.shape, self.sources.shape, anchored.shape)
            raise DataError(
                f"fakes, sources and anchored must show the same latents at one size; found shapes {shapes}."
            )
        if len(self.sources) > len(self.fakes):
            raise DataError(f"{len(self.sources)} pairs need as many generated images; found {len(self.fakes)}.")


def require_images(images: Images, name: str, least: int = 2) -> None:
    """Raise DataError unless ``images`` are at least ``least``, uint8 [n, 3, R, R]."""
    good = images.dtype == np.uint8 and images.ndim == 4 and images.shape[1] == 3 and images.shape[2] == images.shape[3]
    if not good or len(images) < least:
        found = f"{images.dtype} {images.shape}"
        raise DataError(f"{name} must be {least} or more uint8 images [n, 3, R, R]; found {found}.")


@dataclass(frozen=True)
class MetricInfo:
    """How a metric is called, read and made. ``version`` grows whenever its numbers change."""

    name: str
    title: str
    kind: Kind
    network: str
    needs: str
    better: Literal["lower", "higher"] = "lower"
    unit: str = ""
    version: int = 1
    own: OwnFormula | None = None
    """Of kind "own": what makes the score."""

    @property
    def any_count(self) -> bool:
        """Whether the expected value is the same at any number of images, so that numbers at different N compare."""
        return self.kind in ("kid", "picture_kid", "picture_distance", *DISTANCES)

    @property
    def units(self) -> str:
        """What its values are counted in; as its kind's, where it says nothing else."""
        return self.unit or UNITS.get(self.kind, "")

    def value_of(self, score: Score) -> MetricValue:
        """A score as a record holds it."""
        return MetricValue(**score.model_dump(), better=self.better, title=self.title)


def distances_to_score(distances: NDArray[np.float64]) -> Score:
    """Mean of per-pair distances [P] with the standard error of a mean of independent pairs."""
    n = len(distances)
    std_error = float(distances.std(ddof=1)) / math.sqrt(n) if n > 1 else None
    return Score.measured(float(distances.mean()), n, std_error)


def require_features(*sets: tuple[str, NDArray[np.floating], int]) -> None:
    """Take (name, features [n, d], least n); raise DataError unless all are finite and have one d > 0 in common."""
    shape = sets[0][1].shape
    width = shape[1] if len(shape) == 2 else 0
    for name, features, at_least in sets:
        if features.ndim != 2 or features.shape[1] != width or width == 0:
            raise DataError(f"{name} features must be [n, {width or 'd'}], d > 0; found shape {list(features.shape)}.")
        if len(features) < at_least:
            raise DataError(f"this needs {at_least} or more {name} images; found {len(features)}.")
    for name, features, _ in sets:
        good = (features.max(axis=1) <= LARGEST) & (features.min(axis=1) >= -LARGEST)  # False for NaN, no large copies
        if not good.all():
            bad = f"{(~good).sum()} of {len(good)} rows are not, the first is row {good.argmin()}"
            raise DataError(f"{name} features must be finite numbers: {bad}; look at the images or the network.")
