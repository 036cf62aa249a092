"""A batch for which the device is too small: the weights say in how many parts they were trained, the records too."""

from __future__ import annotations

import weakref
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import Tensor

from benchmark.api import Control, Extra, Generator, GeneratorStep, Method
from benchmark.running import job as job_module
from benchmark.running.plan import Job, make_job
from benchmark.running.setup import Request, Run, prepare
from benchmark.running.weights import weights_path
from benchmark.running.worker import attempt
from benchmark.stylegan2.weights import read_tensors, write_tensors

QUICK = ("train.kimg=0.016", "train.batch=8", "eval.samples=8", "eval.pairs=4", "eval.metrics=[kid_randconv]")
NOTE = "out of memory: train.accumulate=2 instead of the planned value"


class TooLarge(Method):
    """Eight images are too many at a time."""

    name = "too_large"

    def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
        if len(step.z) > 4:
            raise torch.OutOfMemoryError("eight images")
        return {}


class Holds(Method):
    """Its first attempt holds something when the device turns out to be too small."""

    name = "holds"

    def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
        large = Extra()
        held.append(weakref.ref(large))
        if len(step.z) > 4:
            raise torch.OutOfMemoryError("eight images")
        left.append(held[0]() is not None)
        return {}


held: list[weakref.ref[Extra]] = []
left: list[bool] = []


class Shares(Method):
    """Evaluates that training."""

    name = "shares"

    def training(self) -> Method:
        return TooLarge()


class Crowded(Method):
    """The device is too small once, for what is made of the weights."""

    name = "crowded"

    def finalize(self, source: Generator, adapted: Generator, control: Control) -> Generator:
        if not full:
            full.append(True)
            raise torch.OutOfMemoryError("another process was here")
        return adapted


full: list[bool] = []


@pytest.fixture
def run(tmp_path: Path) -> Run:
    full.clear()
    request = Request("smoke", QUICK, {"domains": ["toy-rings"], "methods": ["finetune"]}, "cpu", tmp_path / "cache", 1)
    return prepare(request, tmp_path / "out", Console(quiet=True))


def job_of(run: Run, method: Method) -> Job:
    return make_job(run.jobs[0].suite, method, run.domains["toy-rings"], 0, "sha")


def notes(run: Run, job: Job) -> list[str]:
    (record,) = [run.store.has(key) for key in job.record_keys.values()]
    assert record is not None
    return [note for note in record.notes if "out of memory" in note]


def test_all_records_of_such_weights_say_so(run: Run) -> None:
    one, two = job_of(run, TooLarge()), job_of(run, Shares())
    assert one.train_key == two.train_key
    assert attempt(one, run) == attempt(two, run) == ("done",)
    assert notes(run, one) == notes(run, two) == [NOTE]


def test_the_second_attempt_begins_when_the_first_has_let_go(run: Run) -> None:
    assert attempt(job_of(run, Holds()), run) == ("done",)
    assert left and not any(left)


def test_so_does_one_that_is_made_after_a_kill(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    job = job_of(run, TooLarge())
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(job_module, "counted", killed)
        attempt(job, run)
    assert attempt(job, run) == ("done",) and notes(run, job) == [NOTE]


def killed(*arguments: object) -> None:
    raise KeyboardInterrupt


def test_weights_that_were_trained_as_planned_are_not_blamed(run: Run) -> None:
    job = job_of(run, Crowded())
    assert attempt(job, run) == ("done",) and full and notes(run, job) == []


def test_weights_of_earlier_versions_are_taken_as_planned(run: Run) -> None:
    job = job_of(run, TooLarge())
    assert attempt(replace(job, parts=2), run) == ("done",)
    path = weights_path(run.store.out, job.train_key)
    tensors, meta = read_tensors(path)
    del meta["accumulate"], meta["schema"]
    write_tensors(path, tensors, meta)
    for file in (*run.store.records.iterdir(), *(run.store.out / "hashes").iterdir()):
        file.unlink()
    assert attempt(job, run) == ("done",) and notes(run, job) == []
