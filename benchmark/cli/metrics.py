"""`python -m benchmark conform-metric`: checking a metric of your own."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from benchmark.cli.options import cache_option


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

    Exit code 1 if one breaks a promise.
    """
    from benchmark.cli.methods import text_of
    from benchmark.conformity.metric import conform_metric as examine
    from benchmark.system.hardware import prepare_torch

    prepare_torch(threads=1)
    broken = 0
    for name in names:
        verdict = examine(name, cache)
        click.echo(text_of(verdict))
        broken += bool(verdict.broken)
    if broken:
        click.echo(f"{broken} of {len(names)} metrics break a promise", err=True)
        sys.exit(1)
