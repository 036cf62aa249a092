"""The launcher: starts jobs, here or in worker processes; a job that fails costs its own cells, not the run."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

import psutil
import torch

from benchmark.config import Suite
from benchmark.errors import BenchmarkError, ConfigError
from benchmark.results import RunRecord, Timing
from benchmark.results.reals import set_damaged_aside
from benchmark.running.job import finished, keep_reals, lacks, run_job
from benchmark.running.make_record import ZeroStep, make_record
from benchmark.running.order import Order
from benchmark.running.plan import Job
from benchmark.running.setup import Run, usable_device
from benchmark.running.supervisor import Limits, Supervisor
from benchmark.running.weights import are_there
from benchmark.running.worker import failure
from benchmark.stylegan2.weights import digest_of
from benchmark.system.claims import claimed
from benchmark.system.devices import Seat, chosen_gpus, cpu_seats, gpu_seats, visible_gpus
from benchmark.system.process_state import ProcessState
from benchmark.system.progress import Bars

Which = Literal["all", "missing", "failed"]
"""Jobs that have no finished record: all of them, those never tried, or those that failed."""
MOST_WORKERS = 4
WORKER_BYTES = 3 << 30
"""Memory to reserve for each process if their number is not given."""


@dataclass(frozen=True)
class Launch:
    """How jobs are started."""

    workers: int | None = 0
    """Processes side by side; 0: no other process than this one; None: as many as suit the device."""
    limits: Limits = field(default_factory=Limits)
    fail_fast: bool = False
    gpus: tuple[str, ...] | None = None
    """Those that --devices names, one worker for each job's share of them; None: it names none."""
    which: Which = "all"

    def __post_init__(self) -> None:
        """ConfigError where nobody would keep to the limits: a process cannot end itself and go on."""
        if self.workers == 0 and self.limits != Limits():
            raise ConfigError(
                "--jobs 0: the jobs are done in this process, so --time-limit and --memory-limit could end none of "
                "them. Give --jobs 1, or leave the limits out."
            )


def run_all(run: Run, bars: Bars, launch: Launch, order: Callable[[tuple[Seat, ...]], Order]) -> list[RunRecord]:
    """Records of all jobs, failed ones included; `order` is what to tell workers that have these seats."""
    store, jobs = run.store, run.jobs
    todo = [sum(finished(job, key, run) is None for key in job.record_keys.values()) for job in jobs]
    stored = sum(len(job.record_keys) for job in jobs) - sum(todo)
    changed = [key for job in jobs for key in job.record_keys.values() if store.changed(key)]
    there = {key: record for job in jobs for key in job.record_keys.values() if (record := store.has(key))}
    for record in there.values():
        store.note_hashes(record)
    if damaged := set_damaged_aside(store.out):
        for line in damaged:
            bars.say(line)
        for job in jobs:
            if job.method is None:
                keep_reals(job, run)
    if changed:
        bars.say(f"{len(changed)} records are not what was stored and are made again: {', '.join(changed[:3])}")
    for line in measured_since(run, there):
        bars.say(line)
    bars.say(f"{len(jobs)} jobs, {sum(todo)} records to make" + (f", {stored} stored already" if stored else ""))
    bars.jobs(sizes(jobs, todo))

    failures: dict[str, RunRecord] = {}

    def fail(number: int, status: str, reason: str) -> None:
        failures.update(store_failure(jobs[number], run, status, reason))

    def stored_all(number: int) -> bool:
        return all(store.has(key) for key in jobs[number].record_keys.values())

    chosen = [n for n, job in enumerate(jobs) if todo[n] and wanted(job, run, launch.which)]
    for number in set(range(len(jobs))) - set(chosen):
        bars.job_done(number)
    if chosen and launch.workers != 0:
        seats = seats_for(jobs[0].suite.train.ranks, run.request.device, launch, len(chosen))
        supervisor = Supervisor(jobs, order(seats), launch.limits, bars, fail, stored_all, launch.fail_fast)
        supervisor.waiting = chosen
        supervisor.do()
    else:
        here(run, chosen, bars, fail, launch.fail_fast)
    keys = [(job, key) for job in jobs for key in job.record_keys.values()]
    return [
        r for job, key in keys if (r := finished(job, key, run) or failures.get(key) or store.read(key)) is not None
    ]


def measured_since(run: Run, there: Mapping[str, RunRecord]) -> list[str]:
    """Lines about stored records, by key, that lack what can be measured now: those that are measured again, and those
    that stay.
    """
    again, stay, metrics = list[str](), list[str](), dict[str, None]()
    for job in run.jobs:
        for key in job.record_keys.values():
            record = there.get(key)
            if record and (lacking := lacks(record, run)):
                (again if are_there(job, run) else stay).append(key)
                metrics |= dict.fromkeys(lacking)
    what, lines = ", ".join(metrics), []
    if again:
        lines.append(f"{len(again)} records are measured again: what {what} needs was not here before, and now is")
    if stay:
        lines.append(
            f"{len(stay)} records stay without {what}, which could be measured now: their weights are no longer in "
            f"checkpoints/. To train and measure them anew, remove the records: records/{stay[0]}.json"
            f"{' and so on' if len(stay) > 1 else ''}"
        )
    return lines


