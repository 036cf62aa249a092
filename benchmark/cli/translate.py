"""`python -m benchmark translate` and `demo`: pictures through adapted networks, by command and on a page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from benchmark.cli.options import cache_option, echo, plugin_option, some, wide_console
from benchmark.cli.use import controls
from benchmark.errors import ConfigError


@click.command(
    epilog="""\b
Examples:
  python -m benchmark translate photo.png --run results/runs/avatars --domain peeps-blueprint --out strip.png
  python -m benchmark translate a.png b.png --run RUN --method fixnoise,freezed --control 0,0.5,1 --out strip.png"""
)
@click.argument("pictures", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PICTURE...")
@click.option("--run", required=True, type=click.Path(path_type=Path), help="The results folder of a run.")
@click.option("--method", "methods", callback=some, help="Names, each a row.  [default: all of the run]")
@click.option("--domain", help="Which of the run's domains.  [default: the only one]")
@click.option("--training-seed", type=int, help="Which repetition of the run.  [default: its smallest seed]")
@click.option(
    "--control", "asked", callback=controls, help="Values, for the methods that take them.  [default: theirs]"
)
@click.option(
    "--space",
    type=click.Choice(["z", "w", "w+"]),
    default="w+",
    show_default=True,
    help="Where the picture is looked for: w+ comes nearest to it, w and z stay nearer to what the source draws.",
)
@click.option("--steps", type=click.IntRange(1, 10000), help="Steps of the inversion.  [default: 300]")
@click.option("--anchor", is_flag=True, help="Keep the noise at the source's anchor; by default it is optimised, too.")
@click.option(
    "--distance",
    type=click.Choice(["st_lpips_alex", "lpips_vgg"]),
    default="st_lpips_alex",
    show_default=True,
    help="What the search descends on; lpips_vgg needs its weight file (see: list metrics).",
)
@click.option("--out", type=click.Path(path_type=Path), default=Path("strip.png"), show_default=True, help="A .png.")
@plugin_option
@cache_option
def translate(
    pictures: tuple[Path, ...],
    run: Path,
    methods: list[str] | None,
    domain: str | None,
    training_seed: int | None,
    asked: list[Any],
    space: Any,
    steps: int | None,
    anchor: bool,
    distance: Any,
    out: Path,
    plugins: tuple[str, ...],
    cache: Path,
) -> None:
    """Translate each PICTURE with the adapted generators of a run: the picture, its inversion, and each method.

    A picture should look like those that the source was trained on, framed like them: its centre is cut out, and
    nothing is aligned. It is looked for in the source by optimisation, which takes some seconds a picture.
    """
    import numpy as np

    from benchmark.sources.inversion import Search
    from benchmark.system.hardware import prepare_torch
    from benchmark.system.progress import Bars
    from benchmark.use import translate as engine
    from benchmark.use.adapted import from_run, methods_in
    from benchmark.use.pictures import require_place, write_grid

    if out.suffix.lower() != ".png":
        raise ConfigError(f"--out {out.name}: give a name that ends in .png.")
    if out.exists() and any(path.exists() and path.samefile(out) for path in pictures):
        raise ConfigError(f"--out {out} is one of the pictures, which it would replace; give another name.")
    require_place(out)
    prepare_torch()
    names = methods or methods_in(run, domain, training_seed) or methods_in(run)  # from_run says what there is
    nets = [from_run(run, cache, name, domain, training_seed, plugins) for name in names]
    if not nets:
        raise ConfigError(f"{run} has no finished records of a method.")
    engine.require_taken(nets, asked)
    net = engine.same_source(nets)
    squares = np.stack([engine.as_picture(path, net.source.cfg.resolution) for path in pictures])
    search = Search(space=space, steps=steps or Search.steps, grain=not anchor)
    stage = "look for the pictures in the source"
    with Bars(wide_console()) as bars, bars.stage(stage, len(pictures)) as advance:
        found = engine.inverted(net, squares, search, distance, cache, advance)
    for path, away, rms in zip(pictures, found.distances, found.rms, strict=True):
        echo(f"{path}: found to {distance} {away:.4f} and {rms:.0f} grey levels (root mean square)")
    drawn = engine.translations(nets, found, asked)
    write_grid(out, engine.rows(squares, found, drawn))
    echo(f"{len(pictures)} pictures, {len(drawn)} rows of translations in {out}")


@click.command(epilog="\b\nExample:\n  python -m benchmark demo results/runs/avatars")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--port", type=click.IntRange(1024, 65535), help="Port to serve on.  [default: the first free one from 7860]"
)
@click.option("--steps", type=click.IntRange(1, 10000), help="Steps of the inversion of a picture.  [default: 300]")
@click.option("--open/--no-open", "opened", default=True, show_default=True, help="Open the page in the browser.")
@plugin_option
@cache_option
def demo(run: Path, port: int | None, steps: int | None, opened: bool, plugins: tuple[str, ...], cache: Path) -> None:
    """Serve a page with the adapted networks of RUN to this machine alone: generate, or upload a picture.

    Nothing is sent anywhere; uploads are removed after an hour, at the latest when it ends (Ctrl-C).
    """
    import threading
    import webbrowser

    from benchmark.sources.inversion import Search
    from benchmark.system.hardware import prepare_torch
    from benchmark.use.demo import Networks, served

    prepare_torch()
    networks, search = Networks(run, cache, plugins), Search(steps=steps or Search.steps)
    with served(networks, cache, search, port) as address:
        echo(f"the page is at {address} (Ctrl-C ends it)")
        if opened:
            webbrowser.open(address)
        threading.Event().wait()
