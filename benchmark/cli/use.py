"""`python -m benchmark generate`: pictures and videos of trained networks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from benchmark.cli.options import FiniteRange, cache_option, echo, plugin_option, wide_console
from benchmark.config import seed_range
from benchmark.errors import ConfigError
from benchmark.system.text.lists import listed

if TYPE_CHECKING:
    from benchmark.api import Control
    from benchmark.use.adapted import Adapted


MOST_PICTURES = 100_000
"""That a range of seeds may stand for: as many as the field's largest counts of samples."""
MOST_FRAMES = 36_000
"""Of a video: ten minutes at the highest rate."""
NO_GRID = (".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".mp4")
"""Endings of pictures and videos, which no folder should have."""


def seeds(ctx: click.Context, option: click.Parameter, text: str) -> list[int]:
    """ "0-3,7" -> [0, 1, 2, 3, 7], each once."""
    try:
        found = [seed for part in text.split(",") for seed in seed_range(part, MOST_PICTURES)]
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from None
    return list(dict.fromkeys(found))


def first(seeds: list[int], count: int | None) -> list[int]:
    """The first so many of the seeds; where --seeds is not given, of 0, 1, 2, ... ConfigError where there are fewer."""
    if count is None:
        return seeds
    if click.get_current_context().get_parameter_source("seeds") is ParameterSource.DEFAULT:
        return list(range(count))
    if count > len(seeds):
        raise ConfigError(f"--n {count}: --seeds names {len(seeds)}; leave one of the two out.")
    return seeds[:count]


def controls(ctx: click.Context, option: click.Parameter, text: str | None) -> list[Any]:
    """ "0,0.5,1" -> [0.0, 0.5, 1.0]; words stay words."""
    from benchmark.system.text.plain_yaml import NotPlainYaml, plain_yaml

    try:
        return [] if text is None else [plain_yaml(part) for part in text.split(",") if part.strip()]
    except NotPlainYaml as error:
        raise click.BadParameter(f"{error}.") from None


def network_options(command: Any) -> Any:
    """RUN, --method, --domain, --seed and --source: which network."""
    for option in (
        click.argument("run", type=click.Path(path_type=Path), required=False),
        click.option("--method", help="Its name; `source` is the untouched source.  [default: the only one]"),
        click.option("--domain", help="Which of the run's domains.  [default: the only one]"),
        click.option("--training-seed", type=int, help="Which repetition of the run.  [default: its smallest seed]"),
        click.option("--source", help="A source as it is, instead of a RUN (see: sources list)."),
    )[::-1]:
        command = option(command)
    return command


def refuse(where: str, *names: str) -> None:
    """ConfigError where the command line gives one of these options, which would change nothing there."""
    context = click.get_current_context()
    given = [
        option.opts[0]
        for option in context.command.params
        if option.name in names and context.get_parameter_source(option.name) is not ParameterSource.DEFAULT
    ]
    if given:
        raise ConfigError(f"{' and '.join(given)} would change nothing {where}; leave it out.")


def network(
    run: Path | None,
    method: str | None,
    domain: str | None,
    training_seed: int | None,
    source: str | None,
    plugins: tuple[str, ...],
    cache: Path,
) -> Adapted:
    """The network that the options name. Raises ConfigError where they name none or two."""
    from benchmark.system.hardware import prepare_torch
    from benchmark.use.adapted import from_run, only_method, untouched

    prepare_torch()
    if (run is None) == (source is None):
        raise ConfigError("name a results folder, such as results/runs/avatars, or a network with --source NAME.")
    if source is not None:
        refuse("beside --source, which names a network by itself", "method", "domain", "training_seed")
        return untouched(source, cache)
    assert run is not None
    return from_run(run, cache, method or only_method(run), domain, training_seed, plugins)


def refuse_unused(source: str | None, seeds: list[int], asked: list[Any], evaluated: bool, video: str) -> None:
    """ConfigError for options of `generate` that the others leave without effect; `video`: what moves in it, if any."""
    if not video:
        refuse("without --video", "walk", "seconds", "fps")
    else:
        refuse("beside --video, a file of the generator's images alone", "reals", "evaluated", "out")
    if video == "control":
        refuse("in a video of the control, which goes through all its values (--walk latents holds it)", "asked")
    elif video and len(asked) > 1:
        raise ConfigError("--control: a video of latents holds one value of the control; give one.")
    if evaluated:
        refuse("beside --evaluated, which draws as the evaluation did", "psi", "noise", "label")
        if seeds != [*range(len(seeds))]:
            raise ConfigError("--seeds: --evaluated draws the evaluation's first images; say how many with --n.")
    if source is not None:
        refuse("beside --source, which has no domain", "reals")


def frames_of(seconds: float, fps: int) -> int:
    """How many frames a video has; ConfigError for too many."""
    if seconds * fps > MOST_FRAMES:
        raise ConfigError(
            f"--seconds {seconds:g} with --fps {fps}: a video has at most {MOST_FRAMES} frames; make it shorter."
        )
    return max(2, round(seconds * fps))


def checked(net: Adapted, asked: list[Any]) -> list[Control]:
    """The values of the control that were asked for, or the method's default."""
    return [net.check(value) for value in asked] or [net.method.default_control]


def filmed(
    net: Adapted,
    video: Path,
    walk: str,
    seeds: list[int],
    control: Control,
    frames: int,
    fps: int,
    how: tuple[float, str, int | None],
) -> str:
    """Write a video, drawn with `how`: psi, noise and label; a line about it. ConfigError where it cannot be one."""
    from benchmark.system.progress import Bars
    from benchmark.use.pictures import check_video, sheet_sides, write_video
    from benchmark.use.walk import control_walk, latent_walk

    psi, noise, label = how
    px = net.source.cfg.resolution
    check_video(video, fps, sheet_sides(len(seeds), px) if walk == "control" else (px, px))
    drawn = (
        control_walk(net, seeds, frames, psi, noise, label)
        if walk == "control"
        else latent_walk(net, seeds, frames, psi, control, noise, label)
    )
    with Bars(wide_console()) as bars:
        write_video(video, bars.over(drawn, frames, "draw frames"), fps)
    return f"{frames} frames, {fps} per second, of {net.title} in {video}"


@click.command(
    epilog="""\b
Examples:
  python -m benchmark generate results/runs/smoke --method fixnoise --domain toy-rings --seeds 0-63
  python -m benchmark generate results/runs/smoke --method fixnoise --domain toy-rings --control 0,0.5,1 --out a.png
  python -m benchmark generate results/runs/smoke --method fixnoise --domain toy-rings --video control.webp
  python -m benchmark generate --source peeps-ink-64 --seeds 0-7 --video latents.webp --walk latents"""
)
@network_options
@click.option("--seeds", callback=seeds, default="0-15", show_default=True, help="An image for each: 0-63, or 3,7.")
@click.option(
    "--n",
    "count",
    type=click.IntRange(1, MOST_PICTURES),
    metavar="N",
    help="Only the first N seeds; without --seeds, 0 to N-1.",
)
@click.option("--control", "asked", callback=controls, help="Values of the control: 0,0.5,1.  [default: the method's]")
@click.option("--psi", type=FiniteRange(0, 1), default=1.0, show_default=True, help="Truncation: 1 is none.")
@click.option(
    "--noise",
    type=click.Choice(["method", "anchor", "random", "none"]),
    default="method",
    show_default=True,
    help="method: as the method is evaluated; anchor: the source's stored maps; random: new maps; none: no noise.",
)
@click.option("--label", type=int, help="Class, for a network with labels.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="A folder for PNGs, or one .png for a grid.  [default: pictures/METHOD-DOMAIN]",
)
@click.option(
    "--reals", is_flag=True, help="Real images of the domain, too: a row of the grid, or in a folder OUT-reals."
)
@click.option(
    "--evaluated",
    is_flag=True,
    help="Instead of --seeds: the images that the run's evaluation measured, as eval0000.png and so on.",
)
@click.option("--video", type=click.Path(path_type=Path), help="A looping .mp4, .gif or .webp instead of pictures.")
@click.option(
    "--walk",
    type=click.Choice(["control", "latents"]),
    default="control",
    show_default=True,
    help="What moves in the video: the control, from end to end and back; or the latents, from seed to seed.",
)
@click.option("--seconds", type=FiniteRange(min=0, min_open=True), default=6.0, show_default=True)
@click.option("--fps", type=click.IntRange(1, 60), default=24, show_default=True, help="Frames per second.")
@plugin_option
@cache_option
def generate(
    run: Path | None,
    method: str | None,
    domain: str | None,
    training_seed: int | None,
    source: str | None,
    seeds: list[int],
    count: int | None,
    asked: list[Any],
    psi: float,
    noise: str,
    label: int | None,
    out: Path | None,
    reals: bool,
    evaluated: bool,
    video: Path | None,
    walk: str,
    seconds: float,
    fps: int,
    plugins: tuple[str, ...],
    cache: Path,
) -> None:
    """Draw pictures with an adapted generator of a RUN (its results folder), or with a source.

    The same seed gives the same picture, bit for bit at the same number of threads on the same kind of processor; its
    latent is that of stylegan2-ada-pytorch's generate.py.
    """
    from benchmark.use import generate as engine
    from benchmark.use.pictures import check_video, require_place

    seeds = first(seeds, count)
    refuse_unused(source, seeds, asked, evaluated, walk if video else "")
    length = frames_of(seconds, fps)
    if out is not None and out.suffix.lower() in NO_GRID:
        raise ConfigError(f"--out {out.name}: name a folder, or a grid that ends in .png.")
    if video is not None:
        check_video(video, fps)
        require_place(video)
    net = network(run, method, domain, training_seed, source, plugins, cache)
    values = checked(net, asked)
    if video is not None:
        echo(filmed(net, video, walk, seeds, values[0], length, fps, (psi, noise, label)))
        return
    target = out or engine.default_folder(net, source)
    shown = engine.real_images(run, net.record.domain) if reals and run and net.record else None
    if evaluated:
        images = {value: engine.evaluated_images(net, len(seeds), value) for value in values}
        made = engine.write_images(net, images, range(len(seeds)), target, shown, "eval")
        if net.record and (ways := engine.unlike(net.record)):
            echo(f"note: the record was measured {listed(ways)}: single grey levels may differ", err=True)
    else:
        made = engine.write_pictures(net, seeds, values, target, psi, noise, label, shown)
    also = f", real images in {engine.reals_folder(target)}" if reals and target.suffix.lower() != ".png" else ""
    echo(f"{made} pictures of {net.title} in {target}{also}")
