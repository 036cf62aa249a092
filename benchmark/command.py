"""What `run` does between its arguments and its exit code."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from benchmark.config import Suite
from benchmark.doctor import examine, verdict
from benchmark.domains import Domain, load_domain, set_apart
from benchmark.errors import ConfigError
from benchmark.hardware import environment, pick_device, pick_precision, prepare_torch
from benchmark.launch import run_all
from benchmark.metrics import Evaluator
from benchmark.plan import Job, check, plan
from benchmark.progress import Bars
from benchmark.report import rich_table, write_report
from benchmark.results import ResultStore, RunRecord
from benchmark.run import Run
from benchmark.sources import Source, find_source, load_source
from benchmark.stylegan2 import Nets
from benchmark.suites import load_suite


@dataclass(frozen=True)
class Prepared:
    """Everything that was checked before the first job starts."""

    suite: Suite
    jobs: list[Job]
    domains: dict[str, Domain]
    source: Source
    nets: Nets
    evaluator: Evaluator
    curve_evaluator: Evaluator | None
    device: str


def prepare(
    suite_name: str,
    settings: Sequence[str],
    overrides: Mapping[str, Any],
    device: str,
    cache: Path,
    console: Console,
    threads: int | None = None,
    plugins: Sequence[str] = (),
) -> Prepared:
    """Arguments -> typed suite, source, drawn domains and jobs. Raises BenchmarkError before anything was trained."""
    suite, methods = load_suite(suite_name, settings, overrides, plugins)
    prepare_torch(threads)
    device = usable_device(device)
    precision = pick_precision(suite.train.precision, device)
    suite = suite.model_copy(update={"train": suite.train.model_copy(update={"precision": precision})})
    source = find_source(suite.source, cache)
    nets, digest = load_source(source)
    check(suite, methods, nets.cfg, source.card.origin.networks if source.card.origin else ("g", "g_ema", "d"))
    evaluator = Evaluator(suite.eval.metrics, cache, device, suite.eval.batch)
    moments = suite.eval.moment_metrics
    curve = Evaluator(moments, cache, device, suite.eval.batch) if moments else None
    with Bars(console) as bars:
        domains = load_domains(suite, cache, bars)
    return Prepared(
        suite, plan(suite, methods, domains, digest), domains, source, nets.to(device), evaluator, curve, device
    )


def usable_device(wanted: str) -> str:
    """ "auto" resolved, "cpu" or a CUDA device that is there; ConfigError otherwise."""
    device = pick_device(wanted)
    if not re.fullmatch(r"cpu|cuda(:\d{1,3})?", device):
        raise ConfigError(f"--device {wanted}: expected auto, cpu, cuda or cuda:N.")
    found = torch.cuda.device_count()
    if device != "cpu" and int(device[5:] or 0) >= found:
        raise ConfigError(
            f"--device {wanted}: PyTorch {torch.__version__} finds {found} CUDA devices here. Use --device auto or cpu."
        )
    return device


def load_domains(suite: Suite, cache: Path, bars: Bars) -> dict[str, Domain]:
    """The suite's domains by name, drawn or read from the cache."""
    domains: dict[str, Domain] = {}
    for name in suite.domains:
        split = suite.split
        domain = load_domain(name, suite.resolution, split.train + split.selection, split.test, cache, bars.over)
        domain = set_apart(domain, split.train, split.selection)
        if domain.name in domains:
            raise ConfigError(f"--domains: two are called {domain.name}, one of them {name}. Rename the folder or ZIP.")
        domains[domain.name] = domain
        if domain.skipped:
            file, why = domain.skipped[0]
            bars.say(f"{domain.name}: {len(domain.skipped)} files skipped, the first: {file} ({why})")
    return domains


def run_suite(prepared: Prepared, out: Path, console: Console, tensorboard: bool = False) -> int:
    """Run all jobs, write tables and pictures, print the table; 1 if a job failed, else 0."""
    store = ResultStore(out)
    store.ensure_writable()
    device = prepared.device
    doctor = verdict(examine(prepared.evaluator))
    if not doctor.passed:
        console.print(
            f"The measuring on this machine is doubtful, records are marked so: {'; '.join(doctor.failed)}. "
            "See: python -m benchmark doctor",
            style="red",
            markup=False,
            soft_wrap=True,
        )
    with Bars(console) as bars:
        run = Run(
            store,
            prepared.source.card,
            prepared.nets,
            prepared.domains,
            prepared.evaluator,
            device,
            bars,
            prepared.curve_evaluator,
            tensorboard,
            doctor,
            environment=environment(device),
        )
        records = run_all(prepared.jobs, run)
    print_tables(records, store, console)
    return 1 if any(r.status == "failed" for r in records) else 0


def print_tables(records: Sequence[RunRecord], store: ResultStore, console: Console) -> None:
    """Write the report of these records, show its tables and say where everything lies."""
    made = write_report(store.out, keys={r.record_key for r in records})
    for section in made.sections:
        console.print(rich_table(section.quality))
    for problem in made.problems:
        console.print(f"note: {problem}", markup=False, soft_wrap=True)
    failed = sum(r.status == "failed" for r in records)
    if failed:
        console.print(f"{failed} of {len(records)} records failed; the same command tries them again.", style="red")
    places = {"page": store.out / "page.html", "tables": f"{store.out / 'tables.md'} (.tex, .csv)"}
    places |= {"pictures": store.out / "figures", "records": store.records}
    console.print("   ".join(f"{what}: {where}" for what, where in places.items()), soft_wrap=True, markup=False)
