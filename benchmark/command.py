"""What `run` does between its arguments and its exit code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmark.config import Suite
from benchmark.domains import Domain, load_domain
from benchmark.hardware import environment, pick_device, pick_precision
from benchmark.launch import run_all
from benchmark.metrics import Evaluator
from benchmark.plan import Job, plan
from benchmark.progress import Bars
from benchmark.report import rich_table, write_report
from benchmark.results import ResultStore
from benchmark.runner import Run
from benchmark.sources import load_source, source_digest
from benchmark.stylegan2 import Nets
from benchmark.suites import load_suite


@dataclass(frozen=True)
class Prepared:
    """Everything that was checked before the first job starts."""

    suite: Suite
    jobs: list[Job]
    domains: dict[str, Domain]
    source: Nets
    device: str


def prepare(
    suite_name: str, settings: Sequence[str], overrides: Mapping[str, Any], device: str, cache: Path, console: Console
) -> Prepared:
    """Arguments -> typed suite, source, drawn domains and jobs. Raises BenchmarkError before anything has been trained."""
    suite, methods = load_suite(suite_name, settings, overrides)
    device = pick_device(device)
    precision = pick_precision(suite.train.precision, device)
    suite = suite.model_copy(update={"train": suite.train.model_copy(update={"precision": precision})})
    Evaluator(suite.eval.metrics, cache)  # unknown metrics and wrong weight files show now
    source = load_source(suite.source).to(device)
    digest = source_digest(suite.source)
    domains = {}
    with Bars(console) as bars:
        for name in suite.domains:
            domain = load_domain(name, suite.resolution, suite.split.train, suite.split.test, cache, bars.over)
            domains[domain.name] = domain
            if domain.skipped:
                bars.say(
                    f"{domain.name}: {len(domain.skipped)} files skipped, the first: {domain.skipped[0][0]} ({domain.skipped[0][1]})"
                )
    return Prepared(suite, plan(suite, methods, domains, digest, source.cfg), domains, source, device)


def run_suite(prepared: Prepared, out: Path, cache: Path, console: Console) -> int:
    """Run all jobs, write tables and pictures, print the table; 1 if a job failed, else 0."""
    store = ResultStore(out)
    store.ensure_writable()
    evaluator = Evaluator(prepared.suite.eval.metrics, cache, prepared.device, prepared.suite.eval.batch)
    with Bars(console) as bars:
        run = Run(
            store,
            prepared.source,
            prepared.domains,
            evaluator,
            prepared.device,
            bars,
            environment=environment(prepared.device),
        )
        records = run_all(prepared.jobs, run)
    made = write_report(out, keys={r.record_key for r in records})
    for section in made.sections:
        console.print(rich_table(section.quality))
    for problem in made.problems:
        console.print(f"note: {problem}", markup=False, soft_wrap=True)
    failed = [r for r in records if r.status == "failed"]
    if failed:
        console.print(
            f"{len(failed)} of {len(records)} records failed; the same command tries them again.", style="red"
        )
    console.print(
        f"tables: {out / 'tables.md'} (.tex, .csv)   pictures: {out / 'figures'}   records: {store.records}",
        soft_wrap=True,
        highlight=False,
    )
    return 1 if failed else 0
