"""`python -m benchmark evaluate`: a network or pictures from elsewhere, by a suite's protocol."""

from __future__ import annotations

from pathlib import Path

import click

from benchmark.cli.options import cache_option, plugin_option, wide_console


@click.command(
    epilog="""\b
Examples:
  python -m benchmark evaluate adapted.pkl --against avatars --domain micah
  python -m benchmark evaluate fixnoise-metfaces.pkl --against paper-metfaces --domain metfaces --as fixnoise
  python -m benchmark evaluate folder_of_pngs --against avatars --domain micah
  python -m benchmark evaluate folder_of_pngs --against avatars --domain micah --pairs sources"""
)
@click.argument("what", type=click.Path(path_type=Path), metavar="FILE_OR_FOLDER")
@click.option("--against", "suite", required=True, help="The suite by whose protocol it is measured.")
@click.option("--domain", required=True, help="What it draws: a domain's name, or a folder or ZIP of images.")
@click.option("--name", help="What its row is called.  [default: the file's name]")
@click.option(
    "--as", "like", metavar="METHOD", help="Evaluate a network with this method's noise and control.  [default: none]"
)
@click.option(
    "--pairs",
    type=click.Path(path_type=Path, exists=True),
    help="For a folder: the source's pictures, each called like its translation.",
)
@click.option("--seed", type=click.IntRange(min=0), help="Seed of the latents.  [default: the suite's first]")
@click.option("--source", help="The GAN that was adapted (see: sources list).  [default: the suite's]")
@click.option(
    "--set", "settings", multiple=True, metavar="NAME=VALUE", help="Change a setting of the suite. Repeatable."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Results folder to add the row to.  [default: results/runs/SUITE]",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads.  [default: all cores]")
@plugin_option
@cache_option
def evaluate(
    what: Path,
    suite: str,
    domain: str,
    name: str | None,
    like: str | None,
    pairs: Path | None,
    seed: int | None,
    source: str | None,
    settings: tuple[str, ...],
    out: Path | None,
    device: str,
    threads: int | None,
    plugins: tuple[str, ...],
    cache: Path,
) -> None:
    """Measure a network (.pkl, .pt, .safetensors) or a folder of pictures that this suite did not train.

    Same metrics, latents and tables as of a suite's own methods; the row is marked (outside). Nothing in a checkpoint
    is executed.
    """
    from benchmark.running.setup import Request
    from benchmark.use.outside import folder_beside, measure

    request = Request(suite, settings, {"source": source, "domains": [domain]}, device, cache, threads, plugins)
    measure(what, request, wide_console(), out or folder_beside(request), name, like, pairs, seed)
