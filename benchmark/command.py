"""What `run` does between its arguments and its exit code."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console

from benchmark.api import Method
from benchmark.batches import images_per_round
from benchmark.config import Suite
from benchmark.demand import GIB, memory_gib
from benchmark.doctor import examine, verdict
from benchmark.domains import Domain, load_domain, set_apart
from benchmark.errors import ConfigError
from benchmark.hardware import environment, pick_device, pick_precision
from benchmark.launch import run_all
from benchmark.metrics import Evaluator, list_metrics
from benchmark.metrics.base import STAND_IN
from benchmark.metrics.catalogue import find_metric
from benchmark.metrics.weights import stood_in
from benchmark.plan import Job, check, plan
from benchmark.progress import Bars
from benchmark.report import rich_table, write_report
from benchmark.results import ResultStore, RunRecord
from benchmark.run import Run
from benchmark.sources import Source, find_source, load_source
from benchmark.stylegan2 import Nets


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


@dataclass(frozen=True)
class Place:
    """Where a command runs, and what it may use there."""

    device: str
    cache: Path
    console: Console
    stand_ins: Path | None = None


def prepare(suite: Suite, methods: Sequence[Method], place: Place) -> Prepared:
    """Source, drawn domains and jobs of a suite. Raises BenchmarkError before anything was trained."""
    device, cache = place.device, place.cache
    precision = pick_precision(suite.train.precision, device)
    suite = suite.model_copy(update={"train": suite.train.model_copy(update={"precision": precision})})
    suite = with_stand_ins(suite, place.stand_ins)
    source = find_source(suite.source, cache)
    nets, digest = load_source(source)
    check(suite, methods, nets.cfg, source.card.origin.networks if source.card.origin else ("g", "g_ema", "d"))
    evaluator = Evaluator(suite.eval.metrics, cache, device, suite.eval.batch, stand_ins=place.stand_ins)
    moments = suite.eval.moment_metrics
    curve = Evaluator(moments, cache, device, suite.eval.batch, stand_ins=place.stand_ins) if moments else None
    with Bars(place.console) as bars:
        domains = load_domains(suite, cache, bars)
    warn_of_memory(suite, nets, place)
    return Prepared(
        suite, plan(suite, methods, domains, digest), domains, source, nets.to(device), evaluator, curve, device
    )


def with_stand_ins(suite: Suite, folder: Path | None) -> Suite:
    """The suite with the names of those metrics changed whose weight files the folder has stand-ins for."""
    if folder is None:
        return suite
    networks, infos = stood_in(folder), list_metrics()

    def renamed(names: Sequence[str]) -> tuple[str, ...]:
        known = {name: find_metric(name) for name in names}
        return tuple(
            STAND_IN + name if STAND_IN + name in infos and i.network in networks else name for name, i in known.items()
        )

    measured = suite.eval
    names = {"metrics": renamed(measured.metrics), "curve_metrics": renamed(measured.curve_metrics)}
    return suite.model_copy(update={"eval": measured.model_copy(update=names)})


def warn_of_memory(suite: Suite, nets: Nets, place: Place) -> None:
    """Say so where a step will hardly fit on the GPU."""
    if place.device == "cpu":
        return
    images = images_per_round(suite.train, nets.cfg.mbstd_group)
    need = memory_gib(nets, images, suite.train.precision == "bf16")
    have = torch.cuda.get_device_properties(place.device).total_memory / GIB
    if need > have:
        place.console.print(
            f"{suite.name}: a step of {images} images needs about {need:.0f} GiB, {place.device} has {have:.0f}: add "
            f"--set train.accumulate={2 * suite.train.accumulate}",
            style="red",
            markup=False,
            soft_wrap=True,
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
        train = split.train + split.selection
        domain = load_domain(name, suite.resolution, train, split.test, cache, bars.over, split.filter)
        domain = set_apart(domain, split.train, split.selection)
        if domain.name in domains:
            raise ConfigError(f"--domains: two are called {domain.name}, one of them {name}. Rename the folder or ZIP.")
        domains[domain.name] = domain
        if domain.skipped:
            file, why = domain.skipped[0]
            bars.say(f"{domain.name}: {len(domain.skipped)} files skipped, the first: {file} ({why})")
    return domains


def run_suites(prepared: Sequence[Prepared], out: Path, console: Console, tensorboard: bool = False) -> int:
    """Run all jobs, write tables and pictures, print the tables; 1 if a job failed, else 0."""
    store = ResultStore(out)
    store.ensure_writable()
    records = [record for suite in prepared for record in run_suite(suite, store, console, tensorboard)]
    print_tables(records, store, console)
    return 1 if any(r.status == "failed" for r in records) else 0


def run_suite(prepared: Prepared, store: ResultStore, console: Console, tensorboard: bool) -> list[RunRecord]:
    """The records of a suite's jobs, failed ones included."""
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
        return run_all(prepared.jobs, run)


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
