"""An untrusted folder, such as results from somebody else: files are opened inside it, and no link is followed.

What is read is a regular file of bounded size. What is written replaces a link instead of following it. A folder that
is a link is neither read nor written. The folder itself may be a link: the user named it.

The checks are made when a file is opened. They do not protect from somebody who changes the folder at that moment.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from benchmark.errors import DataError
from benchmark.system.files import write_atomic

CHUNK = 1 << 20


class NotPlain(OSError):
    """A name that cannot be used: a link, a pipe, a device, too large, or outside. `strerror` says which."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(errno.EINVAL, why, name)

    def __str__(self) -> str:
        return f"{self.filename} {self.strerror}"


@dataclass(frozen=True)
class Folder:
    """Reads and writes below `root`. Names are relative to it, with `/`. All methods raise OSError, `NotPlain` too."""

    root: Path

    def place(self, name: str) -> Path:
        """The path of a file to create or to replace by renaming: no folder on the way to it is a link."""
        parts = PurePosixPath(name).parts
        if not parts or ".." in parts or name.startswith("/") or "\0" in name:
            raise NotPlain(name, "leads out of the folder")
        path = self.root
        for part in parts[:-1]:
            path /= part
            if is_link(path):
                raise NotPlain(name, f"lies behind {path.name}, which is a link")
        return path / parts[-1]

    def plain(self, name: str) -> Path:
        """The path of a regular file or of none, for libraries that open files themselves."""
        path = self.place(name)
        with suppress(FileNotFoundError):
            if not stat.S_ISREG(path.lstat().st_mode):
                raise NotPlain(name, "is not a plain file")
        return path

    def open(self, name: str, limit: int) -> BinaryIO:
        """A regular file of at most `limit` bytes, to read."""
        path = self.plain(name)  # also keeps devices closed: opening one may do something
        file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
        found = os.fstat(file.fileno())
        if stat.S_ISREG(found.st_mode) and found.st_size <= limit:
            return file
        file.close()
        raise NotPlain(name, f"is larger than {limit:,} bytes" if found.st_size > limit else "is not a plain file")

    def read(self, name: str, limit: int) -> bytes:
        """The content of a regular file of at most `limit` bytes."""
        with self.open(name, limit) as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise NotPlain(name, f"is larger than {limit:,} bytes")
        return data

    def tail(self, name: str, limit: int) -> bytes:
        """The last bytes of a regular file, `limit` at most."""
        with self.open(name, 1 << 50) as file:
            file.seek(max(os.fstat(file.fileno()).st_size - limit, 0))
            return file.read(limit)

    def sha256(self, name: str, limit: int) -> str:
        """Hex digest of a regular file of at most `limit` bytes."""
        digest, left = hashlib.sha256(), limit
        with self.open(name, limit) as file:
            while chunk := file.read(CHUNK):
                left -= len(chunk)
                if left < 0:
                    raise NotPlain(name, f"is larger than {limit:,} bytes")
                digest.update(chunk)
        return digest.hexdigest()

    def names(self, folder: str) -> list[str]:
        """Names of all that lies directly in a folder, sorted."""
        path = self.place(f"{folder}/x").parent
        return sorted(entry.name for entry in path.iterdir())

    def write(self, name: str, data: bytes) -> Path:
        """A file as a whole or not at all, over whatever has its name; DataError where it cannot be written."""
        path = self.place(name)
        write_atomic(path, data)
        return path

    def append(self, name: str) -> BinaryIO:
        """A regular file to append to, unbuffered; what else has its name, a further name of another file too, goes."""
        path = self.place(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            there = path.lstat()
            if not stat.S_ISREG(there.st_mode) or there.st_nlink > 1:
                path.unlink()
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.fdopen(os.open(path, flags, 0o666), "ab", buffering=0)  # type: ignore[return-value]

    def drop_false_locks(self, folder: str) -> None:
        """Remove what cannot be a lock of ours, an empty file: locking would follow a link, or empty another's file."""
        with suppress(FileNotFoundError):
            for name in self.names(folder):
                there = (self.root / folder / name).lstat()
                if not stat.S_ISREG(there.st_mode) or (there.st_nlink > 1 and there.st_size):
                    (self.root / folder / name).unlink()

    def linked(self, folders: Iterable[str]) -> str | None:
        """The first folder, of those named and all below them, that is a link; None where there is none.

        DataError where that cannot be told: it is closed to this user, it is no folder, or its name is too long.
        """
        try:
            for name in folders:
                if is_link(self.root / name):
                    return name
                for at, below, _ in os.walk(self.root / name):
                    links = [Path(at, one) for one in sorted(below) if is_link(Path(at, one))]
                    if links:
                        return links[0].relative_to(self.root).as_posix()
        except OSError as error:
            why = f"{error.filename}: {error.strerror}"
            raise DataError(f"cannot write {why}; choose another folder with --out") from None
        return None


def is_link(path: Path) -> bool:
    """Whether it is a link, and there; OSError where that cannot be told, which versions of Python see differently."""
    with suppress(FileNotFoundError):
        return stat.S_ISLNK(path.lstat().st_mode)
    return False
