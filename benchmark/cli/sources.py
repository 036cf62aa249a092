"""`python -m benchmark sources ...`: pretrained generators."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from benchmark.cli.options import FiniteRange, cache_option, echo, wide_console


@click.group(
    no_args_is_help=False,
    epilog="""\b
Examples:
  python -m benchmark sources fetch stylegan2-church-config-f --accept-licence
  python -m benchmark sources import ffhq-res256-mirror-paper256-noaug.pkl --out ffhq-256
  python -m benchmark sources verify ffhq-256
  python -m benchmark run --suite own --source ffhq-256 --domains path/to/paintings
  python -m benchmark sources export ffhq-256 --to rosinality""",
)
def sources() -> None:
    """Pretrained generators: fetch, import, check, export, train."""


@sources.command(name="list", epilog="\b\nExample:\n  python -m benchmark sources list")
@cache_option
def list_(cache: Path) -> None:
    """List all sources: those of the suite and those you imported."""
    from benchmark.cli import listing

    wide_console().print(listing.TABLES["sources"](cache))


@sources.command(epilog="\b\nExample:\n  python -m benchmark sources show open-peeps-64")
@click.argument("name")
@cache_option
def show(name: str, cache: Path) -> None:
    """Show the card of a source: origin, architecture, licence, scores, and how much it uses its noise.

    "noise" is what each layer's noise adds, as a share of its features; "noise moves" is the perceptual distance of two
    noises at the same latent.
    """
    from benchmark.cli.listing import card_text
    from benchmark.sources import find_source, load_source
    from benchmark.sources.noise import noise_facts
    from benchmark.system.hardware import prepare_torch

    source = find_source(name, cache)
    prepare_torch()
    nets, _ = load_source(source)
    echo(card_text(source, noise_facts(nets.g_ema.eval(), cache)))


@sources.command(
    epilog="""\b
Examples:
  python -m benchmark sources fetch stylegan2-church-config-f --accept-licence
  python -m benchmark sources fetch stylegan2-church-config-f --from ~/Downloads --accept-licence"""
)
@click.argument("name")
@click.option("--accept-licence", is_flag=True, help="Accept the licence that `datasets info NAME` shows.")
@click.option(
    "--from",
    "given",
    type=click.Path(path_type=Path),
    metavar="FILE_OR_FOLDER",
    help="Use files that you downloaded yourself; the network is not used.",
)
@cache_option
def fetch(name: str, accept_licence: bool, given: Path | None, cache: Path) -> None:
    """Download a pretrained network of the field, check it and make a source of it.

    This is `datasets fetch NAME` and `sources import NAME` in one; existing files are kept.
    """
    from benchmark.cli.datasets import get
    from benchmark.cli.listing import card_text
    from benchmark.domains.assets import fetched_checkpoint, list_targets
    from benchmark.errors import UnknownName
    from benchmark.fetch.download import Line
    from benchmark.sources import list_sources
    from benchmark.sources.importing import import_source

    networks = list_targets("source")
    if name not in networks:
        raise UnknownName("pretrained network", name, networks)
    card, here = networks[name], list_sources(cache)
    if name not in here:
        get(card, cache, accept_licence, given, Line())
    source = here.get(name) or import_source(fetched_checkpoint(card, cache), name, cache, (), card.licence)
    echo(card_text(source))
    echo(f"{'already imported' if name in here else 'imported'}; {use_of(name)}")


@sources.command(
    name="import",
    epilog="""\b
Examples:
  python -m benchmark sources import ffhq-res256-mirror-paper256-noaug
  python -m benchmark sources import network-snapshot-025000.pkl
  python -m benchmark sources import 550000.pt --out ffhq-256-rosinality
  python -m benchmark sources import generator-only.pt --allow 'd.*'""",
)
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE_OR_NAME")
@click.option("--out", "name", metavar="NAME", help="Name of the source.  [default: the file's name]")
@click.option(
    "--allow",
    multiple=True,
    metavar="NAME",
    help="Accept that this tensor is missing, unexpected or misshapen; a pattern such as 'd.b4.*'. Repeatable.",
)
@click.option("--licence", help="Licence of the weights, for the card; a FILE does not state it, and NAME has its own.")
@click.option("--bgr", is_flag=True, help="The file's images have blue first, as those of mmgeneration's trainings.")
@click.option("--replace", is_flag=True, help="Replace an earlier import of the same name.")
@cache_option
def import_(
    file: Path, name: str | None, allow: tuple[str, ...], licence: str | None, bgr: bool, replace: bool, cache: Path
) -> None:
    """Import a StyleGAN2 checkpoint: NVIDIA's .pkl (PyTorch or TensorFlow), rosinality's .pt, .safetensors.

    NAME is a pretrained network that `datasets fetch NAME` downloaded. Nothing in the file is executed. Every tensor
    must fit; what was written is read again and compared.
    """
    from benchmark.cli.listing import card_text
    from benchmark.domains.assets import fetched_checkpoint, list_targets
    from benchmark.sources.importing import import_source

    card = None if file.exists() else list_targets("source").get(str(file))
    if card:
        file, name, licence = fetched_checkpoint(card, cache), name or card.name, licence or card.licence
    source = import_source(file, name, cache, allow, licence, replace, bgr)
    echo(card_text(source))
    echo(f"imported; {use_of(source.name)}")


def use_of(name: str) -> str:
    """The command that adapts a source to somebody's images."""
    return f"use it with: python -m benchmark run --suite own --source {name} --domains FOLDER"


