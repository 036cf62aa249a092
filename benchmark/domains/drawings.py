"""DiceBear faces: an artist's components combined by seed, drawn as SVG and rendered at the suite's resolution.

Rendered directly at the target size: resvg's own antialiasing looks the same as drawing at twice the size and
scaling down, takes a third of the time and adds no ringing around lines.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from functools import lru_cache, partial
from importlib.metadata import version
from importlib.resources import files
from typing import Any

import numpy as np
import resvg_py
from dicebear import Avatar, Style
from PIL import Image

from benchmark.errors import DataError
from benchmark.system.pool import cores, in_processes

POOL_FROM = 500  # pictures; below, starting processes takes longer than drawing
MAX_WORKERS = 8
CHUNK_BYTES = 1 << 20  # pixels that travel from a worker at once
PACKAGES = ("dicebear-core", "dicebear-styles", "resvg-py")


class Drawings:
    """Pictures ``{name}-0``, ``{name}-1``, ... of one DiceBear style."""

    skipped: tuple[tuple[str, str], ...] = ()

    def __init__(self, name: str, style: str, options: dict[str, Any], count: int, resolution: int) -> None:
        self.name, self.style, self.options = name, style, options
        self.count, self.resolution = count, resolution

    def recipe(self) -> dict[str, Any]:
        """All that the pixels depend on."""
        return {
            "seeds": self.name,
            "style": hashlib.sha256(_definition(self.style).encode()).hexdigest(),
            "options": self.options,
            "packages": {package: version(package) for package in PACKAGES},
            "count": self.count,
        }

    def draw(self, start: int, stop: int) -> Iterator[tuple[str, np.ndarray | str]]:
        """Yields (seed, uint8 [3,R,R]) for the numbers ``start`` to ``stop``, on all cores when there are many."""
        seeds = [f"{self.name}-{number}" for number in range(start, stop)]
        yield from zip(seeds, self._images(seeds), strict=True)

    def _images(self, seeds: list[str]) -> Iterator[np.ndarray]:
        size = max(1, CHUNK_BYTES // (3 * self.resolution**2))
        chunks = [seeds[at : at + size] for at in range(0, len(seeds), size)]
        options = json.dumps(self.options)
        workers = min(cores(), MAX_WORKERS) if len(seeds) > POOL_FROM else 1
        work = partial(render_seeds, self.style, options, self.resolution)
        for images in in_processes(work, chunks, workers, f"drawing {self.name}"):
            yield from images


def render_seeds(style: str, options: str, resolution: int, seeds: list[str]) -> np.ndarray:
    """Draw ``seeds`` of a style; ``options`` is JSON. Returns uint8 [N,3,R,R], RGB on white."""
    drawn = _style(style)
    chosen = json.loads(options)
    images = np.empty((len(seeds), 3, resolution, resolution), np.uint8)
    for index, seed in enumerate(seeds):
        svg = Avatar(drawn, {**chosen, "seed": seed}).to_string()
        png = resvg_py.svg_to_bytes(
            svg_string=svg, width=resolution, height=resolution, background="white", skip_system_fonts=True
        )
        images[index] = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).transpose(2, 0, 1)
    return images


def _definition(style: str) -> str:
    try:
        return files("dicebear_styles").joinpath(f"{style}.json").read_text("utf-8")
    except (FileNotFoundError, ModuleNotFoundError) as error:
        raise DataError(f"DiceBear style {style!r} not found; install dicebear-styles as pinned") from error


@lru_cache(maxsize=1)
def _style(style: str) -> Style:
    return Style(json.loads(_definition(style)))
