"""The engine `slurm` on a real Slurm of one node: stopped, pre-empted and killed, and the records of a local run."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import slurm
from command_line import environment
from engine_runs import SMALL, command, records, until

from benchmark.stylegan2.weights import read_header

pytestmark = pytest.mark.skipif(bool(slurm.missing()), reason=f"Slurm is not here: no {', '.join(slurm.missing())}")

RUN = (*SMALL, "--methods", "finetune,layer_swap", "--set", "train.kimg=0.4")
QUEUE = ("--engine", "slurm", "--engine-set", "cpus=1", "--engine-set", "partition=low", "--out", "res")


@pytest.fixture(scope="module")
def variables(cache: Path) -> Iterator[dict[str, str]]:
    folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))  # a socket's path must be short
    try:
        yield slurm.start(folder, array=3) | environment(cache)
    finally:
        slurm.stop(folder)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def local(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on this machine that nothing disturbed."""
    folder = tmp_path_factory.mktemp("local")
    done = command((*RUN, "--jobs", "1", "--out", "res"), folder, environment(cache))
    assert done.returncode == 0, done.stderr
    return folder / "res"


def call(variables: dict[str, str], *words: str) -> str:
    return subprocess.run(words, env=variables, capture_output=True, text=True, check=True, timeout=60).stdout


def images_of(out: Path) -> int:
    """Of the training that is stored to go on from."""
    for path in (out / "checkpoints").glob("*.progress"):
        try:
            images = read_header(path)["images"]
        except Exception:  # it is being replaced
            return 0
        return images if isinstance(images, int) else 0
    return 0


def element(variables: dict[str, str], index: int) -> tuple[str, str]:
    """The array's job at this index, ARRAY_INDEX, and its state; ("", "") once it has ended."""
    rows = call(variables, "squeue", "-h", "-r", "-p", "low", "-o", "%F_%K %T").splitlines()
    return next(((row.split()[0], row.split()[1]) for row in rows if row.split()[0].endswith(f"_{index}")), ("", ""))


@pytest.mark.slow(
    twin="tests/integration/test_engine_slurm.py::test_cancel_ends_what_runs_and_what_waits_and_nothing_comes_back"
)
def test_stopped_preempted_and_killed_jobs_end_with_the_bits_of_a_local_run(
    variables: dict[str, str], local: Path, tmp_path: Path
) -> None:
    out = tmp_path / "res"
    submitter = subprocess.Popen(
        [sys.executable, "-m", "benchmark", *RUN, *QUEUE],
        cwd=tmp_path,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    until(lambda: images_of(out) >= 16)
    os.killpg(submitter.pid, signal.SIGKILL)  # nothing of the queue goes with it
    submitter.wait()
    job, _ = element(variables, 1)
    call(variables, "scancel", "--signal=TERM", job)
    until(lambda: element(variables, 1)[1] == "PENDING")
    stopped = images_of(out)
    assert stopped >= 16

    until(lambda: images_of(out) >= stopped + 8)
    call(variables, "sbatch", "-p", "high", "-n", "2", "-o", "/dev/null", "--wrap", "true")
    until(lambda: element(variables, 1)[1] == "PENDING")
    call(variables, "scontrol", "hold", job)
    preempted = images_of(out)
    assert preempted >= stopped + 8, "what was done is kept"
    found = json.loads(command(("status", "res", "--json"), tmp_path, variables).stdout)
    assert found["counts"]["stored"] == 1 and found["counts"]["queued"] == 2, found

    again = command((*RUN, *QUEUE, "--detach"), tmp_path, variables)
    assert again.returncode == 0 and "0 are to be queued" in again.stdout, again

    call(variables, "scontrol", "release", job)
    until(lambda: images_of(out) >= preempted + 8)
    call(variables, "scancel", "--signal=KILL", "--full", job)
    until(lambda: not element(variables, 1)[1])
    done = command((*RUN, *QUEUE), tmp_path, variables)
    assert done.returncode == 0 and "1 are to be queued" in done.stdout, done
    assert records(out) == records(local)
    said = command(("logs", "res", found["jobs"][1]["key"][:8]), tmp_path, variables).stdout
    assert "==> engine/logs/1.txt <==" in said and "train finetune" in said
    assert not list((out / "locks").glob("*-*"))
    until(lambda: (out / "page.html").exists())


def test_cancel_ends_what_runs_and_what_waits_and_nothing_comes_back(variables: dict[str, str], tmp_path: Path) -> None:
    long = (*SMALL, "--methods", "finetune,freezed", "--set", "train.kimg=8")
    limits = ("--engine-set", "at_once=1", "--engine-set", "freezed.time=10:00")
    queued = command((*long, *QUEUE, *limits, "--detach"), tmp_path, variables)
    assert queued.returncode == 0 and "3 are to be queued" in queued.stdout, queued
    out = tmp_path / "res"
    until(lambda: images_of(out) >= 8)
    state = json.loads(command(("status", "res", "--json"), tmp_path, variables).stdout)
    (at_work,) = [job for job in state["jobs"] if job["state"] == "running"]
    assert at_work["kimg"] >= 0.008 and at_work["of_kimg"] == 8 and at_work["seconds_left"] > 0 and at_work["node"]
    assert state["counts"]["queued"] == 1, "one at a time, over both arrays"
    other = command((*SMALL, "--methods", "fixnoise", *QUEUE, "--detach"), tmp_path, variables)
    assert other.returncode == 2 and "tasks of another command are queued" in other.stderr

    assert "cancelled: " in command(("cancel", "res"), tmp_path, variables).stdout
    until(lambda: not call(variables, "squeue", "-h").strip())
    after = json.loads(command(("status", "res", "--json"), tmp_path, variables).stdout)
    assert after["counts"]["stored"] == 1 and after["counts"]["lost"] == 2
    assert images_of(out) >= 8, "it saved"


def test_arrays_are_split_where_indices_become_too_large(variables: dict[str, str], tmp_path: Path) -> None:
    """Here MaxArraySize is 3: the sixteen tasks need six arrays."""
    held = ("--engine-set", "extra=--hold", "--seeds", "0-7", "--detach")
    done = command((*SMALL, "--methods", "finetune", *QUEUE, *held), tmp_path, variables)
    assert done.returncode == 0, done
    rows = call(variables, "squeue", "-h", "-r", "-p", "low", "-o", "%j %K").split("\n")
    found = [
        (int(name.rpartition("-")[2]), int(index))
        for name, _, index in (row.partition(" ") for row in rows)
        if index.isdecimal()
    ]
    assert sorted(base + index for base, index in found) == list(range(16))
    assert max(index for _, index in found) < 3
    state = json.loads(command(("status", "res", "--json"), tmp_path, variables).stdout)
    assert state["counts"]["queued"] == 16 and "held" in state["jobs"][0]["why"].lower()
    command(("cancel", "res"), tmp_path, variables)
    until(lambda: not call(variables, "squeue", "-h").strip())
