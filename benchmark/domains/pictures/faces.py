"""Alignment of faces as in FFHQ: a square that turns with the head, from the places of eyes and mouth.

Written from Karras et al. 2018 (Progressive growing of GANs, appendix C) and the constants of FFHQ (ibid. 2019).
Points of the plane are complex numbers, x to the right and y downwards: multiplying by 1j turns a quarter clockwise.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from benchmark.errors import DataError

OUTPUT_PX = 1024
"""Side of the aligned images that FFHQ, MetFaces and AAHQ are published as."""
SUPERSAMPLED_PX = 4096
MAX_LIST_BYTES = 256 << 20
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Face:
    """Where a face is, in pixels from the centre of the upper left one; left and right as the viewer sees them."""

    eye_left: complex
    eye_right: complex
    mouth_left: complex
    mouth_right: complex

    def square(self) -> tuple[complex, complex]:
        """Its centre, and the vector from there to the middle of its right edge.

        Raises ValueError for points that make no face, such as two eyes in one place above a mouth in the same.
        """
        eyes, across = (self.eye_left + self.eye_right) / 2, self.eye_right - self.eye_left
        down = (self.mouth_left + self.mouth_right) / 2 - eyes
        direction = across - 1j * down
        if not abs(direction) or not math.isfinite(abs(direction)):
            raise ValueError("eyes and mouth make no face")
        return eyes + 0.1 * down, direction / abs(direction) * max(2.0 * abs(across), 1.8 * abs(down))


def align(image: Image.Image, face: Face, output_px: int = OUTPUT_PX, sampled_px: int = SUPERSAMPLED_PX) -> Image.Image:
    """The face's square as an RGB image of `output_px`; beyond the picture's border it is mirrored and blurred away.

    `image` is RGB; it is sampled at `sampled_px` and then made smaller. Raises ValueError for points that make no face
    and for squares outside of the picture.
    """
    centre, half = face.square()
    shrink = int(2 * abs(half) / output_px * 0.5)
    if shrink > 1:
        size = (max(1, round(image.width / shrink)), max(1, round(image.height / shrink)))
        image, centre, half = image.resize(size, Image.Resampling.LANCZOS), centre / shrink, half / shrink
    side = 2 * abs(half)
    border = max(round(side * 0.1), 3)
    corners = _corners(centre, half)
    left, top, right, bottom = _around(corners)
    crop = (
        max(left - border, 0),
        max(top - border, 0),
        min(right + border, image.width),
        min(bottom + border, image.height),
    )
    if crop[2] <= crop[0] or crop[3] <= crop[1]:
        raise ValueError("the face lies outside of the picture")
    image, corners = image.crop(crop), corners - complex(crop[0], crop[1])
    left, top, right, bottom = _around(corners)
    lacking = border - left, border - top, right - image.width + border, bottom - image.height + border
    if max(lacking) > border - 4:
        widths = tuple(max(width, round(side * 0.3), 1) for width in lacking)
        image = _padded(image, (widths[0], widths[1], widths[2], widths[3]), side)
        corners = corners + complex(widths[0], widths[1])
    data = [number for corner in corners + (0.5 + 0.5j) for number in (corner.real, corner.imag)]
    sampled = image.transform((sampled_px, sampled_px), Image.Transform.QUAD, data, Image.Resampling.BILINEAR)
    return sampled if sampled_px == output_px else sampled.resize((output_px, output_px), Image.Resampling.LANCZOS)


def _corners(centre: complex, half: complex) -> NDArray[np.complex128]:
    """Upper left, lower left, lower right, upper right: the order of Pillow's QUAD."""
    down = 1j * half
    return np.array([centre - half - down, centre - half + down, centre + half + down, centre + half - down])


def _around(corners: NDArray[np.complex128]) -> Box:
    """Whole pixels around the square: left, top, right, bottom."""
    x, y = corners.real, corners.imag
    return math.floor(x.min()), math.floor(y.min()), math.ceil(x.max()), math.ceil(y.max())


def _padded(image: Image.Image, widths: Box, side: float) -> Image.Image:
    """The picture mirrored beyond its border by `widths`: left, top, right, bottom.

    Blurred from a third of such a width inside on, and fading to the median colour towards the new edge.
    """
    from scipy import ndimage  # slow to import, and most faces lie inside

    left, top, right, bottom = widths
    pixels = np.pad(np.asarray(image, np.float32), ((top, bottom), (left, right), (0, 0)), "reflect")
    height, width, _ = pixels.shape
    x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    across, down = np.minimum(x / left, (width - 1 - x) / right), np.minimum(y / top, (height - 1 - y) / bottom)
    outside = 1 - np.minimum(across, down[:, None])  # 1 at the edge, 0 at the old border, below 0 inside
    for channel in range(3):  # one by one: these may be 6,000 px wide
        plane = pixels[..., channel]
        plane += (ndimage.gaussian_filter(plane, 0.02 * side) - plane) * np.clip(3 * outside + 1, 0, 1)
        plane += (np.median(plane) - plane) * np.clip(outside, 0, 1)
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))


class Landmarks(BaseModel):
    """Four places, as AAHQ's list has them: (x, y) in pixels."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    eye_left: tuple[float, float]
    eye_right: tuple[float, float]
    mouth_left: tuple[float, float]
    mouth_right: tuple[float, float]

    def face(self) -> Face:
        """The same places as a face."""
        return Face(
            complex(*self.eye_left), complex(*self.eye_right), complex(*self.mouth_left), complex(*self.mouth_right)
        )


class ListedFace(BaseModel):
    """One face of AAHQ's list: where its picture was, how the picture's file is called, where the face is in it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    image_url: str
    raw_name: str
    landmarks: Landmarks


def read_face_list(path: Path) -> dict[str, ListedFace]:
    """AAHQ's list, a JSON object, by the name of the aligned image, in the list's order.

    Raises DataError for a file that is no such list, or with names that would lead out of a folder.
    """
    try:
        if path.stat().st_size > MAX_LIST_BYTES:
            raise DataError(f"{path.name}: a list of faces has no {path.stat().st_size} bytes; fetch it again.")
        faces = TypeAdapter(dict[str, ListedFace]).validate_json(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: the list of faces cannot be read: {error.strerror}; fetch it first.") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise DataError(
            f"{path.name} is no list of faces: {place or 'it'}: {first['msg']}; expected a name, then image_url, "
            "raw_name and landmarks of eyes and mouth."
        ) from error
    for name in (*faces, *(face.raw_name for face in faces.values())):
        if not name or name in (".", "..") or re.search(r"[/\\:\0]", name):
            raise DataError(f"{path.name}: {name!r} is no plain file name; the list is refused.")
    return faces
