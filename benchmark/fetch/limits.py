"""Limits of a download: what its first bytes may be, how many may come, and how much room the disk must keep."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmark.domains.assets import IMAGE_SUFFIXES, RemoteFile
from benchmark.errors import DataError

RESERVE = 256 << 20
"""Bytes of the disk that are left free."""
LOOK = 16 << 20
"""Bytes between two checks of the free space."""
MOST, MOST_PICTURE = 16 << 30, 512 << 20
"""Bytes after which a body without an end is given up, where neither the card nor the server tells its length."""
STARTS = {".zip": (b"PK\x03\x04", b"PK\x05\x06"), ".pkl": (b"\x80",), ".pt": (b"PK\x03\x04", b"\x80")}


class Absent(DataError):
    """The server does not give the file to us, or gives something else instead of it."""


class Gone(Absent):
    """The server says that there is no such file."""


class TooMuch(DataError):
    """More comes than the file can have."""


def require_space(folder: Path, needed: float) -> None:
    """DataError unless the disk of `folder` (which need not exist yet) has these bytes free, and some more."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free
    if free < needed + RESERVE:
        raise DataError(
            f"{folder} needs {needed / 1e9:.1f} GB and the disk has {free / 1e9:.1f} GB free; make room, or choose "
            "another disk with --cache"
        )


def limited(
    chunks: Iterable[bytes], file: RemoteFile, url: str, start: int, total: int | None, folder: Path
) -> Iterator[bytes]:
    """The chunks of a body from byte `start` on, as long as they can be the file's and the disk has room for them.

    Raises Absent (something else comes), TooMuch (more than the card's size, or than the server's, or than anything)
    and DataError (the disk is nearly full).
    """
    picture = Path(file.name).suffix.lower() in IMAGE_SUFFIXES
    most = file.bytes or total or (MOST_PICTURE if picture else MOST)
    size = looked = start
    for chunk in chunks:
        if size == 0:
            require_start(chunk, file, url)
        size += len(chunk)
        if size > most:
            said = "the card says" if file.bytes else "this file can have"
            raise TooMuch(f"{url}: more than the {most:,} bytes that {said}; stopped, and the part was removed")
        if size - looked >= LOOK:
            require_space(folder, len(chunk))
            looked = size
        yield chunk


def require_start(chunk: bytes, file: RemoteFile, url: str) -> None:
    """Absent where the first bytes are a web page's, or no archive's or checkpoint's."""
    if chunk[:512].lstrip().lower().startswith((b"<!doctype html", b"<html")):
        raise Absent(f"{url}: a web page instead of {file.name}; a login or a quota?")
    wanted = STARTS.get(Path(file.name).suffix.lower())
    if wanted and not chunk.startswith(wanted):
        raise Absent(f"{url}: what comes is not {file.name}: it begins with {chunk[:8]!r}")
