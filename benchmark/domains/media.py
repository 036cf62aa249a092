"""Media: what a clean drawing looks like when it was made with ink, charcoal, chalk ... and scanned.

A medium is a function F(x, fields): x is a clean image, `fields` are random fields of paper and pigment that are drawn
from a seed alone. F is known, so the right translation of a source image into the medium is known, too.

All arithmetic is float64 and a pixel is rounded once, at the end: machines whose functions differ in the last bit
still draw the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.errors import DataError, UnknownName

if TYPE_CHECKING:
    from benchmark.domains.cards import Pictures

LEAST_RESOLUTION = 16
"""px; below, the blotches of a medium are smaller than its grain."""
VERSION = 1
"""Raise it when a medium draws other pixels: it is part of a domain's recipe."""


@dataclass(frozen=True)
class Fields:
    """Random fields of N images, float64, zero mean and unit variance; widths are standard deviations of a Gaussian."""

    grain: np.ndarray  # [N,R,R,1], white
    tooth: np.ndarray  # [N,R,R,1], 0.7 px: the roughness of the paper
    blotch: np.ndarray  # [N,R,R,1], R/26 px: pigment that gathers
    tone: np.ndarray  # [N,R,R,1], R/7 px: paper that yellowed, an uneven wash
    exposure: np.ndarray  # [N,1,1,1], one number for each image


def draw_fields(seeds: Sequence[int], resolution: int) -> Fields:
    """One image's fields for each seed (0 or greater); they depend on that seed and the resolution alone."""
    drawn = [_draw(seed, resolution) for seed in seeds]
    return Fields(*(np.stack(parts)[..., None] for parts in zip(*drawn, strict=True)))


def no_fields(n: int) -> Fields:
    """Fields that are 0 everywhere: paper without grain."""
    zero = np.zeros((n, 1, 1, 1))
    return Fields(zero, zero, zero, zero, zero)


