"""Remarks on a set of images as a whole, printed beside its numbers: near duplicates, and a range hardly used.

Two pictures are near duplicates where their difference hashes [1] (256 bits) and their colours at 8 px hardly differ,
or would if one were mirrored: copies that were saved again as JPEG, resized, brightened or flipped, as trainings flip
pictures, too. They are counted, not removed.

[1] N. Krawetz, "Kind of like that", 2013 (dHash): each bit says whether a pixel is brighter than its left neighbour.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from PIL import Image

SIDE = 16
"""Of the hash: so many rows of so many differences."""
MOST_BITS = 30
"""By which the hashes of near duplicates differ; JPEG of quality 40 changes up to 28 of 256."""
COLOURS, MOST_LEVELS = 8, 6.5
"""Side in px, and mean difference in 0 to 255, of near duplicates' colours."""
ALL_PAIRS = 5_000
"""Of larger sets only the held-out images are compared with all others."""
ROWS = 512

LEAST_RANGE = 64
"""Levels of 256: a set that uses fewer is told."""


def remarks(images: np.ndarray, held_out: int) -> list[str]:
    """Sentences on uint8 images [N,3,R,R], of which the first ``held_out`` are not trained on."""
    return [*_range_used(images), *_near_duplicates(images, held_out)]


def _range_used(images: np.ndarray) -> Iterator[str]:
    if not len(images):
        return
    low = min(int(image.min()) for image in images)
    high = max(int(image.max()) for image in images)
    if high - low < LEAST_RANGE:
        yield (
            f"all pixels are between {low} and {high} of 0 to 255: does a camera fill only a part of its files' range? "
            "Scale the pictures before they are used"
        )


def _near_duplicates(images: np.ndarray, held_out: int) -> Iterator[str]:
    pairs = near_pairs(images, len(images) if len(images) <= ALL_PAIRS else held_out)
    near = {number for pair in pairs for number in pair}
    leaks = {min(pair) for pair in pairs if min(pair) < held_out <= max(pair)}
    if near:
        told = f"{len(near)} of {len(images)} images nearly equal another (saved again, resized, mirrored?)"
        yield told + (
            f"; {len(leaks)} of the {held_out} held-out ones have such a copy among the training images"
            if leaks
            else ""
        )


def near_pairs(images: np.ndarray, first: int) -> list[tuple[int, int]]:
    """Numbers (i, j), i < j, i < ``first``, of uint8 images [N,3,R,R] that look alike, or like each other's mirror."""
    if first < 1 or len(images) < 2:
        return []
    looks = [_looks(image) for image in images]
    upright, mirrored = (_Looks(*map(np.stack, zip(*kind, strict=True))) for kind in zip(*looks, strict=True))
    found = set[tuple[int, int]]()
    for at in range(0, first, ROWS):
        rows = slice(at, min(at + ROWS, first))
        for other in (upright, mirrored):
            differing = (SIDE**2 - upright.hash[rows] @ other.hash.T) / 2
            for i, j in np.argwhere(differing <= MOST_BITS):
                if at + i < j and np.abs(upright.colours[at + i] - other.colours[j]).mean() <= MOST_LEVELS:
                    found.add((int(at + i), int(j)))
    return sorted(found)


class _Looks(NamedTuple):
    """What is compared of a picture, or of N of them."""

    hash: np.ndarray  # float32 [256] of 1 and -1
    colours: np.ndarray  # float32 [8,8,3]


def _looks(image: np.ndarray) -> tuple[_Looks, _Looks]:
    """Of a uint8 image [3,R,R] and of its mirror image."""
    picture = Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0)))
    grey = np.asarray(picture.convert("L").resize((SIDE + 1, SIDE), Image.Resampling.BOX), np.int16)
    colours = np.asarray(picture.resize((COLOURS, COLOURS), Image.Resampling.BOX), np.float32)
    return _Looks(_difference_hash(grey), colours), _Looks(_difference_hash(grey[:, ::-1]), colours[:, ::-1])


def _difference_hash(grey: np.ndarray) -> np.ndarray:
    """float32 [256] of 1 and -1, of grey levels [16,17]."""
    return np.where(grey[:, 1:] > grey[:, :-1], 1, -1).astype(np.float32).ravel()
