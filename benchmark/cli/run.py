"""`python -m benchmark run`: what is compared, on which machine, at which size."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from benchmark.cli.engines import chosen_engine, engine_options, require_local
from benchmark.cli.options import FiniteRange, cache_option, comma, echo, paths, plugin_option, wide_console
from benchmark.system.places import RUNS

if TYPE_CHECKING:
    from benchmark.api import Method
    from benchmark.config import Suite
    from benchmark.running.forecast import Forecast
    from benchmark.running.launch import Launch, Which


def for_plan(context: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    """An option's value, refused where no plan is asked for."""
    if value is not None and not context.params.get("only_plan"):
        raise click.BadParameter("it is for --plan", context, parameter)
    return value


def chosen_jobs(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    """`which` jobs are wanted, from --only-missing and --retry-failed; together they are refused: no job is both."""
    before = context.params.setdefault("which", "all")
    if value and before != "all":
        raise click.UsageError("--only-missing and --retry-failed: no job is both; give one, or none for all jobs.")
    if value:
        context.params["which"] = parameter.name


@click.command(
    epilog="""\b
Examples:
  python -m benchmark run --methods fixnoise,freezed
  python -m benchmark run --suite smoke
  python -m benchmark run --domains micah,path/to/my/images --seeds 0,1,2 --set train.kimg=8
  python -m benchmark run --methods fixnoise+freezed --set fixnoise.weight=0.1 --dry-run
  python -m benchmark run --methods mine --plugin mine.py
  python -m benchmark run --suite paper --plan --seconds-per-kimg 20
  python -m benchmark run --suite paper --scale 0.01
  python -m benchmark run --suite paper --engine slurm --engine-set partition=gpu --detach"""
)
@click.option(
    "--suite",
    "suite_name",
    default="avatars",
    show_default=True,
    help="A suite's name (see: list suites) or a YAML file.",
)
@click.option("--source", help="The GAN to adapt (see: sources list).  [default: the suite's]")
@click.option(
    "--methods",
    callback=comma,
    help="Comma-separated; a+b combines two methods, a[field=1] sets a field.  [default: those of the suite]",
)
@click.option(
    "--domains", callback=paths, help="Comma-separated names, folders or ZIPs of images.  [default: those of the suite]"
)
@click.option("--seeds", help="Numbers and ranges: 0,1,2 or 0-4 or 0-2,5.  [default: those of the suite]")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="Change a setting (train.kimg=8) or a method's field (fixnoise.weight=0.1). Repeatable.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder for records, samples and tables.  [default: results/runs/SUITE]",
)
@click.option("--device", help="auto, cpu, cuda or cuda:N.  [default: auto]")
@click.option(
    "--devices",
    help="auto (all GPUs), a list such as cuda:0,cuda:2, or cpu: one worker for each GPU, or for each group of "
    "--ranks-per-job GPUs.  [default: one GPU for one worker, the next GPUs for those that --jobs adds]",
)
@click.option(
    "--ranks-per-job",
    "--gpus-per-job",
    "ranks",
    type=click.IntRange(min=1),
    help="Train each job with N processes, each on a GPU of its own or on a share of the CPU's threads; the same as "
    "--set train.ranks=N.  [default: that of the suite, 1]",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    help="CPU threads of all jobs together. Use fewer on a shared machine: waiting for a busy core is slow.  "
    "[default: all cores]",
)
@click.option("--log", "board", type=click.Choice(["tensorboard"]), help="Also write the losses as TensorBoard files.")
@click.option(
    "--jobs",
    "workers",
    type=click.IntRange(min=0),
    envvar="BENCHMARK_JOBS",
    help="Jobs at a time, each in its own process; they share the threads. 0: all in this process.  "
    "[default: one on a GPU; on a CPU one for each core, up to 4]",
)
@click.option(
    "--time-limit",
    type=FiniteRange(min=0, min_open=True),
    metavar="MINUTES",
    help="End a job that takes longer; the others continue.",
)
@click.option(
    "--memory-limit",
    type=FiniteRange(min=0, min_open=True),
    metavar="GB",
    help="End a job that takes more memory; the others continue.",
)
@click.option("--fail-fast", is_flag=True, help="Stop at the first job that fails.")
@click.option(
    "--only-missing",
    "missing",
    is_flag=True,
    expose_value=False,
    callback=chosen_jobs,
    help="Skip jobs that failed before; run only those never tried.",
)
@click.option(
    "--retry-failed",
    "failed",
    is_flag=True,
    expose_value=False,
    callback=chosen_jobs,
    help="Run only jobs that failed before.",
)
@click.option("--dry-run", is_flag=True, help="Print the jobs and their keys; run nothing.")
@click.option(
    "--plan",
    "only_plan",
    is_flag=True,
    is_eager=True,
    help="Print the number of jobs, their duration, and what is missing on this machine; run and fetch nothing.",
)
@click.option(
    "--seconds-per-kimg",
    type=FiniteRange(min=0, min_open=True),
    callback=for_plan,
    help="For --plan: how fast this machine trains.  [default: from the records in the results folder]",
)
@click.option(
    "--scale",
    type=FiniteRange(min=0, max=1, min_open=True),
    help="Rehearse with this share of the suite's lengths, samples and pairs. Names and titles say so.",
)
@click.option(
    "--stand-in-weights",
    "stand_ins",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="BENCHMARK_STANDIN_WEIGHTS",
    help="For rehearsals: a folder of placeholders for published weight files; their metrics are called standin_*.",
)
@engine_options
@click.option("--yes", is_flag=True, help="Start even if it will take hours on this CPU.")
@plugin_option
@cache_option
def run(
    suite_name: str,
    source: str | None,
    methods: list[str] | None,
    domains: list[str] | None,
    seeds: str | None,
    settings: tuple[str, ...],
    out: Path | None,
    device: str | None,
    devices: str | None,
    ranks: int | None,
    threads: int | None,
    board: str | None,
    workers: int | None,
    time_limit: float | None,
    memory_limit: float | None,
    fail_fast: bool,
    which: Which,
    dry_run: bool,
    only_plan: bool,
    seconds_per_kimg: float | None,
    scale: float | None,
    stand_ins: Path | None,
    yes: bool,
    plugins: tuple[str, ...],
    cache: Path,
) -> None:
    """Adapt the source to each domain with each method, evaluate, print and write the comparison table.

    Finished records are kept: run the same command again to resume.
    """
    from benchmark.engines.engine import Work
    from benchmark.engines.local import ENGINE as LOCAL
    from benchmark.running.forecast import forecast, require_patience
    from benchmark.running.server import early_server
    from benchmark.running.setup import Request, folder_name, prepare

    console = wide_console()
    device, launch = launch_of(device, devices, workers, (time_limit, memory_limit), fail_fast, which)
    settings = settings if ranks is None else (*settings, f"train.ranks={ranks}")
    overrides = {"source": source, "methods": methods, "domains": domains, "seeds": seeds, "scale": scale}
    asked = Request(suite_name, settings, overrides, device, cache, threads, plugins, stand_ins).members()
    loaded = [request.load() for request in asked]
    note_unusable(plugins)
    out = out or RUNS / folder_name(suite_name, [suite.name for suite, _ in loaded])
    if only_plan:
        echo(summary([forecast(suite, chosen, cache, out, seconds_per_kimg) for suite, chosen in loaded]))
        return
    note_missing(loaded, cache)
    engine, chosen, detach = chosen_engine([method for _, some in loaded for method in some])
    require_start([suite for suite, _ in loaded], launch, device if engine is LOCAL else None, out)
    with early_server(engine is LOCAL and not dry_run and launch.workers != 0):
        ready = [prepare(request, out, console) for request in asked]
        work = Work(ready, console, launch, board is not None, chosen, detach)
        if dry_run:
            echo(engine.preview(work))
            return
        if engine is LOCAL and (said := require_patience([(run.nets, run.jobs) for run in ready], out, yes)):
            echo(f"note: {said}", err=True)
        sys.exit(0 if engine.run(work) else 1)


