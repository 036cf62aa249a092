"""Options that commands share: --cache, --plugin, lists such as "a,b", the wide console."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from benchmark.system.places import CACHE
from benchmark.system.text.lists import split_names, split_paths
from benchmark.system.text.terminal import Terminal, visible


def cache_option(command: Any) -> Any:
    """--cache, shared by the commands that draw domains or look for weights."""
    return click.option(
        "--cache",
        type=click.Path(path_type=Path),
        envvar="BENCHMARK_CACHE",
        default=CACHE,
        show_default="the user's cache folder",
        help="Folder for drawn domains, features, weight files and imported sources (also BENCHMARK_CACHE).",
    )(command)


def wide_console() -> Console:
    """Standard output; if it is not a terminal, wide enough for tables."""
    console = Terminal()
    return console if console.is_terminal or "COLUMNS" in os.environ else Terminal(width=200)


def echo(text: str, err: bool = False) -> None:
    """Print a text that may come from a file or a server: control characters are shown, not obeyed."""
    click.echo(visible(text), err=err)


def plugin_option(command: Any) -> Any:
    """--plugin, shared by the commands that look for methods."""
    return click.option(
        "--plugin",
        "plugins",
        multiple=True,
        metavar="FILE|MODULE",
        help="A Python file or importable module with your own methods. Repeatable.",
    )(command)


def comma(ctx: click.Context, option: click.Parameter, text: str | None) -> list[str] | None:
    """ "a,b[c=1,d=2]" -> ["a", "b[c=1,d=2]"]."""
    return None if text is None else [part for part in split_names(text) if part]


def some(ctx: click.Context, option: click.Parameter, text: str | None) -> list[str] | None:
    """As `comma`; a bad parameter where nothing is named, which must not stand for all."""
    found = comma(ctx, option, text)
    if found == []:
        raise click.BadParameter("the list is empty: name at least one, or leave the option out.")
    return found


def paths(ctx: click.Context, option: click.Parameter, text: str | None) -> list[str] | None:
    """As `comma`, for names and paths: a comma in the path of a folder that exists belongs to it."""
    return None if text is None else split_paths(text)


class FiniteRange(click.FloatRange):
    """A range of numbers without nan and inf, both of which click's own lets through."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """A finite float of the range; anything else is a bad parameter."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{number} is not a finite number.", param, ctx)
        return number
