"""One owner at a time, and what the others are told."""

from __future__ import annotations

from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from benchmark.errors import DataError
from benchmark.system.locks import alone


def test_the_lock_is_held_inside_and_free_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "a.lock"
    with alone(path), pytest.raises(Timeout):
        FileLock(path).acquire(timeout=0)
    with pytest.raises(ZeroDivisionError), alone(path):
        raise ZeroDivisionError
    with FileLock(path, timeout=0):
        pass


def test_who_has_to_wait_is_told_once_and_may_leave(tmp_path: Path) -> None:
    owner, told = FileLock(tmp_path / "a.lock"), []
    owner.acquire()

    def leave() -> None:
        raise DataError("busy")

    def let_go() -> None:
        told.append("waiting")
        owner.release()

    with pytest.raises(DataError, match="busy"), alone(tmp_path / "a.lock", leave):
        pass
    with alone(tmp_path / "a.lock", let_go):
        assert told == ["waiting"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(DataError, match=r"cannot lock .*file/a\.lock: .*choose a folder"),
        alone(tmp_path / "file/a.lock"),
    ):
        pass
