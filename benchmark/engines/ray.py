"""The engine `ray`: tasks of a Ray cluster, for machines without Slurm and for the cloud.

Each task of Ray starts `python -m benchmark work` in a process of its own and waits for it, so that a job hears SIGTERM
as it does elsewhere, and saves. Tasks live as long as the command that asked for them: the driver holds a claim, and
`<out>/engine/ray.json` says which tasks it still has to do.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, cast

from pydantic import Field

import benchmark
from benchmark.config import Settings
from benchmark.engines.engine import Queued, Work
from benchmark.engines.request import Asked, cancelled, log_of, mark_cancelled
from benchmark.engines.settings import EngineSettings, Word
from benchmark.errors import ConfigError, as_line
from benchmark.system.claims import claimed, holder
from benchmark.system.files import write_atomic
from benchmark.system.folder import Folder
from benchmark.system.processes import die_with_parent
from benchmark.system.signals import stoppable

LOOK = 2.0
"""Seconds between two looks for a cancellation."""
GRACE = 40.0
"""Seconds that a job has to end its step and save."""
STOPPED = 128 + signal.SIGTERM
"""Exit code of a job that was stopped and saved."""
HANDED = ("PATH", "LD_LIBRARY_PATH")
"""Variables of the command that its tasks get, beside PYTHONPATH, BENCHMARK_*, OMP_* and GOMP_*."""


class RaySettings(EngineSettings):
    """What a task asks Ray for."""

    address: Word | None = Field(None, description="of the cluster, or auto; without, Ray starts on this machine")


class TaskStopped(RuntimeError):
    """A task that was stopped and saved: Ray does it again."""


class Ray:
    """The driver."""

    settings: type[Settings] = RaySettings

    def preview(self, work: Work) -> str:
        """The tasks and what each asks for."""
        from benchmark.engines.queueing import ask

        asked = ask(work, "ray")
        lines = [f"{len(asked.tasks)} tasks of Ray:"]
        for number, task in enumerate(asked.tasks):
            wants = ", ".join(f"{name}={value:g}" for name, value in resources(settings_of(work, task.method)).items())
            jobs = "; ".join(job.label for job in task.jobs)
            lines.append(f"python -m benchmark work {work.out} {number}  # {wants}: {jobs}")
        return "\n".join(lines)

    def run(self, work: Work) -> bool:
        """Do what is neither stored nor another driver's; then the report."""
        from benchmark.engines.queueing import asking, finish, follow

        try:
            import ray
        except ImportError:
            raise ConfigError("--engine ray: the package ray is not installed. Run: pip install '.[ray]'") from None
        if work.detach:
            raise ConfigError(
                "--detach: Ray ends tasks with the command that asked for them. Let Ray keep the command: "
                "ray job submit -- python -m benchmark run --engine ray ..."
            )
        with ExitStack() as until_done:
            with asking(work, "ray", self.queued) as (asked, numbers):
                others = self.queued(work.out)
                if not others:
                    until_done.enter_context(claimed(work.out / "locks" / "driver"))
            if others:
                return follow(work, self.queued)
            if numbers:
                begin(ray, settings_of(work, None).address)
                until_done.callback(ray.shutdown)
                until_done.enter_context(stoppable())  # Ray takes SIGTERM for itself
                drive(ray, work, asked, numbers)
        return finish(work)

    def queued(self, out: Path) -> Mapping[int, Queued] | None:
        """The tasks that a living driver still has to do."""
        held = holder(out / "locks" / "driver")
        if held is None or held[1]:
            return {}
        with suppress(OSError, ValueError):
            numbers = json.loads(Folder(out).read("engine/ray.json", 1 << 26))
            return {int(number): Queued(False, f"the driver on {held[0].node} has it") for number in numbers}
        return {}

    def cancel(self, out: Path) -> str:
        """Tell the driver, wherever it runs, by a file."""
        if not self.queued(out):
            return "nothing is queued"
        mark_cancelled(out)
        return f"the driver ends its tasks within {LOOK:g} seconds; jobs that run save first"


