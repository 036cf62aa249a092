"""How jobs are started: one after the other in this process. A job that fails costs its own cells, not the run."""

from __future__ import annotations

import traceback
from collections.abc import Sequence

from benchmark.errors import BenchmarkError
from benchmark.plan import Job
from benchmark.results import RunRecord, Timing
from benchmark.run import Run
from benchmark.runner import ZeroStep, make_record, run_job


def run_all(jobs: Sequence[Job], run: Run) -> list[RunRecord]:
    """Records of all jobs, failed ones included."""
    records = []
    todo = [sum(run.store.has(key) is None for key in job.record_keys.values()) for job in jobs]
    stored = sum(len(job.record_keys) for job in jobs) - sum(todo)
    run.bars.say(f"{len(jobs)} jobs, {sum(todo)} records to make" + (f", {stored} stored already" if stored else ""))
    run.bars.jobs(sizes(jobs, todo))
    for job in jobs:
        try:
            records += run_job(job, run)
        except Exception as error:  # whatever a method does must not take down the others
            records += failed(job, run, error)
        run.bars.job_done()
    return records


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


def failed(job: Job, run: Run, error: Exception) -> list[RunRecord]:
    """Failed records for the controls that have none yet; the traceback of an unexpected error goes to the log."""
    reason = " ".join((str(error) if isinstance(error, BenchmarkError) else f"{type(error).__name__}: {error}").split())
    if not isinstance(error, BenchmarkError):
        log = run.store.out / "logs" / f"{job.train_key}.error.txt"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("".join(traceback.format_exception(error)))
        reason += f" (traceback in logs/{log.name})"
    run.bars.say(f"FAILED {job.label}: {reason}")
    method = job.method or ZeroStep()
    records = []
    for control, key in job.record_keys.items():
        done = run.store.has(key)
        if done is None:
            done = make_record(job, control, method, run, {}, Timing(), failure=reason)
            run.store.write(done)
        records.append(done)
    return records
