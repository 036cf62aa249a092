"""A user's own images: a folder, or a ZIP in the layout of NVIDIA's dataset tool, to squares of the suite's size.

Whatever is not a usable image is left out with a reason; only what endangers the machine or leaves nothing to work
with is an error. Labels in a ``dataset.json`` are not read: the suite's generators are unconditional.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
import PIL
from PIL import Image, ImageOps, UnidentifiedImageError

from benchmark.errors import DataError

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000")  # no EPS: Pillow would start Ghostscript
LABELS = "dataset.json"
MAX_FILE_BYTES = 512 << 20
MAX_ZIP_RATIO = 100  # unpacked to packed; images hardly shrink
FREE_ZIP_BYTES = 64 << 20  # no ratio is asked of a ZIP that unpacks to less
THREADS = 4  # Pillow decodes outside the interpreter lock; few, because one decoded image may take 300 MB
BATCH = 32  # decoded images in memory at once

Skipped = list[tuple[str, str]]


class UserImages:
    """Pictures of a folder or ZIP, ordered by the sha256 of their bytes.

    ``skipped`` holds (file, reason) for all that the first look refused: files that are no images, images that are
    too small or too large, links that lead out of the folder. Raises `DataError` for a path that cannot be used.
    """

    def __init__(
        self, path: Path, resolution: int, progress: Callable[[Iterable[Any], int, str], Iterable[Any]]
    ) -> None:
        self.path, self.resolution = path.expanduser(), resolution
        self.skipped: Skipped = []
        self.kind: Literal["folder", "zip"] = "folder"
        self._zip: zipfile.ZipFile | None = None
        if self.path.is_dir():
            names = _folder_files(self.path, self.skipped)
        elif self.path.is_file():
            self.kind, self._zip = "zip", _open_zip(self.path)
            names = [info.filename for info in self._zip.infolist() if not info.is_dir()]
        else:
            raise DataError(f"no folder or ZIP of images at {str(path)!r}; check the path")
        names = sorted(name for name in set(names) if name != LABELS)
        if not names and not self.skipped:
            raise DataError(f"{self.kind} {str(path)!r} holds no files; give one with images")
        looks = progress(_in_batches(self._examine, names), len(names), f"read {self.path.name}")
        seen = dict(zip(names, looks, strict=True))
        self.skipped += [(_printable(name), reason) for name, (good, reason) in seen.items() if not good]
        self._files = sorted((digest, name) for name, (good, digest) in seen.items() if good)
        self.count = len(self._files)

    @property
    def title(self) -> str:
        """The folder's or ZIP's own name."""
        path = self.path.resolve()
        return _printable(path.stem if self.kind == "zip" else path.name) or "images"

    def recipe(self) -> dict[str, Any]:
        """All that pixels and reasons depend on; the path is not part of it."""
        files = [(digest, _printable(name)) for digest, name in self._files]
        return {"files": files, "skipped": sorted(self.skipped), "pillow": PIL.__version__}

    def draw(self, start: int, stop: int) -> Iterator[tuple[str, np.ndarray | str]]:
        """Yields (file, uint8 [3,R,R]), or (file, reason) for a file that cannot be decoded."""
        names = [name for _, name in self._files[start:stop]]
        yield from zip(map(_printable, names), _in_batches(self._decode, names), strict=True)

    def _stream(self, name: str) -> io.BufferedReader | io.BytesIO:
        """A seekable stream of one file; the caller closes it."""
        if self._zip is None:
            path = self.path / name
            if path.stat().st_size > MAX_FILE_BYTES:
                raise ValueError(f"larger than {MAX_FILE_BYTES >> 20} MiB")
            return path.open("rb")
        if self._zip.getinfo(name).file_size > MAX_FILE_BYTES:
            raise ValueError(f"larger than {MAX_FILE_BYTES >> 20} MiB")
        return io.BytesIO(self._zip.read(name))

    def _examine(self, name: str) -> tuple[bool, str]:
        """(True, sha256 of the bytes), or (False, reason): looks at an image's header only."""
        try:
            with self._stream(name) as stream:
                with Image.open(stream, formats=FORMATS) as image:
                    _check_size(image, self.resolution)
                stream.seek(0)
                return True, hashlib.file_digest(stream, "sha256").hexdigest()
        except Exception as error:  # damaged files make the decoders raise nearly anything
            return False, _reason(error)

    def _decode(self, name: str) -> np.ndarray | str:
        try:
            with self._stream(name) as stream, Image.open(stream, formats=FORMATS) as image:
                return to_square(image, self.resolution)
        except Exception as error:  # as above
            return _reason(error)


