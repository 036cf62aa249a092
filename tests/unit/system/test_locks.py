"""One owner at a time, and what the others are told."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock, Timeout
from waiting import PATIENCE

import benchmark
from benchmark.errors import DataError
from benchmark.system.locks import alone

ROOT = Path(benchmark.__file__).parents[1]


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


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(DataError, match=r"cannot lock .*file/a\.lock: .*choose a folder"),
        alone(tmp_path / "file/a.lock"),
    ):
        pass


@pytest.mark.parametrize("error", ["ENOSYS", "ENOLCK", "EOPNOTSUPP"])
def test_a_file_system_without_locks_is_refused_and_nothing_takes_their_place(tmp_path: Path, error: str) -> None:
    """The system's flock() really fails: a library before it, as network file systems do."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("needs a C compiler and LD_PRELOAD")
    source, library = tmp_path / "none.c", tmp_path / "none.so"
    source.write_text(f"#include <errno.h>\nint flock(int file, int how) {{ errno = {error}; return -1; }}\n")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
    asked = (
        "from pathlib import Path; from benchmark.system.locks import alone\nwith alone(Path('x/a.lock')): print('in')"
    )
    done = subprocess.run(
        [sys.executable, "-c", asked],
        cwd=tmp_path,
        env=os.environ | {"LD_PRELOAD": str(library), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and not done.stdout
    assert "DataError: cannot lock x/a.lock: " in done.stderr
    assert "choose a folder on a file system with locks" in done.stderr


def test_a_lock_ends_with_its_owner_however_it_dies(tmp_path: Path) -> None:
    asked = (
        "import os; from pathlib import Path; from benchmark.system.locks import alone\n"
        "with alone(Path('a.lock')): os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", asked], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert done.returncode == -9 and (tmp_path / "a.lock").exists()
    with alone(tmp_path / "a.lock", lambda: pytest.fail("nobody holds it")):
        pass


def test_many_that_want_it_have_it_one_after_the_other(tmp_path: Path) -> None:
    """Also while somebody removes the files of locks."""
    asked = (
        "from pathlib import Path; from benchmark.system.locks import alone\n"
        "for _ in range(200):\n"
        "    with alone(Path('a.lock')):\n"
        "        n = int(Path('n').read_text()); Path('n').write_text(str(n + 1)); Path('a.lock').unlink()"
    )
    (tmp_path / "n").write_text("0")
    command = [sys.executable, "-c", asked]
    many = [subprocess.Popen(command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}) for _ in range(3)]
    assert [one.wait(timeout=PATIENCE) for one in many] == [0, 0, 0]
    assert (tmp_path / "n").read_text() == "600"
