"""Locks: one owner for each piece of work, over all processes that share a folder."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: its own locks, by another package
    fcntl = None  # type: ignore[assignment]

from benchmark.errors import DataError

NOT_WRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOSPC, errno.EDQUOT)
"""Errors of a folder that cannot be written, with locks or without."""


@contextmanager
def alone(path: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock file `path` while inside; `waiting` is called once where another process holds it, and may raise.

    The operating system holds the lock for the process, so it ends with its owner, however that dies. Makes the folder.
    Raises DataError where the folder cannot be written or its file system knows no locks: a file that only means to be
    a lock would outlive its owner.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        release = _acquire(path, waiting)
    except (OSError, NotImplementedError) as error:
        why = getattr(error, "strerror", None) or error
        if getattr(error, "errno", None) in NOT_WRITABLE:
            raise DataError(f"cannot write to {path.parent}: {why}; choose another folder") from None
        raise DataError(f"cannot lock {path}: {why}; choose a folder on a file system with locks") from None
    try:
        yield
    finally:
        release()


def _acquire(path: Path, waiting: Callable[[], None]) -> Callable[[], None]:
    """Hold the lock; what lets go of it."""
    if fcntl is None:
        return _acquire_elsewhere(path, waiting)
    told = False
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not told:
                    told = True
                    waiting()
                fcntl.flock(file, fcntl.LOCK_EX)
            if _is_at(file, path):
                return lambda: os.close(file)
        except BaseException:
            os.close(file)
            raise
        os.close(file)  # somebody tidied up while we waited


def _is_at(file: int, path: Path) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file), path.stat())
    return False


def _acquire_elsewhere(path: Path, waiting: Callable[[], None]) -> Callable[[], None]:
    from filelock import FileLock, Timeout

    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        waiting()
        lock.acquire()
    return lock.release
