"""Images that differ, as arrays, PNG files and folders."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image


def noise(seed: int, height: int = 40, width: int | None = None) -> np.ndarray:
    """uint8 [height, width, 3]; square unless a width is given."""
    return np.random.default_rng(seed).integers(0, 256, (height, width or height, 3), np.uint8)


def smooth(seed: int, px: int = 32) -> np.ndarray:
    """uint8 [px, px, 3]: a disc on waves, as photographs have neighbours that resemble each other."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:px, 0:px] / px
    waves = [
        rng.uniform(60, 190)
        + rng.uniform(30, 60) * np.sin(rng.uniform(2, 9) * x + rng.uniform(2, 9) * y + rng.uniform(0, 6))
        for _ in range(3)
    ]
    image = np.stack(waves, -1)
    cy, cx, radius = rng.uniform(0.2, 0.8), rng.uniform(0.2, 0.8), rng.uniform(0.1, 0.3)
    image[(y - cy) ** 2 + (x - cx) ** 2 < radius**2] = rng.integers(0, 255, 3)
    return np.clip(image, 0, 255).astype(np.uint8)


def png(pixels: np.ndarray) -> bytes:
    """The bytes of a PNG file of uint8 [H, W, 3]."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def folder_of(root: Path, images: Iterable[np.ndarray]) -> Path:
    """`root` with the files 00.png, 01.png ...; made where it does not exist."""
    root.mkdir(parents=True, exist_ok=True)
    for number, pixels in enumerate(images):
        Image.fromarray(pixels).save(root / f"{number:02}.png")
    return root
