"""Pictures of an adapted generator: files, a grid, and the images that an evaluation measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from benchmark.api import Control
from benchmark.config import EvalConfig
from benchmark.errors import DataError
from benchmark.metrics.sampling import Sampler, to_uint8
from benchmark.report.figures.grids import read_strip
from benchmark.results import ResultStore
from benchmark.use.adapted import Adapted
from benchmark.use.pictures import write_grid, write_picture


def write_pictures(
    net: Adapted,
    seeds: Sequence[int],
    controls: Sequence[Control],
    out: Path,
    psi: float = 1.0,
    noise: str = "method",
    label: int | None = None,
    reals: np.ndarray | None = None,
) -> int:
    """A PNG for each seed and control into the folder `out`; or, if `out` ends in .png, all of them as one grid.

    A row of the grid is a value of the control; the first row shows `reals`, uint8 [N, 3, R, R], if there are any.
    Gives the number of images of the generator.
    """
    drawn = {control: to_uint8(net.images(seeds, control, psi, noise, label)) for control in controls}
    return write_images(net, drawn, seeds, out, reals)


def write_images(
    net: Adapted, drawn: Mapping[Control, np.ndarray], seeds: Sequence[int], out: Path, reals: np.ndarray | None = None
) -> int:
    """Images by value of the control, uint8 [N, 3, R, R] each, as `write_pictures` writes them."""
    shown = () if reals is None else reals[: len(seeds)]
    if out.suffix.lower() == ".png":
        rows = [(label_of(net, control), [*images]) for control, images in drawn.items()]
        write_grid(out, [*([("real images", [*shown])] if len(shown) else []), *rows])
    else:
        for control, images in drawn.items():
            value = "" if len(drawn) == 1 else f"-{control}"
            for seed, image in zip(seeds, images, strict=True):
                write_picture(out / f"seed{seed:04d}{value}.png", image)
        for i, image in enumerate(shown):
            write_picture(out / f"real{i:04d}.png", image)
    return sum(map(len, drawn.values()))


def label_of(net: Adapted, control: Control) -> str:
    """What a row of images is called."""
    return net.title if control is None else f"{net.title}, {net.method.control_name} {control}"


def evaluated_images(net: Adapted, count: int, control: Control = None) -> np.ndarray:
    """uint8 [count, 3, R, R], the first images that the evaluation of the record measured, bit for bit.

    Raises DataError for a network without a record, or where the evaluation drew fewer.
    """
    record = net.record
    if record is None:
        raise DataError("a source that belongs to no run was not evaluated.")
    cfg = EvalConfig.model_validate(record.settings["eval"])
    if count > cfg.pairs:
        raise DataError(f"{count} images asked for; of the evaluation the first {cfg.pairs} can be drawn again.")
    streams = (record.source_sha256, record.domain_digest, record.seed)
    g, sampler = net.generator(control), Sampler(net.source, cfg, streams)
    return sampler.pairs(g, lambda n, rng: net.method.noise(g, n, control, rng))[:count]


def real_images(out: Path, domain: str) -> np.ndarray:
    """uint8 [N, 3, R, R], the first held-out images of a domain, from the strip that a run keeps of them.

    Raises DataError where the folder has none.
    """
    what = "real images"
    for record in ResultStore(out).read_all()[0]:
        if record.domain == domain and what in record.references:
            with suppress(ValueError, OSError):  # that file is gone, or no strip: another record may have one
                strip = read_strip(out, record, record.references[what], enlarge=False)
                pixels = np.asarray(strip.convert("RGB")).transpose(2, 0, 1)
                px = pixels.shape[1]
                return np.stack([pixels[:, :, x : x + px] for x in range(0, pixels.shape[2] - px + 1, px)])
    raise DataError(f"{out} keeps no real images of {domain}; run the suite with its source row, or leave out --reals.")
