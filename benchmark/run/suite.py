"""Running of suites: from checked arguments to the exit code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmark.metrics.doctor import examine, verdict
from benchmark.report import rich_table, write_report
from benchmark.report.tables import brief
from benchmark.results import ResultStore, RunRecord
from benchmark.results.verify import tidy_results
from benchmark.run.launch import Launch, run_all
from benchmark.run.setup import Prepared, new_run
from benchmark.run.worker import Order
from benchmark.system.hardware import environment
from benchmark.system.progress import Bars


def run_suites(
    prepared: Sequence[Prepared], out: Path, console: Console, tensorboard: bool = False, launch: Launch | None = None
) -> int:
    """Run all jobs, write tables and pictures, print them; 1 if a job failed, else 0. Default: in this process."""
    store, launch = ResultStore(out), launch or Launch()
    store.ensure_writable()
    if said := tidy_results(out):
        console.print(f"note: {said}", markup=False, highlight=False, soft_wrap=True)
    records: list[RunRecord] = []
    for suite in prepared:
        records += run_suite(suite, out, console, tensorboard, launch)
        if launch.fail_fast and any(r.status != "done" for r in records):
            break
    print_tables(records, store, console)
    return 1 if any(r.status != "done" for r in records) else 0


def run_suite(prepared: Prepared, out: Path, console: Console, tensorboard: bool, launch: Launch) -> list[RunRecord]:
    """The records of a suite's jobs, failed ones included."""
    doctor = verdict(examine(prepared.evaluator))
    if not doctor.passed:
        console.print(
            f"Metric checks failed on this machine; the records will say so: {'; '.join(doctor.failed)}. "
            "See: python -m benchmark doctor",
            style="red",
            markup=False,
            soft_wrap=True,
        )
    facts = environment(prepared.device)

    def order(threads: int) -> Order:
        keys = tuple(next(iter(job.record_keys.values())) for job in prepared.jobs)
        return Order(prepared.request, keys, out, threads, tensorboard, doctor, facts)

    with Bars(console) as bars:
        run = new_run(prepared, out, bars, tensorboard, doctor)
        run.environment = facts
        return run_all(prepared.jobs, run, bars, launch, order)


def print_tables(records: Sequence[RunRecord], store: ResultStore, console: Console) -> None:
    """Write the report of these records, show its tables and say where everything lies."""
    made = write_report(store.out, keys={r.record_key for r in records})
    for section in made.sections:
        console.print(rich_table(section.quality))
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
    places = {"page": store.out / "page.html", "tables": f"{store.out / 'tables.md'} (.tex, .csv)"}
    places |= {"pictures": store.out / "figures", "records": store.records}
    console.print("   ".join(f"{what}: {where}" for what, where in places.items()), soft_wrap=True, markup=False)
