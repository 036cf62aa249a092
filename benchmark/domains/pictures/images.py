"""A user's own images: a folder, or a ZIP in the layout of NVIDIA's dataset tool, to squares of the suite's size.

Whatever is not a usable image is left out with a reason; only what endangers the machine or leaves nothing to work
with is an error. Labels in a ``dataset.json`` are not read: the suite's generators are unconditional.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import PIL
from PIL import Image, UnidentifiedImageError

from benchmark.domains.pictures.archives import Archive, Skipped, printable
from benchmark.domains.pictures.pixels import VERSION, check_size, to_square
from benchmark.domains.prepared import LABELS, PROVENANCE
from benchmark.errors import DataError
from benchmark.system.file_kinds import HEAD, other_kind, picture_format

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000")  # no EPS: Pillow would start Ghostscript
NOTES = (LABELS, PROVENANCE)  # of prepared sets
THREADS = 4  # Pillow decodes outside the interpreter lock; few, because one decoded image may take 300 MB
BATCH = 32  # decoded images in memory at once


class UserImages:
    """Pictures of a folder or ZIP, ordered by the sha256 of their bytes.

    ``skipped`` holds (file, reason) for all that the first look refused: files that are no images, images that are
    too small or too large, links that lead out of the folder. ``labelled``: there are labels, which are not used.
    ``enlarged``: so many pictures are smaller than the resolution. Raises `DataError` for a path that cannot be used.
    """

    def __init__(
        self, path: Path, resolution: int, progress: Callable[[Iterable[Any], int, str], Iterable[Any]]
    ) -> None:
        self.resolution = resolution
        self.skipped: Skipped = []
        self._archive = Archive(path)
        self.path, self.kind = self._archive.path, self._archive.kind
        names = self._archive.names(self.skipped)
        self.labelled = LABELS in names and _has_labels(self._archive)
        names = [name for name in names if name not in NOTES]
        if not names and not self.skipped:
            raise DataError(f"{self.kind} {str(path)!r} holds no files; give one with images")
        looks = progress(_in_batches(self._examine, names), len(names), f"read {self.path.name}")
        seen = dict(zip(names, looks, strict=True))
        self.skipped += [(printable(name), reason) for name, (side, reason) in seen.items() if not side]
        self._files = sorted((digest, name) for name, (side, digest) in seen.items() if side)
        self.count, self.enlarged = len(self._files), sum(0 < side < resolution for side, _ in seen.values())

    @property
    def title(self) -> str:
        """The folder's or ZIP's own name."""
        path = self.path.resolve()
        return printable(path.stem if self.kind == "zip" else path.name) or "images"

    def recipe(self) -> dict[str, Any]:
        """All that pixels and reasons depend on; the path is not part of it."""
        files = [(digest, printable(name)) for digest, name in self._files]
        return {"files": files, "skipped": sorted(self.skipped), "pillow": PIL.__version__, "pixels": VERSION}

    def draw(self, start: int, stop: int) -> Iterator[tuple[str, np.ndarray | str]]:
        """Yields (file, uint8 [3,R,R]), or (file, reason) for a file that cannot be decoded."""
        names = [name for _, name in self._files[start:stop]]
        yield from zip(map(printable, names), _in_batches(self._decode, names), strict=True)

    def _examine(self, name: str) -> tuple[int, str]:
        """(shorter side in px, sha256 of the bytes), or (0, reason): looks at an image's header only."""
        try:
            with self._archive.stream(name) as stream:
                with Image.open(stream, formats=FORMATS) as image:
                    check_size(image.size, self.resolution)
                    side = min(image.size)
                stream.seek(0)
                return side, hashlib.file_digest(stream, "sha256").hexdigest()
        except Exception as error:  # damaged files make the decoders raise nearly anything
            return 0, reason_of(error, self._archive, name)

    def _decode(self, name: str) -> np.ndarray | str:
        try:
            with self._archive.stream(name) as stream, Image.open(stream, formats=FORMATS) as image:
                return to_square(image, self.resolution)
        except Exception as error:  # as above
            return reason_of(error, self._archive, name)


def count_pictures(path: Path, resolution: int) -> int:
    """How many files of a folder or ZIP are usable pictures by their headers; DataError for a path that is neither."""
    archive = Archive(path)

    def usable(name: str) -> bool:
        try:
            with archive.stream(name) as stream, Image.open(stream, formats=FORMATS) as image:
                check_size(image.size, resolution)
        except Exception:  # as above
            return False
        return True

    return sum(_in_batches(usable, archive.names([])))


def read_picture(path: Path, resolution: int) -> np.ndarray:
    """One picture file as the pictures of a folder are read: uint8 [3,R,R]. DataError where it is none."""
    if not path.is_file():
        raise DataError(f"{printable(str(path))} is no file; give a picture, such as a PNG or JPEG.")
    try:
        with path.open("rb") as stream, Image.open(stream, formats=FORMATS) as image:
            return to_square(image, resolution)
    except Exception as error:  # as above
        raise DataError(f"{printable(str(path))}: {reason_of(error, Loose(path), path.name)}.") from None


class Named(Protocol):
    """Where files have names."""

    def head(self, name: str) -> bytes:
        """How the file begins."""


@dataclass(frozen=True)
class Loose:
    """A file by itself."""

    path: Path

    def head(self, name: str) -> bytes:
        """How the file begins."""
        with self.path.open("rb") as stream:
            return stream.read(HEAD)


def reason_of(error: Exception, archive: Named, name: str) -> str:
    """Why a file of the archive is no usable image: one line for a person, without addresses or paths."""
    if isinstance(error, UnidentifiedImageError):
        return _found_instead(archive.head(name), name)
    if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
        return f"too large: more than Pillow's limit of {Image.MAX_IMAGE_PIXELS} pixels"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}"
    if isinstance(error, ValueError) and str(error):
        return str(error)
    return f"cannot be decoded: {error or type(error).__name__}"


def _has_labels(archive: Archive) -> bool:
    """Whether a `dataset.json` names labels, well-formed or not."""
    try:
        with archive.stream(LABELS) as stream:
            text = stream.read()
    except Exception:  # as for pictures
        return True
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return True
    return not isinstance(found, dict) or bool(found.get("labels"))


def _found_instead(head: bytes, name: str) -> str:
    """What a file is that none of the decoders knows."""
    if kind := picture_format(head, name):
        known = kind.upper().replace(" ", "") in FORMATS
        return f"{kind} that cannot be read; save it as PNG" if known else f"{kind} is not read; convert it to PNG"
    return f"not an image, but {kind}" if (kind := other_kind(head, name)) else "not an image"


def _in_batches(work: Callable[[str], Any], names: list[str]) -> Iterator[Any]:
    """``map`` in threads, a bounded number of results ahead."""
    with ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1)) as pool:
        for at in range(0, len(names), BATCH):
            yield from pool.map(work, names[at : at + BATCH])
