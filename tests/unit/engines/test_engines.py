"""Engines by name: those of this package and of others, and what is told where one cannot be used."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from command_line import environment
from engine_runs import SMALL, command

from benchmark.engines.engine import Queued, engine_names, find_engine
from benchmark.engines.queueing import still_queued
from benchmark.engines.request import Asked, write_request
from benchmark.errors import ConfigError
from benchmark.system.packages import offers


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installed package that offers two engines, of which one lacks functions."""
    info = tmp_path / "batch_engine-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: batch-engine\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[benchmark.engines]\nbatch = batch_engine:good\nbad = batch_engine:bad\n")
    (tmp_path / "batch_engine.py").write_text(
        "class Good:\n    preview = run = queued = cancel = lambda *_: None\ngood, bad = Good(), object()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    offers.cache_clear()
    yield tmp_path
    offers.cache_clear()


@pytest.mark.usefixtures("package")
def test_a_package_brings_an_engine() -> None:
    assert engine_names() == ["local", "slurm", "ray", "bad", "batch"]
    assert type(find_engine("batch")).__name__ == "Good"
    with pytest.raises(ConfigError, match=r"engine bad: package batch-engine 1\.0 must offer preview, run"):
        find_engine("bad")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("slurm", "--engine slurm: sbatch is not here"),
        ("local", "--detach: the engine local works in this command"),
    ],
)
def test_what_cannot_be_done_here_is_told_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, said: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    work: Any = SimpleNamespace(out=tmp_path / "res", detach=True)
    with pytest.raises(ConfigError, match=said):
        find_engine(name).run(work)
    assert not (tmp_path / "res").exists()


def test_a_scheduler_that_does_not_answer_is_no_empty_queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_engine("slurm").queued(tmp_path) is None
    (tmp_path / "squeue").write_text("#!/bin/sh\necho 'slurm_load_jobs error: Unable to contact' >&2\nexit 1\n")
    (tmp_path / "squeue").chmod(0o755)
    assert find_engine("slurm").queued(tmp_path) is None
    with pytest.raises(ConfigError, match=r"squeue failed: .*Unable to contact"):
        find_engine("slurm").cancel(tmp_path)


def test_nothing_is_queued_while_the_scheduler_does_not_answer(tmp_path: Path) -> None:
    """What is queued already would be queued a second time."""
    programs = tmp_path / "bin"
    programs.mkdir()
    answers = {"squeue": "echo 'Unable to contact' >&2; exit 1", "scontrol": "echo MaxArraySize = 1001"}
    for name, text in (answers | {"sbatch": f"touch {tmp_path}/queued; echo 1"}).items():
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    variables = environment(tmp_path / "cache") | {"PATH": f"{programs}:{os.environ['PATH']}"}
    done = command((*SMALL, "--methods", "finetune", "--engine", "slurm", "--out", "res"), tmp_path, variables)
    assert done.returncode == 2 and "slurm does not say what is queued there" in done.stderr, done.stderr
    assert not (tmp_path / "queued").exists()


@pytest.mark.usefixtures("package")
def test_tasks_on_another_engine_are_not_given_another_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = Asked(schema=1, engine="slurm", folder="/", requests=({},), launch={}, tasks=())
    write_request(tmp_path, here.model_copy(update={"engine": "batch"}))
    waits: dict[int, Queued] = {0: Queued(False, "pending")}
    monkeypatch.setattr(type(find_engine("batch")), "queued", lambda self, out: waits)
    with pytest.raises(ConfigError, match="1 tasks of another command are queued or running there, on batch"):
        still_queued(tmp_path, here, lambda out: {})
    waits.clear()
    assert still_queued(tmp_path, here, lambda out: {}) == {}
    monkeypatch.setattr(type(find_engine("batch")), "queued", lambda self, out: None)
    for engine in ("batch", "gone"):
        write_request(tmp_path, here.model_copy(update={"engine": engine}))
        with pytest.raises(ConfigError, match=f"{engine} does not say what is queued there; ask where {engine} "):
            still_queued(tmp_path, here, lambda out: {})
    with pytest.raises(ConfigError, match="gone does not say what is queued there; run the same command again"):
        still_queued(tmp_path, here.model_copy(update={"engine": "gone"}), lambda out: None)
