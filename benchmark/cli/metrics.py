"""The commands `doctor` and `conform-metric`: whether metrics are right on this machine, and a metric of your own."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmark.cli.options import cache_option, echo, some, wide_console

if TYPE_CHECKING:
    from benchmark.metrics.known_answers import Check


@click.command(
    name="conform-metric",
    epilog="""\b
Examples:
  python -m benchmark conform-metric kid_effnetlite0_128
  python -m benchmark conform-metric mine_effnetlite0_128""",
)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@cache_option
def conform_metric(names: tuple[str, ...], cache: Path) -> None:
    """Check the promises of metrics on toy pictures: repeatable, with a direction, a count and finite numbers.

    Exit code 1 if one breaks a promise. What has no value here is not tried, with the reason; that is no fault.
    """
    from benchmark.cli.methods import text_of
    from benchmark.conformity.metric import conform_metric as examine
    from benchmark.system.hardware import prepare_torch

    prepare_torch(threads=1)
    broken = 0
    for name in names:
        verdict = examine(name, cache)
        echo(text_of(verdict))
        broken += bool(verdict.broken)
    if broken:
        echo(f"{broken} of {len(names)} metrics break a promise", err=True)
        sys.exit(1)


@click.command(
    epilog="""\b
Examples:
  python -m benchmark doctor
  python -m benchmark doctor --suite smoke
  python -m benchmark doctor --metrics kid_effnetlite0_128,fid --device cpu"""
)
@click.option("--suite", "suite_name", default="avatars", show_default=True, help="Check the metrics of this suite.")
@click.option("--metrics", callback=some, help="Comma-separated metrics to check instead (see: list metrics).")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@cache_option
def doctor(suite_name: str, metrics: list[str] | None, device: str, cache: Path) -> None:
    """Check this machine's metrics on inputs with known answers; exit code 1 if one is wrong.

    A run makes the same checks before it starts and writes the verdict into its records.
    """
    from benchmark.metrics import Evaluator
    from benchmark.metrics.doctor import examine, verdict
    from benchmark.running.setup import usable_device
    from benchmark.suites import load_suites
    from benchmark.suites.own import possible_metrics

    if metrics is None:
        suites = [suite for suite, _ in load_suites(suite_name)]
        metrics = [name for suite in suites for name in (*suite.eval.metrics, *suite.eval.curve_metrics)]
        metrics += [name for suite in suites if suite.derived for name in possible_metrics(suite.derived)]
    checks = examine(Evaluator(metrics, cache, usable_device(device)))
    found = verdict(checks)
    print_checks(checks)
    echo(f"{found.checks} checks, {len(found.failed)} failed, {len(checks) - found.checks} not available")
    sys.exit(0 if found.passed else 1)


def print_checks(checks: Sequence[Check]) -> None:
    """A table of all checks; below it why some are unavailable."""
    from rich.console import Group
    from rich.text import Text

    from benchmark.cli.listing import lines, table_of

    absent = {c.name: c.found for c in checks if c.state == "not available"}
    table = table_of("Doctor", "check", "", "found", "expected")
    for c in checks:
        state = Text(c.state, style="red" if c.state == "failed" else "")
        table.add_row(Text(c.name), state, Text("–" if c.name in absent else c.found), Text(c.expected))
    wide_console().print(Group(table, *lines(absent)))
