"""`python -m benchmark datasets ...`: the standard target sets and pretrained networks of the field."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast, get_args

import click

from benchmark.cli.options import FiniteRange, cache_option, echo, wide_console
from benchmark.config import Filter

if TYPE_CHECKING:
    from benchmark.domains.assets import Asset
    from benchmark.fetch.download import Line


@click.group(
    no_args_is_help=False,
    epilog="""\b
Examples:
  python -m benchmark datasets info afhq-cat
  python -m benchmark datasets fetch afhq-cat --accept-licence
  python -m benchmark datasets prepare afhq-cat --resolution 256
  python -m benchmark datasets verify afhq-cat
  python -m benchmark run --suite own --source ffhq-res256-mirror-paper256-noaug --domains afhq-cat""",
)
def datasets() -> None:
    """The field's target sets and pretrained networks: download, prepare, check."""


@datasets.command(
    epilog="""\b
Examples:
  python -m benchmark datasets fetch afhq-cat --accept-licence
  python -m benchmark datasets fetch metfaces --from ~/Downloads/metfaces --accept-licence
  python -m benchmark datasets fetch stylegan2-church-config-f --accept-licence"""
)
@click.argument("name")
@click.option("--accept-licence", is_flag=True, help="Accept the licence that `info` shows. Required once per set.")
@click.option(
    "--from",
    "given",
    type=click.Path(path_type=Path),
    metavar="FILE_OR_FOLDER",
    help="Use files that you downloaded yourself; the network is not used.",
)
@click.option("--retry-dead", is_flag=True, help="Retry listed images whose links were dead.")
@click.option(
    "--local-addresses",
    "local",
    is_flag=True,
    envvar="BENCHMARK_LOCAL_ADDRESSES",
    help="Also follow redirections and listed links to this machine and its network.",
)
@click.option(
    "--stall",
    type=FiniteRange(min=0.1),
    default=60.0,
    show_default=True,
    help="Abort a transfer after this many seconds without data.",
)
@click.option(
    "--tries",
    type=click.IntRange(min=1),
    default=6,
    show_default=True,
    help="Give up after this many attempts without progress (exponential back-off).",
)
@cache_option
def fetch(
    name: str,
    accept_licence: bool,
    given: Path | None,
    retry_dead: bool,
    local: bool,
    stall: float,
    tries: int,
    cache: Path,
) -> None:
    """Download the files of a set or a pretrained network, or copy them from your disk, and check them.

    Finished files are kept: run the same command again to resume.
    """
    from benchmark.domains.assets import find_target
    from benchmark.fetch.download import Line, Patience

    target = find_target(name)
    patience = Patience(connect=min(stall, Patience.connect), stall=stall, tries=tries)
    get(target, cache, accept_licence, given, Line(patience, local=local), retry_dead)
    echo(f"next: {next_step(target)}")


def get(
    target: Asset, cache: Path, accept_licence: bool, given: Path | None, line: Line, retry_dead: bool = False
) -> None:
    """Fetch a target's files, with bars, and print what was got; `given` is where they lie on the person's disk."""
    from benchmark.domains.assets import owner
    from benchmark.fetch.fetch import NeedsPerson
    from benchmark.fetch.fetch import fetch as fetch_target
    from benchmark.fetch.licences import require_licence, terms
    from benchmark.system.progress import Bars

    card = owner(target)
    require_licence(card, cache, accept_licence)
    echo(terms(card))
    with Bars(wide_console()) as bars:
        try:
            said = fetch_target(target, cache, given, line, bars.stage, retry_dead)
        except NeedsPerson as error:
            bars.say(error.instructions.rstrip())
            raise
    for text in said:
        echo(text)


def next_step(target: Asset) -> str:
    """The command that makes use of fetched files."""
    if target.kind == "source":
        return f"python -m benchmark sources import {target.name}"
    return f"python -m benchmark datasets prepare {target.name} --resolution 256"


@datasets.command(
    epilog="""\b
Examples:
  python -m benchmark datasets prepare metfaces --resolution 256
  python -m benchmark datasets prepare metfaces --resolution 256 --filter squash_bilinear
  python -m benchmark datasets prepare path/to/my/images --resolution 256 --out prepared"""
)
@click.argument("name", metavar="NAME_OR_FOLDER")
@click.option(
    "--resolution",
    "resolutions",
    type=int,
    multiple=True,
    required=True,
    metavar="PX",
    help="Side of the square. Repeatable.",
)
@click.option(
    "--filter",
    "resized",
    type=click.Choice(get_args(Filter)),
    default="lanczos",
    show_default=True,
    help="lanczos: centre crop, antialiased. box: as in FFHQ's published FID. squash_bilinear: squashed instead "
    "of cropped, for the suite paper.",
)
@click.option("--workers", type=click.IntRange(min=1), help="Number of processes.  [default: all cores]")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the ZIPs of a folder of yours go.  [default: the current folder]",
)
@cache_option
def prepare(
    name: str, resolutions: tuple[int, ...], resized: str, workers: int | None, out: Path | None, cache: Path
) -> None:
    """Crop and resize images to the given sizes, into ZIPs in NVIDIA's layout, ready for training.

    NAME is a set fetched with `datasets fetch NAME`; FOLDER (or a ZIP) holds your own images, whose ZIPs go to --out.
    """
    from benchmark.domains.assets import find_target, list_targets
    from benchmark.domains.pictures.raw_images import raw_set
    from benchmark.domains.prepare import prepare as prepare_raw
    from benchmark.domains.prepare import prepare_target
    from benchmark.errors import ConfigError
    from benchmark.system.progress import Bars

    own = name not in list_targets() and Path(name).exists()
    if not own and (target := find_target(name)).kind == "source":
        raise ConfigError(f"{name} is a pretrained network, not an image set; run: {next_step(target)}")
    if not own and out:
        raise ConfigError(f"--out {out}: {name} is prepared to where runs look for it. Leave the option out.")
    how = cast(Filter, resized)
    with Bars(wide_console()) as bars:
        if own:
            made = prepare_raw(raw_set(Path(name)), resolutions, out or Path(), how, workers, bars.over)
        else:
            made = prepare_target(target, cache, resolutions, how, workers, bars.over)
    for px, one in made.items():
        skipped = f", {one.skipped} skipped (named in the ZIP's provenance)" if one.skipped else ""
        enlarged = f", {one.enlarged} of them smaller and enlarged" if one.enlarged else ""
        echo(f"{px} px: {one.images} images{enlarged}{skipped} in {one.path}" + ("" if one.new else " (already there)"))


@datasets.command(epilog="\b\nExample:\n  python -m benchmark datasets verify metfaces")
@click.argument("name")
@cache_option
def verify(name: str, cache: Path) -> None:
    """Check all files of a set: locked and published hashes, number of images, prepared pixels."""
    from benchmark.domains.assets import find_target
    from benchmark.fetch.verify import verify as verify_target
    from benchmark.system.progress import Bars

    with Bars(wide_console()) as bars:
        for text in verify_target(find_target(name), cache, bars.over):
            bars.say(text)


@datasets.command(epilog="\b\nExample:\n  python -m benchmark datasets info aahq")
@click.argument("name")
@cache_option
def info(name: str, cache: Path) -> None:
    """Show the card of a set or pretrained network: origin, licence, files, splits, and what is available locally."""
    from benchmark.domains.assets import find_target
    from benchmark.fetch.info import target_text

    for text in target_text(find_target(name), cache):
        echo(text)
