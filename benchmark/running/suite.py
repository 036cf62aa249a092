"""Running of suites: from checked arguments to the exit code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from benchmark.metrics.doctor import examine, verdict
from benchmark.results import ResultStore, RunRecord
from benchmark.results.verify import tidy_results
from benchmark.running.launch import Launch, run_all
from benchmark.running.order import Order, keys_of
from benchmark.running.setup import Run
from benchmark.system.devices import GPU, Seat
from benchmark.system.hardware import environment
from benchmark.system.progress import Bars
from benchmark.training.determinism import require_pinned


def run_suites(
    runs: Sequence[Run], console: Console, tensorboard: bool = False, launch: Launch | None = None
) -> list[RunRecord]:
    """Run all jobs, write tables and pictures, print them; the records, failed ones included.

    The suites share one results folder. By default everything happens in this process. Raises ConfigError where a
    training cannot have the arithmetic that its suite asks for.
    """
    store, launch = runs[0].store, launch or Launch()
    for run in runs:
        if run.jobs and run.jobs[0].suite.train.deterministic and any(job.method for job in run.jobs):
            require_pinned(run.device)
    store.ensure_writable()
    if said := tidy_results(store.out):
        console.print(f"note: {said}", markup=False, highlight=False, soft_wrap=True)
    records: list[RunRecord] = []
    for run in runs:
        records += run_suite(run, console, tensorboard, launch)
        if launch.fail_fast and any(r.status != "done" for r in records):
            break
    print_tables(records, store, console)
    return records


def run_suite(run: Run, console: Console, tensorboard: bool, launch: Launch) -> list[RunRecord]:
    """The records of a suite's jobs, failed ones included."""
    doctor = verdict(examine(run.evaluator))
    if not doctor.passed:
        console.print(
            f"Metric checks failed on this machine; the records will say so: {'; '.join(doctor.failed)}. "
            "See: python -m benchmark doctor",
            style="red",
            markup=False,
            soft_wrap=True,
        )
    facts = environment(run.device)

    def order(seats: tuple[Seat, ...]) -> Order:
        inside = GPU if seats[0].gpus else run.device
        return Order(run.request, keys_of(run.jobs), run.store.out, seats, tensorboard, doctor, facts, inside)

    with Bars(console) as bars:
        equipped = replace(run, bars=bars, tensorboard=tensorboard, doctor=doctor, environment=facts)
        return run_all(equipped, bars, launch, order)


def print_tables(records: Sequence[RunRecord], store: ResultStore, console: Console) -> None:
    """Write the report of these records, show its tables and say where everything lies."""
    from benchmark.report import summary, write_report  # pandas, scipy: for a report only
    from benchmark.report.tables.table import brief

    made = write_report(store.out, keys={r.record_key for r in records})
    for section in made.sections:
        console.print(summary(section), markup=False, highlight=False, soft_wrap=True)
    for problem in made.problems:
        console.print(f"note: {problem}", markup=False, soft_wrap=True)
    failed = [r for r in records if r.status != "done"]
    if failed:
        console.print(
            f"{len(failed)} of {len(records)} records failed; the same command tries them again:", style="red"
        )
    for r in failed:
        what = (
            f"{r.method} on {r.domain}, seed {r.seed}{'' if r.control is None else f', {r.control_name} {r.control}'}"
        )
        console.print(f"  {what}: {r.status}: {brief(r.reason)}", markup=False, highlight=False, soft_wrap=True)
    out = store.out.relative_to(Path.cwd()) if store.out.is_relative_to(Path.cwd()) else store.out
    places = {"page": out / "page.html", "tables": f"{out / 'tables.md'} (.tex, .csv)"}
    places |= {"pictures": out / "figures", "records": out / "records"}
    console.print("   ".join(f"{what}: {where}" for what, where in places.items()), soft_wrap=True, markup=False)
