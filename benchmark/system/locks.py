"""Locks: one owner for each piece of work, over all processes that share a folder."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from benchmark.errors import DataError

NOT_WRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOSPC, errno.EDQUOT)
"""Errors of a folder that cannot be written, with locks or without."""


@contextmanager
def alone(path: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock file `path` while inside; `waiting` is called once where another process holds it, and may raise.

    The operating system holds the lock for the process, so it ends with its owner, however that dies. Makes the folder.
    Raises DataError where the folder cannot be written or its file system knows no locks.
    """
    lock = FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            waiting()
            lock.acquire()
    except (OSError, NotImplementedError) as error:
        why = getattr(error, "strerror", None) or error
        if getattr(error, "errno", None) in NOT_WRITABLE:
            raise DataError(f"cannot write to {path.parent}: {why}; choose another folder") from None
        raise DataError(f"cannot lock {path}: {why}; choose a folder on a file system with locks") from None
    try:
        yield
    finally:
        lock.release()
