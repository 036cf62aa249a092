"""What engines that queue have in common: what is asked, what of it is to be done, the wait for it, the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from pydantic import TypeAdapter

from benchmark.engines.engine import Queued, Work, find_engine
from benchmark.engines.request import (
    FILE,
    Asked,
    Piece,
    Task,
    cancelled,
    log_of,
    read_request,
    required_request,
    write_request,
)
from benchmark.engines.settings import Chosen, EngineSettings
from benchmark.engines.states import JobState, Looks, counts, in_words
from benchmark.errors import ConfigError, UnknownName
from benchmark.registry.variants import base_name
from benchmark.results.verify import tidy_results
from benchmark.running.job import finished
from benchmark.running.launch import Launch
from benchmark.running.plan import Job
from benchmark.running.setup import Request, Run
from benchmark.running.suite import print_tables
from benchmark.system.claims import claimed

REQUEST, LAUNCH = TypeAdapter(Request), TypeAdapter(Launch)
LOOK = 5.0
"""Seconds between two looks at the jobs."""
ABSENT = 2
"""Looks in a row in which nothing is queued before that is believed."""


def settings_of(chosen: Chosen, method: str | None) -> EngineSettings:
    """The settings of a method's tasks."""
    return cast(EngineSettings, chosen.of(method))


def ask(work: Work, engine: str) -> Asked:
    """The request of a run: the arguments that each task begins with, and the jobs in tasks.

    Which jobs are wanted was decided when a task is queued, so it does all of its own: a later command with another
    choice must not change what it does. Raises ConfigError where a task could not do its jobs.
    """
    for name in (None, *work.chosen.methods):
        require_places(work, settings_of(work.chosen, name).task_gpus, engine)
    gpus = any(settings_of(work.chosen, name).task_gpus for name in (None, *work.chosen.methods))
    requests = [portable(run, gpus, engine) for run in work.ready]
    workers = 1 if work.launch.workers is None else work.launch.workers
    launch = replace(work.launch, workers=workers, which="all")
    tasks = [task for number, run in enumerate(work.ready) for task in tasks_of(number, run.jobs, work.chosen)]
    return Asked(
        schema=1,
        engine=engine,
        settings=work.chosen.common.model_dump(mode="json"),
        folder=str(Path.cwd()),
        requests=tuple(REQUEST.dump_python(request, mode="json") for request in requests),
        launch=LAUNCH.dump_python(launch, mode="json"),
        tensorboard=work.tensorboard,
        tasks=tuple(tasks),
    )


def require_places(work: Work, gpus: int, engine: str) -> None:
    """ConfigError where the ranks of a job have no place in a task with so many GPUs; 0: none that is known of."""
    for run in work.ready:
        ranks = run.jobs[0].suite.train.ranks if run.jobs else 1
        if ranks > 1 and work.launch.workers == 0:
            raise ConfigError(
                f"train.ranks={ranks}: a job of several ranks needs a process of its own, and --jobs 0 allows none. "
                "Leave --jobs out."
            )
        if run.request.device != "cpu" and 0 < gpus < ranks:
            raise ConfigError(
                f"--engine {engine}: train.ranks={ranks} (--ranks-per-job) takes {ranks} GPUs for a job, and a task "
                f"has {gpus}. Add --engine-set gpus={ranks}, or ask for fewer ranks."
            )


def portable(run: Run, gpus: bool, engine: str) -> Request:
    """The arguments with what depends on this machine written out; ConfigError where only the other machine knows.

    `gpus`: whether tasks have some.
    """
    suite = run.request.load()[0]
    precision = run.jobs[0].suite.train.precision if run.jobs else suite.train.precision
    if suite.train.precision == "auto" and gpus and run.device == "cpu":
        raise ConfigError(
            f"--engine {engine} with gpus: train.precision is auto, which the GPU decides, and this machine has none. "
            "Add --set train.precision=bf16 (A100 and later) or --set train.precision=fp32."
        )
    settings = (*run.request.settings, f"train.precision={precision}")
    return replace(run.request, settings=settings, cache=run.request.cache.absolute())


def tasks_of(suite: int, jobs: Sequence[Job], chosen: Chosen) -> list[Task]:
    """The jobs of a suite in tasks of so many trainings; jobs of one training stay together, methods do not mix."""
    trainings: dict[str, list[Job]] = {}
    for job in jobs:
        trainings.setdefault(job.train_key, []).append(job)
    together: dict[str | None, list[list[Job]]] = {}
    for sharing in trainings.values():
        method = sharing[0].method
        together.setdefault(base_name(method.training().name) if method else None, []).append(sharing)
    tasks = []
    for name, groups in together.items():
        settings = settings_of(chosen, name)
        for at in range(0, len(groups), settings.group):
            pieces = tuple(piece(job) for sharing in groups[at : at + settings.group] for job in sharing)
            tasks.append(Task(suite=suite, method=name, threads=settings.cpus, jobs=pieces))
    return tasks


def piece(job: Job) -> Piece:
    """What `status` needs to know of a job."""
    return Piece(
        label=job.label,
        method=job.method.name if job.method else "source",
        domain=job.domain,
        seed=job.seed,
        train_key=job.train_key,
        records=tuple(job.record_keys.values()),
        kimg=job.suite.train.kimg if job.method else 0.0,
    )


