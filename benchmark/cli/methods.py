"""`python -m benchmark conform` and `new-method`: checking and beginning a method of your own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmark.cli.options import echo, plugin_option

if TYPE_CHECKING:
    from benchmark.conformity import Verdict


@click.command(
    epilog="""\b
Examples:
  python -m benchmark conform fixnoise freezed
  python -m benchmark conform fixnoise+freezed
  python -m benchmark conform mine --plugin mine.py"""
)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@plugin_option
def conform(names: tuple[str, ...], plugins: tuple[str, ...]) -> None:
    """Check the promises of methods on tiny networks: they train, freeze, store, repeat and differ as they should.

    Without NAME: all known methods. Exit code 1 if one breaks a promise.
    """
    from benchmark.conformity import conform as examine
    from benchmark.errors import BenchmarkError
    from benchmark.registry import SHELF, catalogue, find_method, unusable
    from benchmark.system.hardware import prepare_torch

    prepare_torch(threads=1)  # networks are tiny
    known = catalogue(plugins)
    named = {name: find_method(name, plugins) for name in names}
    for said in unusable(plugins) if names else ():
        echo(f"note: {said}", err=True)
    shelf, broken, lost = {}, 0, 0
    for name, entry in known.items():
        try:
            if entry.origin == SHELF or not names:
                shelf[name] = entry.load()
        except BenchmarkError as error:
            echo(f"note: {error}", err=True)
            lost += not names
    for name, kind in (named or shelf).items():
        on_shelf = name in known and known[name].origin == SHELF
        others = {n: k for n, k in shelf.items() if known[n].origin == SHELF} | ({} if on_shelf else named)
        verdict = examine(kind, others)
        echo(text_of(verdict))
        broken += bool(verdict.broken)
    if broken or lost:
        said = f"{broken} of {len(named or shelf)} methods break a promise"
        echo(f"{said}, and {lost} cannot be loaded" if lost else said, err=True)
        sys.exit(1)


def text_of(verdict: Verdict) -> str:
    """A line for the method and one for each broken promise."""
    facts = f"{len(verdict.kept)} promises kept"
    if verdict.broken:
        facts += f", {len(verdict.broken)} broken"
    if verdict.not_tried:
        facts += f", {len(verdict.not_tried)} not tried"
    if verdict.step_cost is not None:
        facts += f"; a step costs {verdict.step_cost:.1f} x fine-tuning's"
        facts += f"; {verdict.trainable:,} toy parameters train (fine-tuning: {verdict.of:,})"
    broken = (f"  BROKEN  {promise}: {' '.join(why.split())}" for promise, why in verdict.broken.items())
    return "\n".join([f"{verdict.name}: {facts}", *broken])


@click.command(name="new-method", epilog="\b\nExample:\n  python -m benchmark new-method mine")
@click.argument("name")
def new_method(name: str) -> None:
    """Write NAME.py, a working method to start from, and its test, into the current folder."""
    from benchmark.conformity.new_method import write_method

    for path in write_method(name, Path()):
        echo(f"written: {path}")
    echo(f"next: python -m benchmark conform {name} --plugin {name}.py")
