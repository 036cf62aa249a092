"""`python -m benchmark status | logs | cancel`, the options of `run` about engines, and the hidden `work`."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmark.cli.options import echo, wide_console

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmark.api import Method
    from benchmark.engines.engine import Engine
    from benchmark.engines.settings import Chosen
    from benchmark.engines.states import JobState

META = "benchmark.engine"
WATCH = 5.0
"""Seconds between two looks of `status --watch`."""
LISTED = 40
"""Jobs of one state that are shown; --json has all."""
LINES = 200
"""Of each log."""

folder = click.argument("out", type=click.Path(path_type=Path, exists=True, file_okay=False))


def _keep(ctx: click.Context, option: click.Parameter, value: Any) -> None:
    """For `chosen_engine`, which alone needs it."""
    ctx.meta[f"{META}.{option.name}"] = value


def engine_options(command: Any) -> Any:
    """--engine, --engine-set, --engine-config and --detach, for a command that calls `chosen_engine`."""
    options = (
        click.option(
            "--engine",
            default="local",
            show_default=True,
            expose_value=False,
            callback=_keep,
            help="Where jobs are done: local (this machine), slurm or ray.",
        ),
        click.option(
            "--engine-set",
            multiple=True,
            expose_value=False,
            callback=_keep,
            metavar="NAME=VALUE",
            help="A setting of the engine (partition=gpu), or of one method's tasks (NAME.time=24:00:00). Repeatable.",
        ),
        click.option(
            "--engine-config",
            type=click.Path(path_type=Path),
            expose_value=False,
            callback=_keep,
            help="A YAML file with settings of the engine; --engine-set overrides it.",
        ),
        click.option(
            "--detach",
            is_flag=True,
            expose_value=False,
            callback=_keep,
            help="Return when the jobs are queued; see: status, logs, cancel.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def require_local(devices: str | None, device: str | None, fail_fast: bool) -> None:
    """ConfigError where an option that only this machine can follow is given with an engine that queues."""
    from benchmark.errors import ConfigError

    name = click.get_current_context().meta[f"{META}.engine"]
    own = {"--devices": devices, "--device": device if device and device.startswith("cuda:") else None}
    given = next((f"{option} {value}" for option, value in own.items() if value), None)
    if name != "local" and given:
        raise ConfigError(
            f"{given} names devices of this machine, and with --engine {name} the jobs run elsewhere. Leave it out, "
            "and say what a task takes: --engine-set gpus=1."
        )
    if name != "local" and fail_fast:
        raise ConfigError(
            f"--fail-fast has no effect with --engine {name}: its tasks know nothing of each other. Leave it out; "
            "python -m benchmark cancel ends them all."
        )


def chosen_engine(methods: Sequence[Method]) -> tuple[Engine, Chosen, bool]:
    """The engine asked for, its settings, and --detach; errors are those of `find_engine` and `chosen`."""
    from benchmark.engines.engine import find_engine, own_settings
    from benchmark.engines.settings import chosen
    from benchmark.registry.variants import base_name

    meta = click.get_current_context().meta
    name = meta[f"{META}.engine"]
    engine = find_engine(name)
    if meta[f"{META}.detach"] and name == "local":
        raise click.UsageError("--detach: the engine local works in this command; use nohup, or --engine slurm")
    trained = list(dict.fromkeys(base_name(method.training().name) for method in methods))
    kinds = own_settings() | {name: engine.settings}
    found = chosen(engine.settings, name, meta[f"{META}.engine_config"], meta[f"{META}.engine_set"], trained, kinds)
    return engine, found, meta[f"{META}.detach"]


@click.command(
    epilog="""\b
