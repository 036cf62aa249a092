"""Jobs in tasks, and tasks in arrays: each training in one task, each task in one array, no index too large."""

from __future__ import annotations

import subprocess
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmark.engines.queueing import tasks_of, wanted
from benchmark.engines.request import Asked, Piece, Task
from benchmark.engines.settings import Chosen
from benchmark.engines.slurm import SlurmSettings, ranges, script, scripts
from benchmark.engines.states import JobState
from benchmark.engines.work import require_same
from benchmark.errors import ConfigError, UnknownName
from benchmark.running.forecast import Unseen
from benchmark.running.plan import Job, plan
from benchmark.suites import load_suite

SETTINGS = SlurmSettings()


def jobs() -> list[Job]:
    suite, methods = load_suite("smoke", (), {"seeds": "0-2"})
    return plan(suite, methods, {name: Unseen(name) for name in suite.domains}, "unseen")


@pytest.mark.parametrize("group", [1, 2, 100])
def test_a_training_belongs_to_one_task_and_methods_do_not_mix(group: int) -> None:
    planned = jobs()
    tasks = tasks_of(0, planned, Chosen(SETTINGS.model_copy(update={"group": group})))
    assert Counter(key for task in tasks for job in task.jobs for key in job.records) == Counter(
        key for job in planned for key in job.record_keys.values()
    )
    owners = Counter(key for task in tasks for key in {job.train_key for job in task.jobs})
    assert set(owners.values()) == {1}
    assert max(len({job.train_key for job in task.jobs}) for task in tasks) == min(group, 6)
    shared = next(task for task in tasks if task.method == "finetune")
    assert {"finetune", "layer_swap", "weight_interpolation"} == {job.method for job in shared.jobs}


def test_a_composition_with_a_variant_has_settings_of_its_own() -> None:
    suite, methods = load_suite("smoke", (), {"methods": ["ewc", "ewc[weight=3]+freezed"], "domains": ["toy-rings"]})
    planned = plan(suite, methods, {"toy-rings": Unseen("toy-rings")}, "unseen")
    long = SETTINGS.model_copy(update={"cpus": 7})
    tasks = tasks_of(0, planned, Chosen(SETTINGS, {"ewc": long}))
    assert [(task.method, task.threads) for task in tasks] == [(None, None), ("ewc", 7), ("ewc+freezed", None)]


def test_a_task_is_done_only_where_the_same_jobs_are_planned() -> None:
    planned = jobs()
    task = tasks_of(0, planned, Chosen(SETTINGS))[0]
    require_same(task, [job for job in planned if job.train_key == task.jobs[0].train_key])
    for others in ([], planned[1:2], planned[:2]):
        with pytest.raises(ConfigError, match="plans other records than the machine that queued this task"):
            require_same(task, others)


def test_each_task_is_in_one_array_of_its_settings_and_below_the_limit() -> None:
    long = SETTINGS.model_copy(update={"time": "2-00"})
    tasks = [Task(suite=0, method=["cdc", "ewc"][n % 2], jobs=()) for n in range(25)]
    asked: Any = SimpleNamespace(tasks=tasks)
    work: Any = SimpleNamespace(out=Path("/out"), chosen=Chosen(SETTINGS, {"cdc": long}))
    found = []
    for base, text in scripts(work, asked, [n for n in range(25) if n != 7], limit=10):
        (line,) = [line for line in text.splitlines() if line.startswith("#SBATCH --array=")]
        spans = [part.partition("-") for part in line.partition("=")[2].split(",")]
        numbers = [n for first, _, last in spans for n in range(int(first), int(last or first) + 1)]
        assert max(numbers) < 10
        assert {(base + n) % 2 for n in numbers} == ({0} if "--time=2-00" in text else {1})
        found += [base + n for n in numbers]
    assert sorted(found) == [n for n in range(25) if n != 7]
    assert ranges([7, 0, 1, 3, 2]) == "0-3,7"


def test_a_script_is_one_that_bash_understands_whatever_the_folder_is_called(tmp_path: Path) -> None:
    out = tmp_path / "it's 50% $HOME"
    settings = SETTINGS.model_copy(update={"setup": ("module load cuda",), "gpus": 2, "memory_gb": 1.5, "cpus": 4})
    text = script(out, 0, [0, 1], settings.model_copy(update={"at_once": 5}))
    assert subprocess.run(["bash", "-n"], input=text, text=True, check=False).returncode == 0
    assert {"#SBATCH --array=0-1%5", "#SBATCH --gpus=2", "#SBATCH --mem=1536M", "#SBATCH --cpus-per-task=4"} <= set(
        text.splitlines()
    )
    assert "50%%" in next(line for line in text.splitlines() if "--output" in line)
    lines = text.splitlines()
    assert lines.index("module load cuda") < next(n for n, line in enumerate(lines) if line.startswith("srun "))
    assert "requeue" not in script(out, 0, [0], settings.model_copy(update={"requeue": 0})).replace("--no-requeue", "")


def test_which_jobs_are_queued() -> None:
    states = {name: JobState("a", "b", 0, name) for name in ("stored", "running", "queued", "failed", "lost")}
    assert [name for name, state in states.items() if wanted(state, "all")] == ["failed", "lost"]
    assert [name for name, state in states.items() if wanted(state, "failed")] == ["failed"]
    assert [name for name, state in states.items() if wanted(state, "missing")] == ["lost"]


def test_a_request_comes_back_from_its_file_and_finds_jobs_by_any_key() -> None:
    tasks = tuple(tasks_of(0, jobs(), Chosen(SETTINGS)))
    asked = Asked(schema=1, engine="slurm", folder="/", requests=({"a": 1},), launch={}, tasks=tasks)
    assert Asked.model_validate_json(asked.model_dump_json(by_alias=True)) == asked
    piece: Piece = tasks[3].jobs[-1]
    assert (3, piece) in asked.find(piece.train_key[:10]) and asked.find(piece.records[0]) == [(3, piece)]
    with pytest.raises(UnknownName):
        asked.find("")