def settings_of(work: Work, method: str | None) -> RaySettings:
    """Those of a method's tasks."""
    return cast(RaySettings, work.chosen.of(method))


def begin(ray: Any, address: str | None) -> None:
    """Connect, or start Ray here; ConfigError with Ray's own words."""
    try:
        own = {"env_vars": {"PYTHONPATH": variables()["PYTHONPATH"]}}  # where Ray's processes find `do_task`
        ray.init(address=address, log_to_driver=False, runtime_env=own)
    except Exception as error:
        why = " ".join(str(error).split())
        raise ConfigError(f"--engine ray: no Ray at {address or 'this machine'} ({why[:300]}).") from None


def drive(ray: Any, work: Work, asked: Asked, numbers: Sequence[int]) -> None:
    """Hand the tasks to Ray, `at_once` at a time, until none is left or somebody cancels."""
    task = ray.remote(do_task)
    waiting, doing = list(numbers), dict[Any, int]()
    most = settings_of(work, None).at_once or len(waiting)
    try:
        while (waiting or doing) and not cancelled(work.out).exists():
            while waiting and len(doing) < most:
                number = waiting.pop(0)
                settings = settings_of(work, asked.tasks[number].method)
                options = resources(settings) | {"max_retries": settings.requeue, "retry_exceptions": [TaskStopped]}
                doing[task.options(**options).remote(str(work.out), number, asked.folder, variables())] = number
            write_atomic(work.out / "engine" / "ray.json", json.dumps(sorted([*waiting, *doing.values()])).encode())
            ended, _ = ray.wait(list(doing), num_returns=1, timeout=LOOK)
            for reference in ended:
                number = doing.pop(reference)
                try:
                    said = f"exit code {ray.get(reference)}"
                except Exception as error:  # a node or a process of Ray that died too often
                    said = as_line(error)[:300]
                left = f"{len(waiting) + len(doing)} tasks left"
                work.console.print(f"task {number}: {said}; {left}", markup=False, soft_wrap=True)
    finally:
        for reference in doing:
            ray.cancel(reference, recursive=False)
        if doing:
            ray.wait(list(doing), num_returns=len(doing), timeout=GRACE)
        (work.out / "engine" / "ray.json").unlink(missing_ok=True)


def do_task(out: str, number: int, folder: str, variables: dict[str, str]) -> int:
    """What a process of Ray does: start the work and wait for it; its exit code. TaskStopped where that was stopped."""
    log, parent = log_of(Path(out), number), os.getpid()
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as said:
        child = subprocess.Popen(
            [sys.executable, "-m", "benchmark", "work", out, str(number)],
            cwd=folder,
            env=os.environ | variables,
            stdout=said,
            stderr=said,
            preexec_fn=lambda: die_with_parent(parent, signal.SIGTERM),
        )
        try:
            code = child.wait()
        except BaseException:  # somebody cancels
            child.terminate()
            with suppress(subprocess.TimeoutExpired):
                child.wait(GRACE)
            child.kill()
            raise
    if code == STOPPED and not cancelled(Path(out)).exists():
        raise TaskStopped(f"task {number} was stopped")
    return code


def variables() -> dict[str, str]:
    """Of the environment, what tasks need."""
    own = {name: value for name, value in os.environ.items() if name.startswith(("BENCHMARK_", "OMP_", "GOMP_"))}
    path = os.pathsep.join(filter(None, [str(Path(benchmark.__file__).parents[1]), os.environ.get("PYTHONPATH")]))
    return own | {name: os.environ[name] for name in HANDED if name in os.environ} | {"PYTHONPATH": path}


def resources(settings: RaySettings) -> dict[str, float]:
    """What a task asks for, in Ray's words."""
    memory = {} if settings.memory_gb is None else {"memory": round(settings.memory_gb * 2**30)}
    return {"num_cpus": settings.cpus or 1, "num_gpus": settings.gpus or 0, **memory}


ENGINE = Ray()
