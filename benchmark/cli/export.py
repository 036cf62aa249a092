"""`python -m benchmark export`: an adapted generator for other programs, with its model card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from benchmark.cli.options import cache_option, echo, plugin_option
from benchmark.cli.use import checked, controls, network
from benchmark.errors import ConfigError

FORMATS = ("onnx", "torch", "safetensors", "rosinality")


@click.command(
    epilog="""\b
Examples:
  python -m benchmark export results/runs/avatars --method fixnoise --domain micah --format onnx
  python -m benchmark export results/runs/avatars --method layer_swap --control 16 --format safetensors"""
)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--method", help="Its name; `source` is the untouched source.  [default: the only one]")
@click.option("--domain", help="Which of the run's domains.  [default: the only one]")
@click.option("--training-seed", type=int, help="Which repetition of the run.  [default: its smallest seed]")
@click.option("--format", "formats", type=click.Choice(FORMATS), multiple=True, required=True, help="Repeatable.")
@click.option(
    "--control", "asked", callback=controls, help="Value of a control that changes weights.  [default: the method's]"
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder of the files.  [default: exported/METHOD-DOMAIN, then control and training seed if not the default]",
)
@plugin_option
@cache_option
def export(
    run: Path,
    method: str | None,
    domain: str | None,
    training_seed: int | None,
    formats: tuple[str, ...],
    asked: list[Any],
    out: Path | None,
    plugins: tuple[str, ...],
    cache: Path,
) -> None:
    """Write an adapted generator of a RUN for other programs, and a model card (README.md) beside it.

    onnx and torch (torch.export): latents, truncation, noise maps and a control of noise are inputs, the batch is free;
    what was written is run again and compared. safetensors and rosinality: weights under NVIDIA's or rosinality's
    names, read again and compared.
    """
    from benchmark.use.export import export_network
    from benchmark.use.export_folder import default_folder
    from benchmark.use.exported import acts_on_noise

    if len(asked) > 1:
        raise ConfigError("--control: an exported network has one value of a control that changes weights; give one.")
    net = network(run, method, domain, training_seed, None, plugins, cache)
    (control,) = checked(net, asked)
    if asked and acts_on_noise(net):
        raise ConfigError(
            f"--control {control}: the control of {net.method.name} acts on the noise alone, so the weights are the "
            "same at every value, and a graph has it as an input; leave it out."
        )
    for line in export_network(net, control, formats, out or default_folder(net, control, run), run, cache):
        echo(line)