def here(
    run: Run,
    chosen: Sequence[int],
    bars: Bars,
    fail: Callable[[int, str, str], None],
    fail_fast: bool,
) -> None:
    """One after the other in this process. What a method changes of it is put back, as far as it can be seen."""
    source, state = {name: t.clone() for name, t in run.nets.state_dict().items()}, ProcessState()
    digest = digest_of(source)
    for number in chosen:
        try:
            run_job(run.jobs[number], run)
        except Exception as error:  # whatever a method does must not take down the others
            _, status, reason = failure(error)
            fail(number, status, reason + traceback_note(run.jobs[number], run, error))
            if fail_fast:
                return
        finally:
            if digest_of(run.nets.state_dict()) != digest:
                run.nets.load_state_dict(source)
                forget(run)
            if said := state.restore():
                forget(run)
                bars.say(f"{run.jobs[number].label}: changed {', '.join(said[:3])} of this process; put back")
        bars.job_done(number)


def forget(run: Run) -> None:
    """What was drawn and computed while the process may have been another is made again when it is asked for."""
    run.samplers.clear()
    run.inverted.clear()
    for evaluator in filter(None, (run.evaluator, run.curve_evaluator)):
        evaluator.forget_maps()


def wanted(job: Job, run: Run, which: str) -> bool:
    """Whether a job with records to make is among those asked for."""
    tried = any(run.store.read(key) is not None for key in job.record_keys.values() if run.store.has(key) is None)
    return which == "all" or tried == (which == "failed")


def placed(device: str | None, devices: str | None, workers: int | None) -> tuple[str, tuple[str, ...] | None]:
    """From --device, --devices and --jobs: the device of this process, and the GPUs that --devices names.

    Raises ConfigError where they contradict each other or the machine.
    """
    if devices is None:
        return device or "auto", None
    for option, value in (("--device", device), ("--jobs", workers)):
        if value is not None:
            raise ConfigError(
                f"--devices {devices} says where jobs run and how many at a time, and so does {option} {value}: "
                "give one of them."
            )
    there = visible_gpus()
    gpus = chosen_gpus(devices, there)
    return (f"cuda:{there.index(gpus[0])}" if gpus else "cpu"), gpus or None


def require_seats(suites: Iterable[Suite], device: str, launch: Launch) -> None:
    """ConfigError where the machine has not what the jobs of these suites are to have."""
    usable_device(device)
    for suite in suites:
        seats_for(suite.train.ranks, device, launch)


def seats_for(ranks: int, device: str, launch: Launch, most: int = sys.maxsize) -> tuple[Seat, ...]:
    """What each worker is given, for at most so many of them: `ranks` GPUs, or a share of the CPU's threads.

    On `device` "auto" further workers take further GPUs, on "cuda:N" all take that one. Raises ConfigError where jobs
    of so many ranks cannot be placed.
    """
    if ranks > 1 and launch.workers == 0:
        raise ConfigError(
            f"train.ranks={ranks}: a job of several ranks needs a process of its own, and --jobs 0 allows none. From "
            "Python, give jobs=1 or more."
        )
    threads = torch.get_num_threads()
    if launch.gpus:
        return gpu_seats(launch.gpus[: most * ranks], ranks, threads)
    found = visible_gpus() if device == "auto" or device.startswith("cuda") else ()
    if not found:
        return cpu_seats(min(most, launch.workers or workers_for(ranks)), threads)
    if device != "auto":
        found = (found[int(device[5:] or 0)],)
    return gpu_seats(found, ranks, threads, min(most, launch.workers or 1))


def workers_for(ranks: int) -> int:
    """How many jobs of so many ranks a CPU does side by side: small networks use one core well and several badly."""
    fit = int(psutil.virtual_memory().available // WORKER_BYTES)
    return max(1, min(torch.get_num_threads(), MOST_WORKERS, fit) // ranks)


def sizes(jobs: Sequence[Job], todo: Sequence[int]) -> list[float]:
    """Images that each job trains on and evaluates; `todo` are the records it has to make. Both take about as long."""
    trained: set[str] = set()
    found = []
    for job, records in zip(jobs, todo, strict=True):
        trains = records > 0 and job.method is not None and job.train_key not in trained
        trained |= {job.train_key} if trains else set()
        curve = job.suite.eval.curve_samples if job.suite.eval.moment_metrics and job.method and records else 0
        points = curve * (1 + len(job.suite.train.snapshot_kimg))
        found.append(records * job.suite.eval.samples + points + (job.suite.train.kimg * 1000 if trains else 0.0))
    return found


def traceback_note(job: Job, run: Run, error: Exception) -> str:
    """The traceback of an unexpected error goes to a file; this says to which."""
    if isinstance(error, BenchmarkError):
        return ""
    name = f"logs/{job.train_key}.error.txt"
    run.store.folder.write(name, "".join(traceback.format_exception(error)).encode("utf-8", "backslashreplace"))
    return f" (traceback in {name})"


class Held(Exception):
    """Another process does the job."""


def store_failure(job: Job, run: Run, status: str, reason: str) -> dict[str, RunRecord]:
    """By key, records that say why, for the controls that were to be made. A finished record stays, and nothing is
    stored while another process does the job.
    """
    run.bars.say(f"{status.upper()} {job.label}: {reason}")
    method, failure = job.method or ZeroStep(), (status, reason)
    todo = {key: control for control, key in job.record_keys.items() if finished(job, key, run) is None}
    made = {key: make_record(job, at, method, run, {}, Timing(), failure=failure) for key, at in todo.items()}

    def held() -> None:
        raise Held

    with suppress(Held), claimed(run.store.out / "locks" / next(iter(job.record_keys.values())), held):
        for key, record in made.items():
            if run.store.has(key) is None:
                run.store.write(record)
    return made