Examples:
  python -m benchmark status results/runs/paper
  python -m benchmark status results/runs/paper --watch
  python -m benchmark status results/runs/paper --json"""
)
@folder
@click.option("--watch", is_flag=True, help="Look again every 5 seconds until no job runs or waits.")
@click.option("--json", "as_json", is_flag=True, help="All jobs as JSON, for scripts.")
def status(out: Path, watch: bool, as_json: bool) -> None:
    """Show the state of the jobs that an engine was asked for: stored, running, queued, failed or lost, and why."""
    from benchmark.engines.engine import find_engine
    from benchmark.engines.request import required_request
    from benchmark.engines.states import Looks, counts

    asked = required_request(out)
    engine, looks = find_engine(asked.engine), Looks(out.absolute(), asked)
    while True:
        states = looks.states(engine.queued(out.absolute()))
        found = counts(states)
        if as_json:
            jobs = [state.plain() for state in states]
            echo(json.dumps({"schema": 1, "engine": asked.engine, "counts": found, "jobs": jobs}, allow_nan=False))
        else:
            print_states(states, found)
        if not watch or not (found["running"] or found["queued"] or found["waiting"]):
            return
        time.sleep(WATCH)


def print_states(states: Sequence[JobState], found: Mapping[str, int]) -> None:
    """The counts, and a line for each job that is not stored."""
    from benchmark.engines.states import in_words

    console = wide_console()
    console.print(in_words(found), markup=False, highlight=False)
    for name in ("running", "failed", "lost", "queued", "waiting"):
        of_it = [state for state in states if state.state == name]
        for state in of_it[:LISTED]:
            line = f"  {name:8} {state.key[:12]}  {state.label}: {described(state)}"
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        if len(of_it) > LISTED:
            console.print(f"  {name:8} {len(of_it) - LISTED} more", highlight=False)


def described(state: JobState) -> str:
    """What is known of a job, in words."""
    if state.state != "running":
        return state.why or "no reason is known"
    since = f", since {time.strftime('%d %b %H:%M', time.localtime(state.since))}" if state.since else ""
    words = f"on {state.node}{since}"
    if state.kimg is not None and state.of_kimg:
        words += f", {state.kimg:g} of {state.of_kimg:g} kimg"
    if state.seconds_per_kimg is not None and state.seconds_left is not None:
        words += f", {state.seconds_per_kimg:.3g} s/kimg, {state.seconds_left / 3600:.1f} h of training left"
    return words


@click.command(epilog="\b\nExample:\n  python -m benchmark logs results/runs/paper 3f2a")
@folder
@click.argument("key")
def logs(out: Path, key: str) -> None:
    """Print the logs of the task and the job of KEY: the key of a record or training, or its beginning."""
    from benchmark.engines.logs import texts_of
    from benchmark.engines.request import required_request

    found = texts_of(out, required_request(out).find(key), LINES)
    for name, text in found.items():
        echo(f"==> {name} <==\n{text}")
    if not found:
        echo("nothing was printed yet")


@click.command(epilog="\b\nExample:\n  python -m benchmark cancel results/runs/paper")
@folder
def cancel(out: Path) -> None:
    """End all jobs of the results folder OUT, queued and running; what is stored stays."""
    from benchmark.engines.engine import find_engine
    from benchmark.engines.request import required_request

    echo(find_engine(required_request(out).engine).cancel(out.absolute()))


@click.command(hidden=True, epilog="\b\nExample:\n  python -m benchmark work results/runs/paper 0")
@folder
@click.argument("number", type=click.IntRange(min=0))
def work(out: Path, number: int) -> None:
    """Do task NUMBER of what an engine was asked for; exit code 1 if a job of it failed."""
    from benchmark.engines.work import work as engine_work
    from benchmark.training.determinism import start_pinned

    out = out.absolute()
    start_pinned(is_deterministic(out, number))
    sys.exit(0 if engine_work(out, number, wide_console()) else 1)


def is_deterministic(out: Path, number: int) -> bool:
    """Whether the suite of task NUMBER wants libraries to be held from the start; False where `work` refuses it."""
    from benchmark.engines.request import required_request
    from benchmark.engines.work import request_of

    asked = required_request(out)
    if number >= len(asked.tasks):
        return False
    sys.path.insert(0, asked.folder)  # as `work` does, for plug-ins that are modules
    with contextlib.chdir(asked.folder):
        return request_of(asked, asked.tasks[number]).load()[0].train.deterministic
