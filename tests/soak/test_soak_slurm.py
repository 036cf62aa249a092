"""Sixty jobs on a real Slurm of one node that never has its peace: 0 records lost, none twice, the bits of a local run.

While the smoke suite runs, tasks are queued again (`scontrol requeue`), stopped (`scancel --signal=TERM`), killed
(`scancel --signal=KILL --full`) and pre-empted by a higher partition, and the submitter is killed and started again.

Run it with `pytest tests/soak/test_soak_slurm.py -m soak -s`; it takes about half an hour on two quiet cores and prints
its figures. BENCHMARK_SOAK_SEED chooses other moments, BENCHMARK_SOAK_SEEDS the number of seeds (5: 60 jobs). Where
others use the machine, nothing would ever come to its work between two disturbances: three of four wait until something
was stored since the last one, and BENCHMARK_SOAK_SLOW=4 makes the pauses and the limit of the whole four times as long.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import slurm
from command_line import environment
from engine_runs import command, records

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(bool(slurm.missing()), reason=f"Slurm is not here: no {', '.join(slurm.missing())}"),
]

SEEDS = int(os.environ.get("BENCHMARK_SOAK_SEEDS") or 5)
RUN = (
    *("run", "--suite", "smoke", "--threads", "1", "--seeds", f"0-{SEEDS - 1}" if SEEDS > 1 else "0"),
    *("--methods", "finetune,layer_swap,freezed,feature_matching,fixnoise", "--set", "train.checkpoint_minutes=0"),
    *("--set", "eval.samples=16", "--set", "eval.pairs=8", "--out", "res"),
)
"""Two domains, six jobs for each domain and seed, the untouched source among them."""
QUEUE = ("--engine", "slurm", "--engine-set", "partition=low", "--engine-set", "cpus=1", "--engine-set", "requeue=1000")
SLOW = float(os.environ.get("BENCHMARK_SOAK_SLOW") or 1)
MINUTES = 60 * SLOW
PAUSE = 3 * SLOW, 15 * SLOW
"""Seconds between two disturbances."""


@pytest.fixture
def variables(tmp_path: Path) -> Iterator[dict[str, str]]:
    folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))
    try:
        yield slurm.start(folder, array=20) | environment(tmp_path / "cache")
    finally:
        slurm.stop(folder)
        for log in folder.glob("*.log"):  # pytest keeps the last folders of tests
            shutil.copy(log, tmp_path)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def disturber(variables: dict[str, str], tmp_path: Path) -> Iterator[Disturber]:
    made = Disturber(variables, tmp_path, random.Random(os.environ.get("BENCHMARK_SOAK_SEED", "1")))
    yield made
    if made.submitter is not None:
        made.submitter.kill()
        made.submitter.wait()


class Disturber:
    """Does one thing after the other, at random."""

    def __init__(self, variables: dict[str, str], folder: Path, rng: random.Random) -> None:
        self.variables, self.folder, self.rng = variables, folder, rng
        self.submitter: subprocess.Popen[bytes] | None = None
        self.seen: set[tuple[str, int]] = set()
        self.did: Counter[str] = Counter()

    def submit(self) -> None:
        """Start the command, if it is not at work."""
        if self.submitter is None or self.submitter.poll() is not None:
            with (self.folder / "said.txt").open("ab") as said:
                self.submitter = subprocess.Popen(
                    [sys.executable, "-m", "benchmark", *RUN, *QUEUE],
                    cwd=self.folder,
                    env=self.variables,
                    stdout=said,
                    stderr=said,
                )
            self.note("submitter started")

    def stored(self) -> set[tuple[str, int]]:
        """(name, time) of each record, state of a training and request that is there."""
        found = set[tuple[str, int]]()
        for name in ("records/*.json", "checkpoints/*.progress", "engine/request.json"):
            for path in (self.folder / "res").glob(name):
                with suppress(OSError):  # it is being replaced, or has become weights
                    found.add((path.name, path.stat().st_mtime_ns))
        return found

    def disturb(self) -> None:
        """One thing."""
        done = self.call("squeue", "-h", "-r", "-p", "low", "-t", "RUNNING", "-o", "%F_%K")
        jobs = [line for line in done.splitlines() if not line.endswith("N/A")]
        what = self.rng.choice(("requeue", "stop", "kill", "pre-empt", "kill the submitter"))
        job = self.rng.choice(jobs) if jobs else None
        if what == "kill the submitter":
            assert self.submitter is not None
            self.submitter.send_signal(signal.SIGKILL)
        elif what == "pre-empt":
            self.call("sbatch", "-p", "high", "-n", "2", "-o", "/dev/null", "--wrap", "sleep 1")
        elif job is None:
            return
        elif what == "requeue":
            self.call("scontrol", "requeue", job)
        elif what == "stop":
            self.call("scancel", "--signal=TERM", job)
        else:
            self.call("scancel", "--signal=KILL", "--full", job)
        self.note(what, job or "")
        self.seen = self.stored()

    def note(self, what: str, job: str = "") -> None:
        """Count it, and write down when it was done to which job."""
        self.did[what] += 1
        with (self.folder / "did.txt").open("a", encoding="utf-8") as did:
            did.write(f"{time.strftime('%H:%M:%S')} {what} {job}\n")

    def call(self, *words: str) -> str:
        """What a command of Slurm says; that a job has just ended is no error here, and scancel asks ten times more
        about one that goes back to the queue.
        """
        try:
            return subprocess.run(words, env=self.variables, capture_output=True, text=True, timeout=60).stdout
        except subprocess.TimeoutExpired:
            self.did[f"{words[0]} gave up"] += 1
            return ""


def test_no_record_is_lost_and_none_made_twice(disturber: Disturber, tmp_path: Path) -> None:
    rng = disturber.rng
    stored: dict[str, tuple[int, int]] = {}
    rewritten = []
    limit = time.monotonic() + 60 * MINUTES
    while time.monotonic() < limit:
        disturber.submit()
        time.sleep(rng.uniform(*PAUSE))
        for path in (tmp_path / "res" / "records").glob("*.json"):
            now = path.stat()
            if stored.setdefault(path.name, (now.st_ino, now.st_mtime_ns)) != (now.st_ino, now.st_mtime_ns):
                rewritten.append(path.name)
        if disturber.submitter is not None and disturber.submitter.poll() == 0:
            break
        at_work = disturber.submitter is not None and disturber.submitter.poll() is None
        if at_work and (rng.random() < 0.25 or disturber.stored() - disturber.seen):
            disturber.disturb()
    else:
        pytest.fail(f"not done in {MINUTES:g} minutes: {disturber.did}; {len(stored)} records")
    print(f"\n{dict(disturber.did)}; {len(stored)} records")
    local = tmp_path / "local"
    local.mkdir()
    done = command((*RUN, "--jobs", "1"), local, environment(tmp_path / "cache"), 60 * MINUTES)
    assert done.returncode == 0, done.stderr
    expected = records(local / "res")
    assert len(expected) >= 12 * SEEDS
    assert records(tmp_path / "res") == expected
    assert rewritten == []