def require_start(suites: Sequence[Suite], launch: Launch, device: str | None, out: Path) -> None:
    """This process is one in which the jobs can start, and if they run here (`device`), there are seats for them.

    It starts itself again where libraries have to be held from the beginning. Raises ConfigError, and DataError where
    no results can be stored in `out`, before the domains are loaded, which may take long.
    """
    from benchmark.results import ResultStore
    from benchmark.running.launch import require_seats
    from benchmark.training.determinism import start_pinned

    ResultStore(out).ensure_no_links()
    if device is not None:
        require_seats(suites, device, launch)
    start_pinned(any(suite.train.deterministic for suite in suites))


def note_unusable(plugins: Sequence[str]) -> None:
    """Say which plug-ins cannot be used."""
    from benchmark.registry import unusable

    for broken in unusable(plugins):
        echo(f"note: {broken}", err=True)


def note_missing(loaded: Sequence[tuple[Suite, Sequence[Method]]], cache: Path) -> None:
    """Say which files are not on this machine: their metrics will have no value."""
    from benchmark.running.forecast import missing_files

    for lacking in dict.fromkeys(text for suite, chosen in loaded for text in missing_files(suite, chosen, cache)):
        echo(f"note: not here: {lacking}", err=True)


def launch_of(
    device: str | None,
    devices: str | None,
    workers: int | None,
    limits: tuple[float | None, float | None],
    fail_fast: bool,
    which: Which,
) -> tuple[str, Launch]:
    """The device of this process, and how jobs are started; `limits` are minutes and GB. Raises ConfigError."""
    from benchmark.running.launch import Launch, placed
    from benchmark.running.supervisor import Limits
    from benchmark.system.startup import require_one_process

    require_one_process()
    require_local(devices, device, fail_fast)
    typed = click.get_current_context().get_parameter_source("workers") is not ParameterSource.ENVIRONMENT
    workers = workers if typed or not devices else None  # what is typed counts, not BENCHMARK_JOBS
    device, gpus = placed(device, devices, workers)
    seconds, megabytes = (n and n * unit for n, unit in zip(limits, (60, 1024), strict=True))
    return device, Launch(workers, Limits(seconds, megabytes), fail_fast, gpus, which)


def summary(plans: Sequence[Forecast]) -> str:
    """The plans of all suites, below several the sum, and what is missing on this machine."""
    texts = [plan.text() for plan in plans]
    if len(plans) > 1:
        hours = [plan.hours for plan in plans]
        known = f", {sum(h for h in hours if h is not None):,.1f} h of training" if None not in hours else ""
        trainings, kimg = sum(plan.trainings for plan in plans), sum(plan.kimg for plan in plans)
        texts.append(f"together: {sum(p.jobs for p in plans)} jobs, {trainings} trainings, {kimg:,g} kimg{known}")
    missing = dict.fromkeys(what for plan in plans for what in plan.missing)
    return "\n".join([*texts, *(f"missing: {what}" for what in missing)] + ([] if missing else ["nothing is missing"]))
