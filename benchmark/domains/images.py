"""A user's own images: a folder, or a ZIP in the layout of NVIDIA's dataset tool, to squares of the suite's size.

Whatever is not a usable image is left out with a reason; only what endangers the machine or leaves nothing to work
with is an error. Labels in a ``dataset.json`` are not read: the suite's generators are unconditional.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from PIL import Image, ImageOps, UnidentifiedImageError

from benchmark.domains.archives import Archive, Skipped, printable
from benchmark.errors import DataError

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000")  # no EPS: Pillow would start Ghostscript
NOTES = ("dataset.json", "provenance.json")  # of prepared sets
THREADS = 4  # Pillow decodes outside the interpreter lock; few, because one decoded image may take 300 MB
BATCH = 32  # decoded images in memory at once


class UserImages:
    """Pictures of a folder or ZIP, ordered by the sha256 of their bytes.

    ``skipped`` holds (file, reason) for all that the first look refused: files that are no images, images that are
    too small or too large, links that lead out of the folder. Raises `DataError` for a path that cannot be used.
    """

    def __init__(
        self, path: Path, resolution: int, progress: Callable[[Iterable[Any], int, str], Iterable[Any]]
    ) -> None:
        self.resolution = resolution
        self.skipped: Skipped = []
        self._archive = Archive(path)
        self.path, self.kind = self._archive.path, self._archive.kind
        names = [name for name in self._archive.names(self.skipped) if name not in NOTES]
        if not names and not self.skipped:
            raise DataError(f"{self.kind} {str(path)!r} holds no files; give one with images")
        looks = progress(_in_batches(self._examine, names), len(names), f"read {self.path.name}")
        seen = dict(zip(names, looks, strict=True))
        self.skipped += [(printable(name), reason) for name, (good, reason) in seen.items() if not good]
        self._files = sorted((digest, name) for name, (good, digest) in seen.items() if good)
        self.count = len(self._files)

    @property
    def title(self) -> str:
        """The folder's or ZIP's own name."""
        path = self.path.resolve()
        return printable(path.stem if self.kind == "zip" else path.name) or "images"

    def recipe(self) -> dict[str, Any]:
        """All that pixels and reasons depend on; the path is not part of it."""
        files = [(digest, printable(name)) for digest, name in self._files]
        return {"files": files, "skipped": sorted(self.skipped), "pillow": PIL.__version__}

    def draw(self, start: int, stop: int) -> Iterator[tuple[str, np.ndarray | str]]:
        """Yields (file, uint8 [3,R,R]), or (file, reason) for a file that cannot be decoded."""
        names = [name for _, name in self._files[start:stop]]
        yield from zip(map(printable, names), _in_batches(self._decode, names), strict=True)

    def _examine(self, name: str) -> tuple[bool, str]:
        """(True, sha256 of the bytes), or (False, reason): looks at an image's header only."""
        try:
            with self._archive.stream(name) as stream:
                with Image.open(stream, formats=FORMATS) as image:
                    check_size(image.size, self.resolution)
                stream.seek(0)
                return True, hashlib.file_digest(stream, "sha256").hexdigest()
        except Exception as error:  # damaged files make the decoders raise nearly anything
            return False, reason_of(error)

    def _decode(self, name: str) -> np.ndarray | str:
        try:
            with self._archive.stream(name) as stream, Image.open(stream, formats=FORMATS) as image:
                return to_square(image, self.resolution)
        except Exception as error:  # as above
            return reason_of(error)


def to_square(image: Image.Image, resolution: int) -> np.ndarray:
    """Upright, on white, centre-cropped, resized with Lanczos. Any mode and size to uint8 RGB [3,R,R].

    Raises ValueError for images below half of ``resolution`` and for pixels without a known range.
    """
    check_size(image.size, resolution)
    return np.ascontiguousarray(scaled(cropped(upright(image)), resolution).transpose(2, 0, 1))


def upright(image: Image.Image) -> Image.Image:
    """RGB, turned as its EXIF says, on white where it is transparent.

    Of an animation the first frame; 16-bit values are scaled to 8 bits; colour profiles are ignored. Raises
    ValueError for pixels without a known range.
    """
    return _to_rgb(ImageOps.exif_transpose(image))


def cropped(image: Image.Image) -> Image.Image:
    """The square in the centre."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def scaled(image: Image.Image, resolution: int, resampling: Image.Resampling = Image.Resampling.LANCZOS) -> np.ndarray:
    """An RGB image resized, by Pillow and so antialiased: uint8 [R,R,3]. One of that size already is not touched."""
    size = (resolution, resolution)
    return np.asarray(image if image.size == size else image.resize(size, resampling))


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise ValueError("floating-point pixels have no known range")
    if image.mode == "I" or image.mode.startswith("I;16"):  # Pillow before 11 opened 16-bit PNG as "I"
        wide = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
        return Image.fromarray(((wide * 255 + 32767) // 65535).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        straight = image.convert({"RGBa": "RGBA", "La": "LA"}.get(image.mode, image.mode)).convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", straight.size, "white"), straight).convert("RGB")
    return image.convert("RGB")


def check_size(size: tuple[int, int], resolution: int) -> None:
    """Raises where an image (width, height) has too many pixels for Pillow, or a side below half of `resolution`."""
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and size[0] * size[1] > limit:
        raise Image.DecompressionBombError
    if min(size) < resolution / 2:
        raise ValueError(f"too small: {size[0]}x{size[1]} px, at least {resolution // 2} px needed")


def reason_of(error: Exception) -> str:
    """One line for a person, without addresses or paths."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image"
    if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
        return f"too large: more than Pillow's limit of {Image.MAX_IMAGE_PIXELS} pixels"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}"
    if isinstance(error, ValueError) and str(error):
        return str(error)
    return f"cannot be decoded: {error or type(error).__name__}"


def _in_batches(work: Callable[[str], Any], names: list[str]) -> Iterator[Any]:
    """``map`` in threads, a bounded number of results ahead."""
    with ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1)) as pool:
        for at in range(0, len(names), BATCH):
            yield from pool.map(work, names[at : at + BATCH])
