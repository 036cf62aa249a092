"""Files: written whole or not at all, and identified by their content."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmark.errors import DataError

SCRATCH = ".drawing-"
"""Folders for work in progress begin so."""
STALE_SECONDS = 24 * 3600.0
"""No write takes so long, and no two clocks of a shared folder differ by so much."""


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A temporary name beside `path` to write to; after the block it becomes `path`, after an error nothing is left.

    Also when power fails a reader sees the old file or the new one, never a part. Makes the folder. OSError as usual.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        with suppress(OSError):  # a folder that cannot be written: then nothing was left behind either
            temporary.unlink(missing_ok=True)


def is_temporary(path: Path) -> bool:
    """Whether this is a name of `new_file`: left by an interrupted write, or being written now."""
    return re.fullmatch(r"\..+\.[0-9a-f]{32}\.tmp", path.name) is not None


def clear_temporaries(folder: Path, begin: str) -> None:
    """Remove what interrupted writes of files `begin...` left in `folder`; for the holder of a lock, who alone writes.

    Folders of half a drawing go too. What cannot be removed stays: it does no harm.
    """
    for path in folder.glob(f".{glob.escape(begin)}*.tmp"):
        with suppress(OSError):
            path.unlink()
    for path in folder.glob(f"{SCRATCH}{glob.escape(begin)}*"):
        shutil.rmtree(path, ignore_errors=True)


def clear_old_temporaries(folders: Iterable[Path]) -> tuple[int, list[Path]]:
    """Remove temporaries in `folders` (not below) that are a day old: (how many, those that remain)."""
    removed, left = 0, []
    for path in sorted(path for folder in folders for path in folder.glob(".*.tmp") if is_temporary(path)):
        with suppress(OSError):
            left.append(path)
            if time.time() - path.lstat().st_mtime > STALE_SECONDS:
                path.unlink()
                removed += 1
                left.pop()
    return removed, left


def reserve(path: Path) -> None:
    """Have the file system set aside all of a file's bytes; OSError where it cannot.

    On a full disk, writing to a mapped file whose bytes are not there yet kills the process.
    """
    if hasattr(os, "posix_fallocate"):  # not on macOS
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, max(path.stat().st_size, 1))


def in_utf8(path: Path, descriptor: int) -> str:
    """A path to the open file: safetensors takes no bytes that are no UTF-8, and folders can have such names."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return f"/dev/fd/{descriptor}"
    return str(path)


def sha256_of(path: Path) -> str:
    """Hex digest of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomic(path: Path, data: bytes) -> None:
    """Put ``data`` at ``path`` completely or not at all, also when power fails: a reader sees the old file or the new.

    Raises DataError when the folder cannot be written.
    """
    try:
        with new_file(path) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}; choose another folder with --out") from None


def key(*parts: object) -> str:
    """sha256 (hex, 32 characters) of the parts as canonical JSON."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def sha256_or_none(path: Path) -> str | None:
    """Hex digest of a file's content; None where it cannot be read."""
    try:
        return sha256_of(path)
    except OSError:
        return None
