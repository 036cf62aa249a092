"""What a request asks of tasks: all of their jobs, whoever asks for which later, and nothing that a task cannot do."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.console import Console

from benchmark.engines.engine import Queued
from benchmark.engines.engine import Work as Asking
from benchmark.engines.queueing import ask, asking, portable
from benchmark.engines.settings import Chosen, EngineSettings
from benchmark.engines.slurm import SlurmSettings
from benchmark.engines.work import work
from benchmark.errors import ConfigError
from benchmark.results import ResultStore
from benchmark.running.launch import Launch
from benchmark.running.setup import Request, Run, prepare
from benchmark.running.supervisor import Limits

QUIET = Console(quiet=True)
TINY = ("train.kimg=0.016", "eval.samples=8", "eval.pairs=4", "eval.metrics=[kid_randconv]")
LAUNCH, PLAIN = Launch(1), EngineSettings()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("asked")
    overrides = {"domains": ["toy-rings"], "methods": ["finetune"]}
    return prepare(Request("smoke", TINY, overrides, "cpu", folder / "cache", 1), folder / "out", QUIET)


def asked_of(run: Run, launch: Launch = LAUNCH, settings: EngineSettings = PLAIN, board: bool = False) -> Asking:
    return Asking([run], QUIET, launch, board, Chosen(settings))


def with_train(run: Run, **change: object) -> Run:
    """The run with other settings of the training."""
    suite = run.jobs[0].suite
    changed = suite.model_copy(update={"train": suite.train.model_copy(update=change)})
    return replace(run, jobs=[replace(job, suite=changed) for job in run.jobs])


def test_a_task_that_is_queued_does_its_jobs_whatever_a_later_command_chooses(
    prepared: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = prepared.store.out
    monkeypatch.chdir(out.parent)
    monkeypatch.syspath_prepend(str(out.parent))
    with asking(asked_of(prepared), "slurm", lambda folder: {}) as (_, numbers):
        assert numbers == [0, 1]
    waiting = dict.fromkeys(numbers, Queued(False, "pending"))
    for which in ("failed", "missing"):
        with asking(asked_of(prepared, replace(LAUNCH, which=which)), "slurm", lambda folder: waiting) as (_, more):  # type: ignore[arg-type]
            assert more == []
        assert work(out, 0, QUIET), f"after a command that wanted {which} jobs"
    assert [record.status for record in ResultStore(out).read_all()[0]] == ["done"]


@pytest.mark.parametrize(
    ("launch", "board"), [(replace(LAUNCH, limits=Limits(60.0)), False), (Launch(2), False), (LAUNCH, True)]
)
def test_queued_tasks_are_not_given_other_limits(prepared: Run, launch: Launch, board: bool) -> None:
    waits = {0: Queued(False, "pending")}
    with asking(asked_of(prepared), "slurm", lambda folder: {}):
        pass
    with (
        pytest.raises(ConfigError, match="1 tasks of another command"),
        asking(asked_of(prepared, launch, board=board), "slurm", lambda folder: waits),
    ):
        pytest.fail("the request was replaced")


@pytest.mark.parametrize(
    ("settings", "gpus"),
    [
        ({}, 0),
        ({"gpus": 2}, 2),
        ({"gres": "gpu"}, 1),
        ({"gres": "gpu:a100:4(S:0),license:9"}, 4),
        ({"gres": "shard:8"}, 1),
        ({"gres": "license:2"}, 0),
        ({"extra": ("--exclusive", "--gpus-per-node=a100:2")}, 2),
        ({"extra": ("--gres=gpu:3",)}, 3),
    ],
)
def test_a_task_has_the_gpus_that_any_setting_asks_for(prepared: Run, settings: dict[str, object], gpus: int) -> None:
    found = SlurmSettings.model_validate(settings)
    assert found.task_gpus == gpus
    undecided = replace(prepared, request=replace(prepared.request, settings=(*TINY, "train.precision=auto")))
    if gpus:
        with pytest.raises(ConfigError, match=r"slurm with gpus: train\.precision is auto"):
            ask(asked_of(undecided, settings=found), "slurm")
    else:
        assert portable(undecided, False, "slurm").settings[-1].startswith("train.precision=")


def test_ranks_that_have_no_place_in_a_task_are_refused_before_it_is_queued(prepared: Run) -> None:
    ranks = with_train(prepared, ranks=4)
    anywhere = replace(ranks, request=replace(ranks.request, device="auto"))
    with pytest.raises(ConfigError, match=r"takes 4 GPUs for a job, and a task has 1\. Add --engine-set gpus=4"):
        ask(asked_of(anywhere, settings=EngineSettings(gpus=1)), "slurm")
    with pytest.raises(ConfigError, match=r"--jobs 0 allows none"):
        ask(asked_of(anywhere, Launch(0)), "slurm")
    for fitting in (EngineSettings(gpus=4), EngineSettings()):
        assert len(ask(asked_of(anywhere, settings=fitting), "slurm").tasks) == 2
    assert ask(asked_of(ranks, settings=EngineSettings(gpus=1)), "slurm").tasks, "ranks on the CPU"


def test_limits_need_a_process_that_can_be_ended() -> None:
    for limits in (Limits(seconds=60), Limits(memory_mb=1024)):
        with pytest.raises(ConfigError, match=r"--jobs 0: .* Give --jobs 1, or leave the limits out"):
            Launch(0, limits)
        assert Launch(1, limits).limits == limits
