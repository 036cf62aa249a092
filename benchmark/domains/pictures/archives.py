"""Files of an untrusted folder or ZIP, read safely: no path out of it, no bomb, no device file, nothing hidden.

All image sets are listed here, so the same rules hold for a user's own sets and for the field's.
"""

from __future__ import annotations

import io
import os
import re
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Literal

from benchmark.errors import DataError
from benchmark.system.file_kinds import HEAD, other_kind, picture_format

MAX_FILE_BYTES = 512 << 20
MAX_ZIP_RATIO = 100  # unpacked to packed; images hardly shrink
FREE_ZIP_BYTES = 64 << 20  # no ratio is asked of a ZIP that unpacks to less

ENCRYPTED = 1  # a bit of a ZIP member's flags
REPLACED = "a later member of the ZIP has the same name"
UNSAFE = "its name has a colon, a backslash or bytes that are no UTF-8; rename it"
HIDDEN = "hidden: files that programs keep beside pictures are not read"
KEPT_BY_PROGRAMS = frozenset(
    {
        "@eadir", "@recycle", "@recently-snapshot", "@sharebin", "@thumb", "@__thumb", "@tmp", "#recycle", "#snapshot",
        "~snapshot", "$recycle.bin", "recycler", "recycled", "__macosx", "__pycache__", "thumbs.db", "ehthumbs.db",
        "desktop.ini", "system volume information", "found.000", "lost+found", "_gsdata_", "icon\r",
    }
)  # fmt: skip
"""Names in small letters of what systems, file managers and network drives put beside pictures, thumbnails included."""

Skipped = list[tuple[str, str]]


def safe_name(name: str) -> str:
    """The relative path as it is; ValueError for one that leaves its folder."""
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name or "\0" in name:
        raise ValueError(f"{name!r} is no path inside a folder")
    return name


def is_safe(name: str) -> bool:
    """Whether a file of this name on somebody's disk can be kept, and noted in a lock."""
    try:
        return bool(safe_name(name).encode())
    except ValueError:
        return False


class Archive:
    """A folder or ZIP of files. Raises `DataError` for a path that is neither or cannot be trusted.

    ``names()`` lists its files; ``stream(name)`` opens one. Streams of a ZIP may be read from several threads.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(os.path.expanduser(path))
        self.kind: Literal["folder", "zip"] = "folder"
        self._zip: zipfile.ZipFile | None = None
        self._members: dict[str, zipfile.ZipInfo] = {}
        self._replaced: Skipped = []
        if self.path.is_file():
            self.kind, self._zip = "zip", _open_zip(self.path)
            for info in self._zip.infolist():
                name = info.filename.replace("\\", "/")  # some of Windows
                if name in self._members:
                    self._replaced.append((printable(name), REPLACED))
                if not name.endswith("/"):
                    self._members[name] = info
        elif str(path).startswith(("http:", "https:", "ftp:")):
            raise DataError(f"{str(path).replace(':/', '://', 1)} is an address; download it first, then give the file")
        elif not self.path.is_dir():
            raise DataError(f"no folder or ZIP of images at {str(path)!r}; check the path")

    def names(self, skipped: Skipped) -> list[str]:
        """Regular files as POSIX paths below the root, sorted; (file, reason) for the others goes to ``skipped``."""
        if self._zip is None:
            return sorted(_folder_files(self.path, skipped))
        unseen = {part for name in self._members if (part := hidden_part(name))}
        skipped += [*((printable(part), HIDDEN) for part in sorted(unseen)), *self._replaced]
        return sorted(name for name in self._members if not hidden_part(name))

    def size(self, name: str) -> int:
        """Bytes of one file. OSError or KeyError where it is gone."""
        return (self.path / name).stat().st_size if self._zip is None else self._members[name].file_size

    def checksum(self, name: str) -> int:
        """CRC-32 of one file, which a ZIP lists. OSError or KeyError where it is gone."""
        if self._zip is not None:
            return self._members[name].CRC
        found = 0
        with (self.path / name).open("rb") as file:
            while piece := file.read(1 << 20):
                found = zlib.crc32(piece, found)
        return found

    def stream(self, name: str) -> io.BufferedReader | io.BytesIO:
        """A seekable stream of one file, which the caller closes. ValueError for a file that is too large."""
        if self.size(name) > MAX_FILE_BYTES:
            raise ValueError(f"larger than {MAX_FILE_BYTES >> 20} MiB")
        if self._zip is None:
            return (self.path / name).open("rb")
        if self._members[name].flag_bits & ENCRYPTED:
            raise ValueError("encrypted; unpack the ZIP with its password and give the folder")
        return io.BytesIO(self._zip.read(self._members[name]))

    def head(self, name: str) -> bytes:
        """The first bytes of one file; none where it cannot be read."""
        try:
            with self.stream(name) as stream:
                return stream.read(HEAD)
        except Exception:  # damaged members make `zipfile` raise nearly anything
            return b""


def _folder_files(root: Path, skipped: Skipped) -> list[str]:
    """Regular files below ``root`` as relative POSIX paths; what cannot be followed goes to ``skipped``."""

    def refuse(error: OSError) -> None:
        if Path(error.filename) == root:
            raise DataError(f"folder {str(root)!r} cannot be read: {error.strerror}; check its permissions") from error
        skipped.append((printable(Path(error.filename).relative_to(root).as_posix()), "folder cannot be read"))

    home = root.resolve()
    names = []
    for folder, below, files in os.walk(root, onerror=refuse):
        entries = below + files
        below[:] = [name for name in below if not is_hidden(name)]
        for name in entries:
            path = Path(folder, name)
            relative = path.relative_to(root).as_posix()
            if is_hidden(name):
                skipped.append((printable(relative), HIDDEN))
            elif path.is_symlink() and not path.resolve().is_relative_to(home):
                skipped.append(
                    (printable(relative), "link that leads out of the folder; copy the pictures themselves: cp -rL")
                )
            elif path.is_symlink() and path.is_dir():
                skipped.append((printable(relative), "link to a folder; copy the folder itself: cp -rL"))
            elif path.is_file():
                names.append(relative)
            elif not path.is_dir():
                skipped.append((printable(relative), "not a regular file"))
    return names


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is none that a person put there."""
    return (name.startswith(".") and name != ".") or name.lower() in KEPT_BY_PROGRAMS


def hidden_part(path: str) -> str:
    """A POSIX path up to the first part that is hidden; empty where none is."""
    parts = path.split("/")
    first = next((n for n, part in enumerate(parts, 1) if is_hidden(part)), 0)
    return "/".join(parts[:first])


def _open_zip(path: Path) -> zipfile.ZipFile:
    """A ZIP that unpacks neither elsewhere nor to a multiple of its size; `DataError` otherwise."""
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise DataError(
            f"{str(path)!r} is no folder and does not open as a ZIP ({error}): it is {_found_instead(path)}"
        ) from error
    for info in archive.infolist():
        parts = re.split(r"[/\\]", info.orig_filename)
        if not parts[0] or re.match("[A-Za-z]:", parts[0]) or ".." in parts:
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


def _found_instead(path: Path) -> str:
    """What a file is that does not open as a ZIP, and what to do."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError:
        return "a file that cannot be read; give a folder or ZIP"
    kind = other_kind(head, path.name)
    if not kind and (picture := picture_format(head, path.name)):
        return f"a single picture ({picture}); give the folder that it is in"
    if kind == "a ZIP":
        return "a damaged ZIP; get it again"
    todo = "unpack it and give the folder" if kind.endswith("archive") else "give a folder or ZIP of images"
    return f"{kind or 'a file of another kind'}; {todo}"
