"""Files of a foreign folder or ZIP, read safely: no way out of it, no bomb, no device file."""

from __future__ import annotations

import io
import os
import re
import zipfile
from pathlib import Path
from typing import Literal

from benchmark.errors import DataError

MAX_FILE_BYTES = 512 << 20
MAX_ZIP_RATIO = 100  # unpacked to packed; images hardly shrink
FREE_ZIP_BYTES = 64 << 20  # no ratio is asked of a ZIP that unpacks to less

Skipped = list[tuple[str, str]]


class Archive:
    """A folder or ZIP of files. Raises `DataError` for a path that is neither or cannot be trusted.

    ``names()`` lists its files; ``stream(name)`` opens one. Streams of a ZIP may be read from several threads.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser()
        self.kind: Literal["folder", "zip"] = "folder"
        self._zip: zipfile.ZipFile | None = None
        if self.path.is_file():
            self.kind, self._zip = "zip", _open_zip(self.path)
        elif not self.path.is_dir():
            raise DataError(f"no folder or ZIP of images at {str(path)!r}; check the path")

    def names(self, skipped: Skipped) -> list[str]:
        """Regular files as POSIX paths below the root, sorted; (file, reason) for the others goes to ``skipped``."""
        if self._zip is None:
            return sorted(_folder_files(self.path, skipped))
        return sorted({info.filename for info in self._zip.infolist() if not info.is_dir()})

    def size(self, name: str) -> int:
        """Bytes of one file. OSError or KeyError where it is gone."""
        return (self.path / name).stat().st_size if self._zip is None else self._zip.getinfo(name).file_size

    def stream(self, name: str) -> io.BufferedReader | io.BytesIO:
        """A seekable stream of one file, which the caller closes. ValueError for a file that is too large."""
        if self.size(name) > MAX_FILE_BYTES:
            raise ValueError(f"larger than {MAX_FILE_BYTES >> 20} MiB")
        return (self.path / name).open("rb") if self._zip is None else io.BytesIO(self._zip.read(name))


def count_files(path: Path) -> int:
    """How many files a folder or ZIP holds; DataError for a path that is neither."""
    return len(Archive(path).names([]))


def _folder_files(root: Path, skipped: Skipped) -> list[str]:
    """Regular files below ``root`` as relative POSIX paths; what cannot be followed goes to ``skipped``."""

    def refuse(error: OSError) -> None:
        if Path(error.filename) == root:
            raise DataError(f"folder {str(root)!r} cannot be read: {error.strerror}; check its permissions") from error
        skipped.append((printable(Path(error.filename).relative_to(root).as_posix()), "folder cannot be read"))

    home = root.resolve()
    names = []
    for folder, below, files in os.walk(root, onerror=refuse):
        for name in below + files:
            path = Path(folder, name)
            relative = path.relative_to(root).as_posix()
            if path.is_symlink() and not path.resolve().is_relative_to(home):
                skipped.append((printable(relative), "link that leads out of the folder"))
            elif path.is_symlink() and path.is_dir():
                skipped.append((printable(relative), "link to a folder"))
            elif path.is_file():
                names.append(relative)
            elif not path.is_dir():
                skipped.append((printable(relative), "not a regular file"))
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
            raise DataError(f"ZIP {str(path)!r} refused: member {info.orig_filename!r} leads out of it; pack it again")
    packed, unpacked = path.stat().st_size, sum(info.file_size for info in archive.infolist())
    if unpacked > max(FREE_ZIP_BYTES, MAX_ZIP_RATIO * packed):
        archive.close()
        raise DataError(
            f"ZIP {str(path)!r} refused: {packed} bytes would unpack to {unpacked}, more than {MAX_ZIP_RATIO} times; "
            "unpack it yourself and give the folder, if you trust it"
        )
    return archive


def printable(name: str) -> str:
    """A file name that every terminal and JSON file can hold."""
    return name.encode("utf-8", "backslashreplace").decode()
