"""Fault injection: the smoke suite is started thirty times, and each time something of it is killed.

Run it with `pytest tests/soak -m soak -s`; it takes at most ten minutes and prints its figures. BENCHMARK_SOAK_SEED
chooses other moments.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hostile_results import PLANTS, outside_folder, untouched

import benchmark

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc"),
]

STARTS = 30
PLANTED = 10
MINUTES = 10.0
SHARE = 0.7
"""Of the time, for the starts that are killed; the rest is for the run that finishes and the quiet one."""
RUN = (
    *("run", "--suite", "smoke", "--methods", "finetune,layer_swap", "--out", "res", "--threads", "1"),
    *("--domains", "toy-rings"),
    *("--set", "train.kimg=0.064", "--set", "eval.samples=16", "--set", "eval.pairs=8"),
    *("--set", "train.checkpoint_minutes=0"),
)


def variables(folder: Path) -> dict[str, str]:
    root = str(Path(benchmark.__file__).parents[1])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    return os.environ | {"PYTHONPATH": path, "BENCHMARK_CACHE": str(folder / "cache")}


def start(folder: Path) -> subprocess.Popen[bytes]:
    """The run in a session of its own, so that all of its processes can be told from others."""
    with (folder / "said.txt").open("ab") as said:
        return subprocess.Popen(
            [sys.executable, "-m", "benchmark", *RUN],
            cwd=folder,
            env=variables(folder),
            stdout=said,
            stderr=said,
            start_new_session=True,
        )


def session(number: int) -> dict[int, str]:
    """{process: name} of what lives in a session, without zombies."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = path.read_text().partition("(")[2].rpartition(")")
        except OSError:  # it has just ended
            continue
        state, _, _, its_session = rest.split()[:4]
        if int(its_session) == number and state != "Z":
            found[int(path.parent.name)] = name
    return found


def ended(number: int, seconds: float) -> bool:
    """Whether a session has no process left within `seconds`."""
    limit = time.monotonic() + seconds
    while session(number) and time.monotonic() < limit:
        time.sleep(0.1)
    return not session(number)


def working(running: subprocess.Popen[bytes], folder: Path, before: int) -> bool:
    """Wait until the run has planned its jobs, so that a kill hits work; `before`: what had been said before."""
    while running.poll() is None and b"records to make" not in (folder / "said.txt").read_bytes()[before:]:
        time.sleep(0.05)
    return running.poll() is None


def finished(running: subprocess.Popen[bytes], folder: Path, seconds: float) -> None:
    code = running.wait(timeout=seconds)
    assert code == 0, (folder / "said.txt").read_text(errors="replace")[-3000:]


def records(out: Path) -> dict[str, Any]:
    """What the records say, but for times and the machine."""
    found = {}
    for path in (out / "records").glob("*.json"):
        found[path.stem] = json.loads(path.read_text())
        del found[path.stem]["timing"], found[path.stem]["environment"]
    return found


def shared_memory() -> set[str]:
    """Names of segments and semaphores."""
    return set(os.listdir("/dev/shm")) if Path("/dev/shm").is_dir() else set()


def age(root: Path) -> None:
    """Make leftovers of killed writes two days old: tables and drawings have no lock whose holder tidies up."""
    for path in root.rglob(".*"):
        if path.name.endswith(".tmp") or path.name.startswith(".drawing-"):
            os.utime(path, (time.time() - 2 * 86400,) * 2)


