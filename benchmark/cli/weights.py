"""`python -m benchmark weights ...`: the weight files of measuring networks, listed and downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmark.cli.options import cache_option, wide_console

if TYPE_CHECKING:
    from benchmark.fetch.download import Line, Stage
    from benchmark.metrics.networks.weight_files import WeightFile


@click.group(
    no_args_is_help=False,
    epilog="""\b
Examples:
  python -m benchmark weights list
  python -m benchmark weights fetch inception
  python -m benchmark weights fetch fid lpips_vgg""",
)
def weights() -> None:
    """The weight files of measuring networks: list and download."""


@weights.command(name="list", epilog="\b\nExample:\n  python -m benchmark weights list")
@cache_option
def list_(cache: Path) -> None:
    """List weight files: what each is for, its licence, whether it is available locally and how to get it."""
    from rich.console import Group

    from benchmark.cli.listing import lines, table_of
    from benchmark.metrics.networks.weight_files import NETWORK_FILES, WEIGHT_FILES, locate

    table = table_of("Weight files", "name", "file", "networks", "licence", "here")
    missing = {}
    for key, file in WEIGHT_FILES.items():
        networks = ", ".join(network for network, keys in NETWORK_FILES.items() if key in keys)
        found = locate(file, {}, cache)
        table.add_row(key, file.filename, networks, file.licence, "yes" if found.path else "no")
        if found.reason:
            missing[key] = found.reason
    wide_console().print(Group(table, *lines(missing)))


@weights.command(
    epilog="""\b
Examples:
  python -m benchmark weights fetch inception
  python -m benchmark weights fetch fid lpips_vgg"""
)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@cache_option
def fetch(names: tuple[str, ...], cache: Path) -> None:
    """Download weight files and check their hashes. NAME is a file's name in `weights list`, or a metric that needs it.

    Existing files are kept: run the same command again to resume.
    """
    from benchmark.fetch.download import Line
    from benchmark.metrics.networks.weight_files import locate
    from benchmark.system.progress import Bars

    with Bars(wide_console()) as bars:
        for file in dict.fromkeys(file for name in names for file in files_of(name)):
            here = locate(file, {}, cache).path
            bars.say(f"{file.key}: {here or get(file, cache, Line(), bars.stage)}")


def files_of(name: str) -> list[WeightFile]:
    """The file called `name`, or those that the metric or the network `name` needs; UnknownName, ConfigError."""
    from benchmark.errors import ConfigError, UnknownName
    from benchmark.metrics import list_metrics
    from benchmark.metrics.networks.weight_files import NETWORK_FILES, WEIGHT_FILES

    if name in WEIGHT_FILES:
        return [WEIGHT_FILES[name]]
    metrics = list_metrics()
    network = metrics[name].network if name in metrics else name
    if network not in NETWORK_FILES:
        raise UnknownName("weight file or metric", name, {*WEIGHT_FILES, *NETWORK_FILES, *metrics})
    if not NETWORK_FILES[network]:
        raise ConfigError(f"{name} needs no weight file.")
    return [WEIGHT_FILES[key] for key in NETWORK_FILES[network]]


def get(file: WeightFile, cache: Path, line: Line, stage: Stage) -> Path:
    """Download `file` into the cache's folder of weights, where runs look; DataError, WeightsError."""
    from benchmark.domains.assets import RemoteFile
    from benchmark.errors import DataError, WeightsError
    from benchmark.fetch.download import download
    from benchmark.metrics.networks.weight_files import locate
    from benchmark.system.locks import alone

    if not file.url:
        raise WeightsError(f"{locate(file, {}, cache).reason}")
    path = cache / "weights" / file.filename
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with alone(path.with_name(f".{path.name}.lock")):
            if locate(file, {}, cache).path is None:
                download(RemoteFile(name=file.filename, url=file.url, sha256=file.sha256), path, line, stage)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror or error}; choose another --cache") from error
    return path