def to_square(image: Image.Image, resolution: int) -> np.ndarray:
    """Upright, on white, centre-cropped, resized with antialiasing. Any mode and size to uint8 RGB [3,R,R].

    Of an animation the first frame; 16-bit values are scaled to 8 bits; colour profiles are ignored. Raises
    ValueError for images below half of ``resolution`` and for pixels without a known range.
    """
    _check_size(image, resolution)
    image = _to_rgb(ImageOps.exif_transpose(image))
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.crop((left, top, left + side, top + side))
    if side != resolution:
        square = square.resize((resolution, resolution), Image.Resampling.LANCZOS)
    return np.ascontiguousarray(np.asarray(square).transpose(2, 0, 1))


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


def _check_size(image: Image.Image, resolution: int) -> None:
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and image.width * image.height > limit:
        raise Image.DecompressionBombError
    if min(image.size) < resolution / 2:
        raise ValueError(f"too small: {image.width}x{image.height} px, at least {resolution // 2} px needed")


def _reason(error: Exception) -> str:
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


def _folder_files(root: Path, skipped: Skipped) -> list[str]:
    """Regular files below ``root`` as relative POSIX paths; what cannot be followed goes to ``skipped``."""

    def refuse(error: OSError) -> None:
        if Path(error.filename) == root:
            raise DataError(f"folder {str(root)!r} cannot be read: {error.strerror}; check its permissions") from error
        skipped.append((_printable(Path(error.filename).relative_to(root).as_posix()), "folder cannot be read"))

    home = root.resolve()
    names = []
    for folder, below, files in os.walk(root, onerror=refuse):
        for name in below + files:
            path = Path(folder, name)
            relative = path.relative_to(root).as_posix()
            if path.is_symlink() and not path.resolve().is_relative_to(home):
                skipped.append((_printable(relative), "link that leads out of the folder"))
            elif path.is_symlink() and path.is_dir():
                skipped.append((_printable(relative), "link to a folder"))
            elif path.is_file():
                names.append(relative)
            elif not path.is_dir():
                skipped.append((_printable(relative), "not a regular file"))
    return names


def _open_zip(path: Path) -> zipfile.ZipFile:
    """A ZIP that unpacks neither elsewhere nor to a multiple of its size; `DataError` otherwise."""
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise DataError(f"{str(path)!r} is no folder and does not open as a ZIP: {error}; give either") from error
    for info in archive.infolist():
        parts = re.split(r"[/\\]", info.orig_filename)
        if not parts[0] or ":" in parts[0] or ".." in parts:
            archive.close()
            raise DataError(f"ZIP {str(path)!r} refused: member {info.orig_filename!r} leads out of it; pack it anew")
    packed, unpacked = path.stat().st_size, sum(info.file_size for info in archive.infolist())
    if unpacked > max(FREE_ZIP_BYTES, MAX_ZIP_RATIO * packed):
        archive.close()
        raise DataError(
            f"ZIP {str(path)!r} refused: {packed} bytes would unpack to {unpacked}, more than {MAX_ZIP_RATIO} times; "
            "unpack it yourself and give the folder, if you trust it"
        )
    return archive


def _printable(name: str) -> str:
    """A file name that every terminal and JSON file can hold."""
    return name.encode("utf-8", "backslashreplace").decode()
