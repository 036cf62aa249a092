"""`python -m benchmark conform` and `new-method`: checking and beginning a method of your own."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmark.cli.options import echo, plugin_option

if TYPE_CHECKING:
    from benchmark.api import Method
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

    What needs a weight file without a stand-in is not tried, with the reason; that is no fault.
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
    loaded, broken, lost = {}, 0, 0
    for name, entry in known.items():
        try:
            if entry.origin == SHELF or not names:
                loaded[name] = entry.load()
        except BenchmarkError as error:
            echo(f"note: {error}", err=True)
            lost += not names
    chosen = named or loaded
    shelf = {name: kind for name, kind in loaded.items() if known[name].origin == SHELF}
    for name, kind in chosen.items():
        verdict = examine(kind, others_of(name, chosen, shelf))
        echo(text_of(verdict))
        broken += bool(verdict.broken)
    if broken or lost:
        said = f"{broken} of {len(chosen)} methods break a promise"
        echo(f"{said}, and {lost} cannot be loaded" if lost else said, err=True)
        sys.exit(1)


def others_of(
    name: str, chosen: Mapping[str, type[Method]], shelf: Mapping[str, type[Method]]
) -> dict[str, type[Method]]:
    """The methods from which `name` has to differ: the shelf's; where it is none of them, all that are checked, too."""
    return {**shelf} if name in shelf else {**shelf, **chosen}


def text_of(verdict: Verdict) -> str:
    """A line for the method or metric, one for each broken promise, and one with why others were not tried."""
    facts = f"{len(verdict.kept)} promises kept"
    if verdict.broken:
        facts += f", {len(verdict.broken)} broken"
    if verdict.not_tried:
        facts += f", {len(verdict.not_tried)} not tried"
    if verdict.step_cost is not None:
        facts += f"; a step costs {verdict.step_cost:.1f} x fine-tuning's"
        facts += f"; {verdict.trainable:,} toy parameters train (fine-tuning: {verdict.of:,})"
    broken = (f"  BROKEN  {promise}: {' '.join(why.split())}" for promise, why in verdict.broken.items())
    why_not = [f"  NOT TRIED  {' '.join(verdict.why_not.split())}"] if verdict.why_not else []
    return "\n".join([f"{verdict.name}: {facts}", *broken, *why_not])


@click.command(name="new-method", epilog="\b\nExample:\n  python -m benchmark new-method mine")
@click.argument("name")
def new_method(name: str) -> None:
    """Write NAME.py, a working method to start from, and its test, into the current folder."""
    from benchmark.conformity.new_method import write_method

    for path in write_method(name, Path()):
        echo(f"written: {path}")
    echo(f"next: python -m benchmark conform {name} --plugin {name}.py")
