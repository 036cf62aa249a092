"""Toy domains: one coloured shape on a pale ground, drawn with numpy alone. For tests and the smoke suite."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmark.errors import DataError

STYLES = ("disks", "rings", "squares")


class ToyPictures:
    """Pictures 0, 1, ... of one toy shape; a picture depends on its style, number and resolution only."""

    skipped: tuple[tuple[str, str], ...] = ()

    def __init__(self, style: str, count: int, resolution: int) -> None:
        if style not in STYLES:
            raise DataError(f"toy style {style!r} does not exist; a card may use {', '.join(STYLES)}")
        self.style, self.count, self.resolution = style, count, resolution

    def recipe(self) -> dict[str, Any]:
        """All that the pixels depend on."""
        return {"toy": self.style, "count": self.count, "version": 1}

    def draw(self, start: int, stop: int) -> Iterator[tuple[str, np.ndarray | str]]:
        """Yields (label, uint8 [3,R,R]) for the numbers ``start`` to ``stop``."""
        for number in range(start, stop):
            rng = np.random.default_rng([zlib.crc32(self.style.encode()), number])
            yield f"{self.style}-{number}", draw_toy(self.style, self.resolution, rng)


def draw_toy(style: str, resolution: int, rng: np.random.Generator) -> np.ndarray:
    """One picture, uint8 [3,R,R].

    Only exact floating-point operations (+, -, *, /, square root), so every machine draws the same pixels.
    """
    radius = rng.uniform(0.18, 0.35)
    x, y = rng.uniform(radius, 1 - radius, 2)
    shape, ground = rng.uniform(0, 0.7, 3), rng.uniform(0.8, 1, 3)
    at = (np.arange(resolution) + 0.5) / resolution
    dx, dy = np.abs(at[None, :] - x), np.abs(at[:, None] - y)
    if style == "squares":
        distance = np.maximum(dx, dy) - 0.85 * radius
    else:
        distance = np.sqrt(dx * dx + dy * dy) - radius
        if style == "rings":
            distance = np.maximum(distance, 0.5 * radius - (distance + radius))
    cover = np.clip(0.5 - distance * resolution, 0, 1)  # share of a pixel inside the shape
    image = ground[:, None, None] + (shape - ground)[:, None, None] * cover
    return np.asarray(np.floor(image * 255 + 0.5), np.uint8)