@contextmanager
def asking(work: Work, engine: str, queued: Callable[[Path], Mapping[int, Queued] | None]) -> Any:
    """Inside, this command alone hands tasks of the results folder to the engine; the request and the numbers of the
    tasks that are neither stored nor queued. ConfigError where tasks of another command are still queued.
    """
    store = work.ready[0].store
    store.ensure_writable()
    asked, out = ask(work, engine), work.out
    with claimed(out / "locks" / "engine", lambda: work.console.print("another command queues jobs here, waiting")):
        waiting = still_queued(out, asked, queued)
        tidy_results(out)
        prepare_shared(work)
        write_request(out, asked)
        log_of(out, 0).parent.mkdir(parents=True, exist_ok=True)
        cancelled(out).unlink(missing_ok=True)
        states = Looks(out, asked).states(waiting)
        wanting = {state.task for state in states if wanted(state, work.launch.which)} | measured_again(work, asked)
        numbers = sorted(wanting - waiting.keys())
        found = f"{len(states)} jobs in {len(asked.tasks)} tasks, of which {len(numbers)} are to be queued"
        work.console.print(found, markup=False, soft_wrap=True)
        yield asked, numbers


def still_queued(
    out: Path, asked: Asked, queued: Callable[[Path], Mapping[int, Queued] | None]
) -> Mapping[int, Queued]:
    """The tasks of this same work that are queued, by `queued` of its engine.

    ConfigError where tasks of other work are, on whichever engine: they would read this command's request.
    """
    before = read_request(out) if (out / FILE).is_file() else None
    engine = before.engine if before is not None else asked.engine
    waiting = queued(out) if engine == asked.engine else _on_another(engine, out)
    if waiting is None:
        do = (
            "run the same command again later"
            if engine == asked.engine
            else f"ask where {engine} answers, or choose another --out"
        )
        raise ConfigError(f"{out}: {engine} does not say what is queued there; {do}.")
    if before is not None and waiting and not (engine == asked.engine and before.same_work(asked)):
        raise ConfigError(
            f"{out}: {len(waiting)} tasks of another command are queued or running there, on {engine}. Wait for them, "
            f"end them (python -m benchmark cancel {out}), or choose another --out."
        )
    return waiting


def _on_another(engine: str, out: Path) -> Mapping[int, Queued] | None:
    """What is queued on an engine that is not the one of this command; None where it cannot be asked here."""
    try:
        return find_engine(engine).queued(out)
    except (UnknownName, ConfigError):
        return None


def wanted(state: JobState, which: str) -> bool:
    """Whether a job is to be queued: `which` is that of `Launch`."""
    if state.state not in ("lost", "waiting", "failed"):
        return False
    return which == "all" or (state.state == "failed") == (which == "failed")


def measured_again(work: Work, asked: Asked) -> set[int]:
    """Tasks with stored records that lack what can be measured by now; they did not fail, so "failed" wants none."""
    if work.launch.which == "failed":
        return set()
    pairs = ((run, job, key) for run in work.ready for job in run.jobs for key in job.record_keys.values())
    keys = {key for run, job, key in pairs if run.store.has(key) and finished(job, key, run) is None}
    return {number for number, task in enumerate(asked.tasks) for one in task.jobs if keys.intersection(one.records)}


def prepare_shared(work: Work) -> None:
    """Make what tasks would otherwise all begin by making: features of real images; domains and sources are there."""
    for run in work.ready:
        for name in dict.fromkeys(job.domain for job in run.jobs):
            domain = run.domains[name]
            for evaluator in filter(None, (run.evaluator, run.curve_evaluator)):
                evaluator.keep_real(domain.test, domain.digest, domain.train)


def follow(work: Work, queued: Callable[[Path], Mapping[int, Queued] | None]) -> bool:
    """Wait until no task is queued, and say what changes; then write the report. Whether all records are there.

    A command that is stopped or killed here takes nothing with it.
    """
    out, looks, said, absent = work.out, Looks(work.out, required_request(work.out)), "", 0
    work.console.print(
        "waiting for the jobs; Ctrl-C leaves them in the queue, the same command waits again, and "
        f"python -m benchmark cancel {out} ends them",
        markup=False,
        soft_wrap=True,
    )
    while absent < ABSENT:
        waiting = queued(out)
        found = in_words(counts(looks.states(waiting)))
        if found != said:
            work.console.print(found, markup=False, soft_wrap=True)
        said, absent = found, absent + 1 if waiting is not None and not waiting else 0
        time.sleep(LOOK if absent < ABSENT else 0)
    return finish(work)


def finish(work: Work) -> bool:
    """Write and print the report of the records that are there; whether all are, and none failed."""
    store = work.ready[0].store
    keys = [key for run in work.ready for job in run.jobs for key in job.record_keys.values()]
    records = [record for key in keys if (record := store.read(key)) is not None]
    if records:
        print_tables(records, store, work.console)
    if len(records) < len(keys):
        again = f"{len(keys) - len(records)} of {len(keys)} records are missing: see python -m benchmark status"
        work.console.print(f"{again} {work.out}; the same command queues them again", style="red", soft_wrap=True)
    return len(records) == len(keys) and all(record.status == "done" for record in records)