def test_thirty_kills_lose_no_record_and_leak_nothing(tmp_path: Path) -> None:
    begun, before = time.monotonic(), shared_memory()
    seed = os.environ.get("BENCHMARK_SOAK_SEED", "0")
    rng = random.Random(f"soak {seed}")
    quiet, soaked = tmp_path / "quiet", tmp_path / "soaked"
    for folder in (quiet, soaked):
        folder.mkdir()
    finished(start(quiet), quiet, 60 * MINUTES * (1 - SHARE))
    whole = time.monotonic() - begun
    kills, starts, made, seen = {"parent": 0, "worker": 0, "SIGTERM": 0}, 0, 0, dict[str, Any]()
    while starts < STARTS and time.monotonic() - begun < 60 * MINUTES * SHARE:
        spoken = (soaked / "said.txt").stat().st_size if (soaked / "said.txt").exists() else 0
        running = start(soaked)
        starts += 1
        try:  # the moment: at work, and one time in four anywhere, also while it starts
            if rng.random() < 0.75:
                working(running, soaked, spoken)
            running.wait(timeout=rng.uniform(0, 0.4 * whole))
        except subprocess.TimeoutExpired:
            workers = [pid for pid in session(running.pid) if pid != running.pid]
            what = rng.choice(["parent", "SIGTERM", *(["worker"] * 2 if workers else [])])
            victim = rng.choice(workers) if what == "worker" else running.pid
            try:
                os.kill(victim, signal.SIGTERM if what == "SIGTERM" else signal.SIGKILL)
                kills[what] += 1
            except ProcessLookupError:
                pass
        try:
            running.wait(timeout=rng.uniform(0, 0.4 * whole))  # whoever lost a worker goes on
        except subprocess.TimeoutExpired:
            running.terminate()
            running.wait(timeout=60)
        assert ended(running.pid, 30), f"left behind: {session(running.pid)}"
        now = {key: record for key, record in records(soaked / "res").items() if record["status"] == "done"}
        assert all(now.get(key) == record for key, record in seen.items()), "a finished record was lost or changed"
        made += len(now.keys() - seen.keys())
        seen = now
        if len(seen) == len(records(quiet / "res")):  # done: the next starts begin anew, with another killed run
            assert seen == records(quiet / "res")
            soaked = tmp_path / f"soaked{starts}"
            soaked.mkdir()
            seen = {}
    running = start(soaked)
    finished(running, soaked, 60 * MINUTES * (1 - SHARE))
    assert ended(running.pid, 30)
    assert records(soaked / "res") == records(quiet / "res")
    for folder in [quiet, *tmp_path.glob("soaked*")]:
        age(folder)
    again = start(soaked)
    finished(again, soaked, 60)
    tidy = subprocess.run([sys.executable, "-m", "benchmark", "cache", "prune"], cwd=soaked, env=variables(soaked))
    assert tidy.returncode == 0
    leftovers = [p for p in soaked.rglob(".*") if p.name.endswith(".tmp") or p.name.startswith(".drawing-")]
    assert not leftovers and not list(soaked.rglob("*.progress"))
    assert not shared_memory() - before
    total = sum(kills.values())
    print(
        f"\nsoak seed {seed}: {starts} starts, {total} kills {kills}, {made} records made on the way, 0 lost, ", end=""
    )
    print(f"{time.monotonic() - begun:.0f} s")
    assert total >= starts / 2, "too few kills hit anything"


def test_hostile_results_folders_lead_no_command_outside(tmp_path: Path) -> None:
    """Hostile things, each alone in a copy of good results, with all commands that take such a folder."""
    good = tmp_path / "good"
    good.mkdir()
    finished(start(good), good, 60 * MINUTES * (1 - SHARE))
    seed = os.environ.get("BENCHMARK_SOAK_SEED", "0")
    chosen = random.Random(f"plants {seed}").sample(sorted(PLANTS), PLANTED)
    commands = (("report", "res"), ("results", "verify", "res"), ("compare", "res", "../good/res"), RUN)
    for number, what in enumerate(chosen):
        folder, outside = tmp_path / str(number), outside_folder(tmp_path / f"outside{number}")
        shutil.copytree(good, folder)
        PLANTS[what](folder / "res", outside)
        for path in sorted((folder / "res").glob("records/*.json"))[:1]:  # something is left to do
            path.unlink()
        for arguments in commands:
            done = subprocess.run(
                [sys.executable, "-m", "benchmark", *arguments],
                cwd=folder,
                env=variables(folder),
                capture_output=True,
                timeout=180,
                check=False,
            )
            assert done.returncode in (0, 1, 2) and b"Traceback" not in done.stderr, (what, arguments, done)
            assert untouched(outside), f"{what}: {arguments} wrote outside"
    print(f"\nsoak seed {seed}: {len(chosen)} hostile results folders, nothing written outside: {', '.join(chosen)}")
