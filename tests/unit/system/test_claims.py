"""One owner at a time, on all machines, and who may take over from whom."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import psutil
import pytest
from waiting import PATIENCE

import benchmark
from benchmark.errors import DataError
from benchmark.system import claims
from benchmark.system.claims import LOST, Owner, claimed, holder

ROOT = Path(benchmark.__file__).parents[1]


def left(path: Path, owner: Owner, silence: float = 0.0) -> Path:
    """The claim of somebody, last touched so many seconds ago."""
    file = path.with_name(f"{path.name}-0")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(asdict(owner)), "utf-8")
    os.utime(file, (time.time() - silence,) * 2)
    return file


def elsewhere() -> Owner:
    return replace(Owner(), node="node2", machine="another machine")


def nobody_waits() -> None:
    pytest.fail("nobody holds it")


def test_a_claim_is_held_inside_and_free_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "key"
    with claimed(path):
        found = holder(path)
        assert found is not None and found[0].process == os.getpid() and not found[1]
    with pytest.raises(ZeroDivisionError), claimed(path):
        raise ZeroDivisionError
    assert holder(path) is None and not list(path.parent.iterdir())


def test_who_has_to_wait_is_told_once_and_may_leave(tmp_path: Path) -> None:
    file = left(tmp_path / "key", elsewhere())
    told = []

    def leave() -> None:
        raise DataError("busy")

    def let_go() -> None:
        told.append("waiting")
        file.unlink()

    with pytest.raises(DataError, match="busy"), claimed(tmp_path / "key", leave):
        pass
    with claimed(tmp_path / "key", let_go):
        assert told == ["waiting"]


@pytest.mark.parametrize(
    ("owner", "silence", "gone"),
    [
        (lambda: replace(Owner(), born=1.0, ticks=1.0), 0.0, True),  # another process has its number now
        (lambda: Owner(), 10 * LOST, False),  # stopped for long, and alive
        (elsewhere, LOST - 30, False),
        (elsewhere, LOST + 30, True),
        (lambda: replace(elsewhere(), task="7", restarts=0), 0.0, True),  # this same task, before it was queued again
        (lambda: replace(elsewhere(), task="7", restarts=1), 0.0, False),  # this task on another of its nodes
        (lambda: replace(elsewhere(), task="8", restarts=0), 0.0, False),
    ],
)
def test_whose_claim_may_be_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: Callable[[], Owner], silence: float, gone: bool
) -> None:
    path, told = tmp_path / "key", []
    left(path, owner(), silence)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")

    def leave() -> None:
        told.append("waiting")
        raise DataError("busy")

    try:
        with claimed(path, leave):
            assert sorted(file.name for file in tmp_path.iterdir()) == ["key-0", "key-1"]
    except DataError:
        pass
    assert bool(told) is not gone
    assert [file.name for file in tmp_path.iterdir()] == ([] if gone else ["key-0"])


def test_what_is_no_claim_does_not_stay_in_the_way(tmp_path: Path) -> None:
    """A link is not followed. A file that cannot be read counts as of another machine: it may be half written."""
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "key-0").symlink_to(tmp_path / "mine")
    with claimed(tmp_path / "key", nobody_waits):
        pass
    (tmp_path / "other-0").write_text("{")
    assert (found := holder(tmp_path / "other")) is not None and not found[1]
    os.utime(tmp_path / "other-0", (1, 1))
    with claimed(tmp_path / "other", nobody_waits):
        pass
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(DataError, match=r"cannot write to .*file: .*choose another folder"),
        claimed(tmp_path / "file/a"),
    ):
        pass


def test_a_disk_that_is_full_leaves_no_claim_that_nobody_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(DataError, match="No space left"), claimed(tmp_path / "key"):
            pass
    with claimed(tmp_path / "key", nobody_waits):
        pass


def told_to_wait() -> None:
    raise RuntimeError("somebody holds it")


def run(code: str, folder: Path) -> subprocess.Popen[str]:
    begin = "import os, time; from pathlib import Path; from benchmark.system import claims\n"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", begin + code], cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
    )


def test_a_claim_ends_with_its_owner_however_it_dies(tmp_path: Path) -> None:
    killed = run("with claims.claimed(Path('key')): os.kill(os.getpid(), 9)", tmp_path)
    assert killed.wait(PATIENCE) == -9 and (tmp_path / "key-0").exists()
    with claimed(tmp_path / "key", nobody_waits):
        pass


def test_an_owner_that_was_taken_for_dead_is_told_to_end(tmp_path: Path) -> None:
    slow = run(
        "claims.BEAT = 0.05\nwith claims.claimed(Path('key')): print('held', flush=True); time.sleep(60)", tmp_path
    )
    assert slow.stdout is not None and slow.stdout.readline() == "held\n"
    (tmp_path / "key-1").write_text("{}")
    assert slow.wait(PATIENCE) == -15


def test_who_looked_too_long_ago_takes_nothing_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look at a dead owner and one's own claim, another takes over and ends, and a third begins."""
    assert run("with claims.claimed(Path('key')): os.kill(os.getpid(), 9)", tmp_path).wait(PATIENCE) == -9
    create, calls = claims._create, list[Path]()

    def late(file: Path, me: Owner) -> bool:
        calls.append(file)
        if len(calls) == 1:
            assert create(tmp_path / "key-1", Owner())
            (tmp_path / "key-0").unlink()
            (tmp_path / "key-1").unlink()
            assert create(tmp_path / "key-0", Owner())
        return create(file, me)

    monkeypatch.setattr(claims, "_create", late)
    with pytest.raises(RuntimeError, match="somebody holds it"), claimed(tmp_path / "key", told_to_wait):
        pass
    assert calls == [tmp_path / "key-1"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["key-0"], "the third still holds it"


def test_many_that_want_it_have_it_one_after_the_other(tmp_path: Path) -> None:
    """Also where owners die with it in their hands."""
    code = (
        "import random\nclaims.LONGEST_LOOK = 0.01\n"
        "for _ in range(60):\n"
        "    if (child := os.fork()) == 0:\n"
        "        with claims.claimed(Path('key')):\n"
        "            n = int(Path('n').read_text()); Path('new').write_text(str(n + 1)); os.replace('new', 'n')\n"
        "            if random.random() < 0.3: os._exit(0)\n"
        "        os._exit(0)\n"
        "    os.waitpid(child, 0)\n"
    )
    (tmp_path / "n").write_text("0")
    many = [run(code, tmp_path) for _ in range(3)]
    assert [one.wait(timeout=PATIENCE) for one in many] == [0, 0, 0]
    assert (tmp_path / "n").read_text() == "180"


def test_the_owner_touches_its_claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "BEAT", 0.01)
    with claimed(tmp_path / "key"):
        os.utime(tmp_path / "key-0", (1, 1))
        limit = time.monotonic() + 30
        while (tmp_path / "key-0").stat().st_mtime == 1 and time.monotonic() < limit:
            time.sleep(0.01)
        assert (tmp_path / "key-0").stat().st_mtime > 1


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux")
def test_a_corrected_clock_does_not_end_a_claim(monkeypatch: pytest.MonkeyPatch) -> None:
    owner, before = Owner(), replace(Owner(), ticks=None)
    assert not before.gone(0.0), "a claim of an earlier version, whose process lives"
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: 12345.0)
    assert not owner.gone(0.0)
    assert before.gone(0.0)