def _draw(seed: int, r: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    white = [rng.standard_normal((r, r)) for _ in range(4)]
    widths = (0.0, 0.7, r / 26, r / 7)
    smooth = [_smooth(field, width) for field, width in zip(white, widths, strict=True)]
    return (*smooth, rng.standard_normal((1, 1)))


def _smooth(white: np.ndarray, width: float) -> np.ndarray:
    """Periodic Gaussian smoothing that keeps the variance."""
    if not width:
        return white
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(white, width, mode="wrap") / _shrinkage(len(white), width)


@lru_cache(maxsize=64)
def _shrinkage(r: int, width: float) -> float:
    """Standard deviation of smoothed white noise."""
    from scipy.ndimage import gaussian_filter

    impulse = np.zeros((r, r))
    impulse[0, 0] = 1
    return float(np.sqrt((gaussian_filter(impulse, width, mode="wrap") ** 2).sum()))


def ink(x: np.ndarray, f: Fields) -> np.ndarray:
    """Felt pen in the drawing's own colours on grained, slightly uneven paper: ``paper * (1 - cover)``."""
    paper = _rgb(244, 238, 224) * (1 + 0.05 * f.tooth + 0.04 * f.grain + 0.05 * f.blotch + 0.05 * f.tone)
    cover = (1 - x) * _clip(0.92 - 0.13 * np.maximum(f.tooth, 0) - 0.08 * f.blotch)
    return paper * (1 - cover)


def charcoal(x: np.ndarray, f: Fields) -> np.ndarray:
    """Grey on rough paper: the tooth takes the charcoal, blank paper is smudged."""
    dark = 1 - _luminance(x)
    rough = (0.10 + 0.55 * dark * (1.15 - dark)) * (0.75 * f.tooth + 0.5 * f.grain)
    load = _clip(dark * (0.95 + 0.10 * f.blotch) + 0.08 + 0.03 * f.tone + rough)
    return _mix(_rgb(236, 232, 224), _rgb(38, 36, 38), load)


def blueprint(x: np.ndarray, f: Fields) -> np.ndarray:
    """Cyanotype: darkness of the drawing is white on Prussian blue, unevenly developed."""
    dark = _clip(1.15 * (1 - _luminance(x)))
    blue = _rgb(24, 66, 128) * (1 + 0.16 * f.tone + 0.13 * f.blotch + 0.10 * f.tooth) + 0.02 * f.grain
    white = _rgb(226, 236, 244) * (1 + 0.04 * f.grain)
    return _mix(blue, white, dark * _clip(0.88 + 0.16 * np.minimum(f.tooth, 0) - 0.08 * f.blotch))


def sepia(x: np.ndarray, f: Fields) -> np.ndarray:
    """An old print: a duotone of browns, grain strongest in the middle tones, stains, an exposure of its own."""
    y = _clip(0.86 * _luminance(x) + 0.05 + 0.05 * f.tone + 0.03 * f.exposure)
    y = _clip(y + (0.05 + 0.22 * y * (1 - y)) * (0.8 * f.grain + 0.5 * f.tooth))
    dark, middle, light = _rgb(46, 28, 18), _rgb(158, 112, 72), _rgb(246, 228, 192)
    return np.where(y < 0.5, _mix(dark, middle, 2 * y), _mix(middle, light, 2 * y - 1))


def risograph(x: np.ndarray, f: Fields) -> np.ndarray:
    """Two inks, each with its own speckle: blue where red is dark, pink where green is dark."""
    dark = 1 - _luminance(x)
    blue = _clip(_mix(1 - x[..., :1], dark, 0.4) * (0.9 + 0.10 * f.tone))
    pink = _clip(1.25 * (1 - x[..., 1:2]) * (1 - 0.55 * dark))
    other = np.roll(f.grain, 7, axis=1)  # the second ink's grain, from the same field
    blue = _clip(blue + 0.42 * np.sqrt(blue * (1.02 - blue) + 0.002) * (0.85 * f.grain + 0.35 * f.blotch))
    pink = _clip(pink + 0.42 * np.sqrt(pink * (1.02 - pink) + 0.002) * (0.85 * other - 0.35 * f.blotch))
    return _rgb(247, 243, 232) * (1 - blue * (1 - _rgb(10, 90, 170))) * (1 - pink * (1 - _rgb(255, 92, 150)))


def watercolour(x: np.ndarray, f: Fields) -> np.ndarray:
    """Pale, granulated washes with blooms where pigment pooled: optical density of the drawing, uneven."""
    density = -0.62 * np.log(0.12 + 0.88 * x)
    density = density * np.clip(1 + 0.45 * f.blotch + 0.22 * f.tooth, 0.15, 3) + 0.03 * np.clip(1 + f.tone, 0, 3)
    return _rgb(250, 248, 243) * (1 + 0.03 * f.grain) * np.exp(-density)


def chalk(x: np.ndarray, f: Fields) -> np.ndarray:
    """Coloured chalk on a wiped board: darkness becomes light, colours stay."""
    dark = 1 - _luminance(x)
    stroke = _clip(0.9 * dark + (x - _luminance(x)) * (0.3 + dark))
    board = _rgb(40, 54, 48) * (1 + 0.22 * f.tone + 0.14 * f.blotch) + 0.035 * f.tooth
    return board + 0.95 * stroke * np.clip(0.80 + 0.42 * f.tooth + 0.22 * f.grain, 0.05, 1.3)


MEDIA: dict[str, Callable[[np.ndarray, Fields], np.ndarray]] = {
    medium.__name__: medium for medium in (ink, charcoal, blueprint, sepia, risograph, watercolour, chalk)
}


def apply_medium(name: str, clean: np.ndarray, fields: Fields) -> np.ndarray:
    """Clean images [N,3,R,R] in 0 to 1 as they look in the medium `name`: float64 [N,3,R,R], 0 to 1.

    Raises UnknownName.
    """
    if name not in MEDIA:
        raise UnknownName("medium", name, MEDIA)
    x = np.asarray(clean, np.float64).transpose(0, 2, 3, 1)
    return _clip(MEDIA[name](x, fields)).transpose(0, 3, 1, 2)


class InMedium:
    """The pictures of a set, each in a medium; the fields of a picture are drawn from its own pixels.

    Raises UnknownName for the medium, DataError for a resolution below `LEAST_RESOLUTION`.
    """

    def __init__(self, pictures: Pictures, medium: str, resolution: int) -> None:
        if medium not in MEDIA:
            raise UnknownName("medium", medium, MEDIA)
        if resolution < LEAST_RESOLUTION:
            raise DataError(f"medium {medium!r} needs images of {LEAST_RESOLUTION} px or more, not {resolution} px")
        self.pictures, self.medium = pictures, medium
        self.count = pictures.count

    @property
    def skipped(self) -> Sequence[tuple[str, str]]:
        """(file, reason) for what is not among them."""
        return self.pictures.skipped

    def recipe(self) -> dict[str, Any]:
        """All that the pixels depend on."""
        return {**self.pictures.recipe(), "medium": self.medium, "media_version": VERSION}

    def draw(self, start: int, stop: int) -> Iterator[tuple[str, np.ndarray | str]]:
        """Yields (label, uint8 [3,R,R]), or (label, reason) for a picture that cannot be used."""
        for label, image in self.pictures.draw(start, stop):
            yield label, image if isinstance(image, str) else drawn_in(self.medium, image)


def in_medium(pictures: Pictures, medium: str, resolution: int) -> Pictures:
    """The pictures drawn in `medium`, or as they are where none is named; errors as `InMedium`."""
    return InMedium(pictures, medium, resolution) if medium else pictures


def drawn_in(medium: str, image: np.ndarray) -> np.ndarray:
    """A clean picture, uint8 [3,R,R], in a medium: uint8 [3,R,R]."""
    seed = int.from_bytes(hashlib.sha256(image.tobytes()).digest()[:16])
    fields = draw_fields([seed], image.shape[-1])
    return to_uint8(apply_medium(medium, image[None] / 255, fields))[0]


def to_uint8(images: np.ndarray) -> np.ndarray:
    """0 to 1 -> uint8, rounded half up."""
    return np.asarray(np.floor(images * 255 + 0.5), np.uint8)


def _rgb(*levels: int) -> np.ndarray:
    return np.array(levels, np.float64) / 255


def _luminance(x: np.ndarray) -> np.ndarray:
    """ITU-R BT.601 luma, [..., 3] -> [..., 1]."""
    return 0.299 * x[..., :1] + 0.587 * x[..., 1:2] + 0.114 * x[..., 2:]


def _mix(a: np.ndarray, b: np.ndarray, share: np.ndarray | float) -> np.ndarray:
    return a + (b - a) * share


def _clip(x: np.ndarray) -> np.ndarray:
    return np.clip(x, 0, 1)
