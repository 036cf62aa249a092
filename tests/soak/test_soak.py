"""Fault injection: the smoke suite is started thirty times, and each time something of it is killed.

Between starts bits of what is stored flip, and files of something else lie in the place of training states. In the
runs that are killed a method that changes its process comes before the others; the quiet run does not have it.

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
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
import torch
from hostile_results import PLANTS, outside_folder, untouched
from waiting import PATIENCE, comes

import benchmark
from benchmark.results import ResultStore
from benchmark.stylegan2.weights import write_tensors

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc"),
]

STARTS = 30
PLANTED = 10
MINUTES = 10.0
SHARE = 0.7
"""Of the time, for the starts that are killed; the rest is for the run that finishes and the quiet one. On a slow
machine fewer starts are made; what was begun is waited for."""
RUN = (
    *("run", "--suite", "smoke", "--out", "res", "--threads", "1"),
    *("--domains", "toy-rings"),
    *("--set", "train.kimg=0.064", "--set", "eval.samples=16", "--set", "eval.pairs=8"),
    *("--set", "train.checkpoint_minutes=0"),
)
METHODS = "finetune,layer_swap"
PLUGIN = Path(__file__).parents[1] / "data" / "hostile_methods" / "hostile.py"
QUIET = (*RUN, "--methods", METHODS)
LEAKING = (*RUN, "--methods", f"replaces_torch,{METHODS}", "--plugin", str(PLUGIN))


def variables(folder: Path) -> dict[str, str]:
    root = str(Path(benchmark.__file__).parents[1])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    return os.environ | {"PYTHONPATH": path, "BENCHMARK_CACHE": str(folder / "cache")}


def start(folder: Path, command: tuple[str, ...] = LEAKING) -> subprocess.Popen[bytes]:
    """The run in a session of its own, so that all of its processes can be told from others."""
    with (folder / "said.txt").open("ab") as said:
        return subprocess.Popen(
            [sys.executable, "-m", "benchmark", *command],
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


def ended(number: int) -> bool:
    """Whether a session has no process left in the end."""
    return comes(lambda: not session(number))


def working(running: subprocess.Popen[bytes], folder: Path, before: int) -> bool:
    """Wait until the run has planned its jobs, so that a kill hits work; `before`: what had been said before."""
    while running.poll() is None and b"records to make" not in (folder / "said.txt").read_bytes()[before:]:
        time.sleep(0.05)
    return running.poll() is None


def finished(running: subprocess.Popen[bytes], folder: Path) -> None:
    code = running.wait(timeout=PATIENCE)
    assert code == 0, (folder / "said.txt").read_text(errors="replace")[-3000:]


def records(out: Path) -> dict[str, Any]:
    """What the records say, but for times and the machine."""
    found = {}
    for path in (out / "records").glob("*.json"):
        try:
            found[path.stem] = json.loads(path.read_text())
        except ValueError:  # a bit of it was flipped
            continue
        for name in ("timing", "environment"):
            found[path.stem].pop(name, None)
    return found


def intact(out: Path, wanted: Collection[str]) -> dict[str, Any]:
    """The finished records among those wanted, without those whose bytes are not what was stored."""
    store = ResultStore(out)
    return {key: r for key, r in records(out).items() if key in wanted and store.has(key) is not None}


def shared_memory() -> set[str]:
    """Names of segments and semaphores."""
    return set(os.listdir("/dev/shm")) if Path("/dev/shm").is_dir() else set()


def of_dead(names: set[str]) -> set[str]:
    """Those that nobody has open or mapped any more: on a shared machine others make and remove theirs meanwhile."""
    used = set[str]()
    for process in Path("/proc").glob("[0-9]*"):
        for place in ("maps", "fd"):
            try:
                entries = process / place
                lines = [os.readlink(x) for x in entries.iterdir()] if place == "fd" else entries.read_text().split()
            except OSError:  # it has just ended, or is another user's
                continue
            used |= {Path(line).name for line in lines if line.startswith("/dev/shm/")}
    return names & shared_memory() - used


def age(root: Path) -> None:
    """Make leftovers of killed writes two days old: tables and drawings have no lock whose holder tidies up."""
    for path in root.rglob(".*"):
        if path.name.endswith(".tmp") or path.name.startswith(".drawing-"):
            os.utime(path, (time.time() - 2 * 86400,) * 2)


def spoil(out: Path, rng: random.Random) -> str:
    """Flip a bit of a stored file, or put a file of something else in the place of a training state; what was done."""
    states = sorted((out / "checkpoints").glob("*.progress"))
    files = [p for name in ("checkpoints", "records") for p in sorted((out / name).glob("[!.]*")) if p.is_file()]
    if states and rng.random() < 0.5:
        write_tensors(rng.choice(states), {"x": torch.zeros(3)}, {"key": "another"})
        return "foreign states"
    if not files:
        return "nothing"
    file = rng.choice(files)
    data = bytearray(file.read_bytes())
    at = rng.randrange(32, len(data))  # not in a record's version: one of a newer version is never run over
    data[at] ^= 1 << rng.randrange(8)
    file.write_bytes(data)
    return "flipped bits"


def test_thirty_kills_lose_no_record_and_leak_nothing(tmp_path: Path) -> None:
    begun, before = time.monotonic(), shared_memory()
    seed = os.environ.get("BENCHMARK_SOAK_SEED", "0")
    rng = random.Random(f"soak {seed}")
    quiet, soaked = tmp_path / "quiet", tmp_path / "soaked"
    for folder in (quiet, soaked):
        folder.mkdir()
    finished(start(quiet, QUIET), quiet)
    whole = time.monotonic() - begun
    kills, starts, made, seen = {"parent": 0, "worker": 0, "SIGTERM": 0}, 0, 0, dict[str, Any]()
    spoilt, expected = Counter[str](), records(quiet / "res")
    while starts < STARTS and time.monotonic() - begun < 60 * MINUTES * SHARE:
        if rng.random() < 0.5:
            spoilt[spoil(soaked / "res", rng)] += 1
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
            running.wait(timeout=PATIENCE)
        assert ended(running.pid), f"left behind: {session(running.pid)}"
        now = intact(soaked / "res", expected)
        assert all(now[key] == expected[key] for key in now), "a record was changed"
        lost = seen.keys() - now.keys()
        assert len(lost) <= spoilt["flipped bits"], "a finished record was lost that nobody spoilt"
        made += len(now.keys() - seen.keys())
        seen = now
        if len(seen) == len(expected):  # done: the next starts begin anew, with another killed run
            soaked = tmp_path / f"soaked{starts}"
            soaked.mkdir()
            seen = {}
    running = start(soaked)
    finished(running, soaked)
    assert ended(running.pid)
    assert intact(soaked / "res", expected) == expected
    for folder in [quiet, *tmp_path.glob("soaked*")]:
        age(folder)
    again = start(soaked)
    finished(again, soaked)
    tidy = subprocess.run([sys.executable, "-m", "benchmark", "cache", "prune"], cwd=soaked, env=variables(soaked))
    assert tidy.returncode == 0
    leftovers = [p for p in soaked.rglob(".*") if p.name.endswith(".tmp") or p.name.startswith(".drawing-")]
    assert not leftovers and not list(soaked.rglob("*.progress"))
    assert comes(lambda: not of_dead(shared_memory() - before)), "left in shared memory"
    total = sum(kills.values())
    print(
        f"\nsoak seed {seed}: {starts} starts, {total} kills {kills}, {made} records made on the way, 0 lost, ", end=""
    )
    print(f"spoilt: {dict(spoilt)}, ", end="")
    print(f"{time.monotonic() - begun:.0f} s")
    assert starts and total >= starts / 2, "too few kills hit anything"


def test_hostile_results_folders_lead_no_command_outside(tmp_path: Path) -> None:
    """Hostile things, each alone in a copy of good results, with all commands that take such a folder."""
    good = tmp_path / "good"
    good.mkdir()
    finished(start(good, QUIET), good)
    seed = os.environ.get("BENCHMARK_SOAK_SEED", "0")
    chosen = random.Random(f"plants {seed}").sample(sorted(PLANTS), PLANTED)
    commands = (("report", "res"), ("results", "verify", "res"), ("compare", "res", "../good/res"), QUIET)
    begun, tried = time.monotonic(), list[str]()
    for number, what in enumerate(chosen):
        if time.monotonic() - begun > 60 * MINUTES:  # a slow machine tries fewer
            break
        tried.append(what)
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
                timeout=PATIENCE,
                check=False,
            )
            assert done.returncode in (0, 1, 2) and b"Traceback" not in done.stderr, (what, arguments, done)
            assert untouched(outside), f"{what}: {arguments} wrote outside"
    print(f"\nsoak seed {seed}: {len(tried)} hostile results folders, nothing written outside: {', '.join(tried)}")
