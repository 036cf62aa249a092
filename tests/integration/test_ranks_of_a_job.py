"""A job that two processes train together: real ranks, killed and stopped; afterwards the weights of a quiet run."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest
from command_line import Done, process, start
from waiting import PATIENCE, all_end, comes

from benchmark.errors import WeightsError
from benchmark.stylegan2.weights import read_header, read_tensors

STEPS = 14
RUN = (
    *("run", "--suite", "smoke", "--methods", "finetune", "--domains", "toy-rings", "--out", "res", "--threads", "2"),
    *("--jobs", "1", "--ranks-per-job", "2", "--set", f"train.kimg={STEPS * 8 / 1000}", "--set", "eval.samples=8"),
    *("--set", "eval.pairs=4", "--set", "eval.metrics=[kid_randconv]", "--set", "train.checkpoint_minutes=0"),
    *("--set", "train.augment=ada", "--set", "train.pl_weight=2", "--set", "train.snapshot_kimg=[0.04]"),
    *("--set", "train.tick_kimg=0.016"),
)
"""Steps of everything that has a state; a checkpoint after each."""


def quiet(cache: Path, folder: Path) -> Path:
    done = process(RUN, cache, folder)
    assert done.code == 0, done.err
    return folder / "res"


def record(out: Path) -> dict[str, Any]:
    """That of fine-tuning."""
    found = [json.loads(path.read_text()) for path in (out / "records").glob("*.json")]
    return next(r for r in found if not r["zero_step"])


def states(out: Path) -> list[Path]:
    return sorted((out / "checkpoints").glob("*.progress*"))


def trained_images(out: Path) -> int:
    """Images of rank 0's stored state."""
    for path in states(out):
        if path.suffix == ".progress" and "-rank" not in path.name:
            try:
                return int(str(read_header(path)["images"]))
            except (WeightsError, FileNotFoundError):  # it was just replaced or finished
                return 0
    return 0


def started(cache: Path, folder: Path, images: int) -> subprocess.Popen[str]:
    """The command, once that many images are trained on and stored."""
    running = start(RUN, cache, folder)
    assert comes(lambda: running.poll() is not None or trained_images(folder / "res") >= images)
    return running


def finish(running: subprocess.Popen[str]) -> Done:
    """To its end; a hang fails the test."""
    out, err = running.communicate(timeout=PATIENCE)
    return Done(running.returncode, out, err)


def ranks_of(running: subprocess.Popen[str]) -> list[psutil.Process]:
    """Processes of the job's ranks, by rank."""
    (server,) = [p for p in psutil.Process(running.pid).children() if "resource_tracker" not in " ".join(p.cmdline())]
    (worker,) = server.children()
    ranks = [p for p in worker.children() if "spawn_main" in " ".join(p.cmdline())]
    return sorted(ranks, key=lambda p: p.create_time())


def same_training(one: Path, two: Path) -> None:
    names = {p.name for p in (one / "checkpoints").iterdir()}
    assert names == {p.name for p in (two / "checkpoints").iterdir()} and len(names) == 2
    for name in names:
        a, b = (read_tensors(out / "checkpoints" / name)[0] for out in (one, two))
        assert a.keys() == b.keys() and all(a[k].equal(b[k]) for k in a)
    assert losses(one) == losses(two)


def losses(out: Path) -> list[Any]:
    """The training's log, but for times; a tick that was repeated counts as its last course."""
    (log,) = (out / "logs").glob("*.jsonl")
    ticks = {tick["images"]: tick for tick in map(json.loads, log.read_text().splitlines())}
    return [(images, tick["losses"], tick["ada_p"]) for images, tick in sorted(ticks.items())]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    return quiet(cache, tmp_path_factory.mktemp("quiet"))


@pytest.mark.slow(twin="tests/unit/running/test_job_ranks.py::test_the_job_fails_with_the_reason_of_its_rank")
def test_the_record_says_that_several_trained(undisturbed: Path) -> None:
    found = record(undisturbed)
    assert found["status"] == "done" and found["settings"]["train"]["ranks"] == 2
    assert any("Trained by 2 ranks together" in note for note in found["notes"])
    assert states(undisturbed) == [] and len(losses(undisturbed)) == STEPS // 2


@pytest.mark.slow(
    twin="tests/integration/test_two_ranks.py::test_states_of_ranks_are_stored_used_and_given_up_together"
)
def test_a_rank_that_is_killed_ends_the_job_with_a_reason_and_the_training_resumes(
    undisturbed: Path, cache: Path, tmp_path: Path
) -> None:
    running = started(cache, tmp_path, 24)
    ranks = ranks_of(running)
    assert len(ranks) == 2
    ranks[1].kill()
    assert comes(lambda: len(list((tmp_path / "res/records").glob("*.json"))) == 2)
    done = finish(running)
    assert done.code == 1
    assert "rank 1 of 2 was killed (SIGKILL)" in record(tmp_path / "res")["reason"]
    assert all_end(ranks)
    assert trained_images(tmp_path / "res") >= 24

    running = started(cache, tmp_path, 64)
    running.send_signal(signal.SIGTERM)  # all ranks store the same step
    assert finish(running).code == 143
    assert {int(str(read_header(path)["images"])) for path in states(tmp_path / "res")} == {
        trained_images(tmp_path / "res")
    }
    assert finish(start(RUN, cache, tmp_path)).code == 0
    same_training(undisturbed, tmp_path / "res")