CHECKPOINTS = "checkpoints"
"""The folder of a run that holds what was trained."""
AS_TRAINED = (
    "these are the weights as trained; where a method joins them with the source's, or changes them, the network of "
    "its row is written by: python -m benchmark export RUN --method NAME --format rosinality (or safetensors)"
)


def find_or_file(name: str, cache: Path) -> Any:
    """A source by name, or a safetensors file of this suite (an adapted network) by its path."""
    from benchmark.sources import file_source, find_source, list_sources

    if name.endswith(".safetensors") and name not in list_sources(cache):
        return file_source(Path(name))
    return find_source(name, cache)


@sources.command(
    epilog="""\b
Examples:
  python -m benchmark sources verify open-peeps-64
  python -m benchmark sources verify ffhq-256 --expected images.npz"""
)
@click.argument("name")
@click.option(
    "--expected",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Images made elsewhere: .npz or .safetensors with z, images in [-1, 1] (psi 1, constant noise) and perhaps c.",
)
@cache_option
def verify(name: str, expected: Path | None, cache: Path) -> None:
    """Check a source: its file's hash, a strict load, and images at fixed latents. NAME may be a checkpoint's path."""
    from benchmark.sources.check import verify
    from benchmark.system.hardware import prepare_torch

    prepare_torch()
    for line in verify(find_or_file(name, cache), expected):
        echo(line)


@sources.command(
    epilog="""\b
Examples:
  python -m benchmark sources export open-peeps-64 --to rosinality
  python -m benchmark sources export FOLDER/checkpoints/KEY.safetensors --to nvidia --out adapted.safetensors"""
)
@click.argument("name")
@click.option(
    "--to",
    "layout",
    type=click.Choice(["rosinality", "nvidia"]),
    required=True,
    help="rosinality: .pt with g, g_ema, d, latent_avg. nvidia: .safetensors with names such as G_ema.mapping.w_avg.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="File to write.  [default: NAME-LAYOUT.pt or .safetensors]"
)
@cache_option
def export(name: str, layout: str, out: Path | None, cache: Path) -> None:
    """Write a source, or an adapted network (NAME is its path), for other tools; then read it again and compare."""
    from benchmark.sources.exporting import SUFFIXES, export_source

    source = find_or_file(name, cache)
    path = out or Path(f"{source.name}-{layout}{SUFFIXES[layout]}")
    for note in export_source(source, layout, path):
        echo(f"note: {note}")
    if Path(name).parent.name == CHECKPOINTS and source.path == Path(name):
        echo(f"note: {AS_TRAINED}")
    echo(f"written: {path}")


@sources.command(epilog="\b\nExample:\n  python -m benchmark sources train open-peeps-64")
@click.argument("name")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder for the training state and snapshots.  [default: sources/NAME in the cache folder]",
)
@click.option("--kimg", type=FiniteRange(min=0, min_open=True), help="Train to this length instead of the recipe's.")
@click.option("--device", default="auto", show_default=True)
@cache_option
def train(name: str, out: Path | None, kimg: float | None, device: str, cache: Path) -> None:
    """Train a source by its recipe; run the same command again to resume.

    On several devices or cores: torchrun --nproc-per-node=2 -m benchmark sources train NAME
    """
    from benchmark.running.setup import usable_device
    from benchmark.sources.training import train_source

    folder = out or cache / "sources" / name
    train_source(name, folder, cache, kimg, usable_device(device), click.echo)
    echo(f"snapshots and log in {folder}")


@sources.command(epilog="\b\nExample:\n  python -m benchmark sources score open-peeps-64 FOLDER/snapshot-*.safetensors")
@click.argument("name")
@click.argument("snapshots", type=click.Path(path_type=Path, exists=True, dir_okay=False), nargs=-1, required=True)
@click.option("--samples", type=click.IntRange(min=2), default=1000, show_default=True)
@cache_option
def score(name: str, snapshots: tuple[Path, ...], samples: int, cache: Path) -> None:
    """Print KID and FD of snapshots to the held-out images of the recipe's domain; draw a sample grid for each."""
    from benchmark.sources.scores import score_snapshots

    for line in score_snapshots(name, snapshots, samples, cache):
        echo(line)
