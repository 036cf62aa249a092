"""Pictures through adapted generators: found by inversion in the source, drawn by each method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image

from benchmark.api import Control
from benchmark.domains.pictures.images import read_picture
from benchmark.domains.pictures.pixels import to_square
from benchmark.errors import ConfigError, DataError, WeightsError
from benchmark.metrics.networks.perceptual import PerceptualNetwork, load_perceptual_network
from benchmark.metrics.networks.weight_files import NETWORK_FILES, WEIGHT_FILES, locate
from benchmark.metrics.sampling import to_uint8
from benchmark.sources.inversion import Code, Inversion, Search, invert
from benchmark.system.places import CACHE
from benchmark.system.progress import Advance
from benchmark.system.random_streams import generator
from benchmark.use.adapted import Adapted
from benchmark.use.generate import label_of

Distance = Literal["st_lpips_alex", "lpips_vgg"]
DISTANCES: tuple[Distance, ...] = ("st_lpips_alex", "lpips_vgg")
"""Networks whose distance an inversion descends on; the first comes with the packages."""
Row = tuple[str, Sequence[np.ndarray]]
"""A label, and pictures uint8 [3, R, R]."""


def translate(
    net: Adapted,
    image: str | Path | Image.Image | np.ndarray,
    control: Control = None,
    search: Search | None = None,
    distance: Distance = "st_lpips_alex",
    cache: Path = CACHE,
) -> np.ndarray:
    """`image` as the adapted generator draws it, uint8 [R, R, 3].

    `image` is a file, a Pillow image or uint8 [H, W, 3]; its centre is cut out and resized to the network's R. It
    should look like the pictures that the source was trained on, framed like them: nothing is aligned. `control` None
    is the method's default. Raises DataError for what is no picture, ConfigError for a control that the method has not.
    """
    control = net.method.default_control if control is None else net.check(control)
    found = inverted(net, as_picture(image, net.source.cfg.resolution)[None], search, distance, cache)
    return draw(net, found.code, control)[0].transpose(1, 2, 0)


def as_picture(image: str | Path | Image.Image | np.ndarray, px: int) -> np.ndarray:
    """uint8 [3, px, px], cut and resized as the pictures of a domain are. Raises DataError."""
    if isinstance(image, str | Path):
        return read_picture(Path(image), px)
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise DataError(f"a picture is uint8 [H, W, 3]; found {image.dtype} {list(image.shape)}.")
        image = Image.fromarray(image)
    try:
        return to_square(image, px)
    except (ValueError, OSError, Image.DecompressionBombError) as error:
        raise DataError(f"this picture cannot be used: {error or 'too large'}.") from None


def inverted(
    net: Adapted,
    pictures: np.ndarray,
    search: Search | None = None,
    distance: Distance = "st_lpips_alex",
    cache: Path = CACHE,
    tick: Advance = lambda pictures: None,
) -> Inversion:
    """uint8 [N, 3, R, R] found in the source of `net`. Raises WeightsError where the distance's file is missing."""
    return invert(net.source, pictures, perceptual_network(distance, cache), search, tick)


def perceptual_network(distance: Distance, cache: Path) -> PerceptualNetwork:
    """The network of one of DISTANCES. Raises WeightsError that says where its file belongs."""
    found = {key: locate(WEIGHT_FILES[key], {}, cache) for key in NETWORK_FILES[distance]}
    for place in found.values():
        if place.reason:
            raise WeightsError(f"--distance {distance}: {place.reason}.")
    return load_perceptual_network(distance, {key: place.path for key, place in found.items() if place.path})


@torch.inference_mode()
def draw(net: Adapted, code: Code, control: Control, noise: str = "method") -> np.ndarray:
    """What the adapted generator draws at a code, uint8 [N, 3, R, R]; each picture by itself, with the same noise."""
    g = net.generator(control)
    drawn = []
    for i in range(len(code)):
        maps = net.noise(g, control, noise, generator("translate"))
        drawn.append(to_uint8(code[i : i + 1].draw(g, maps)))
    return np.concatenate(drawn)


def values(net: Adapted, asked: Sequence[Control]) -> list[Control]:
    """Those of the values that the method takes; its default where it takes none."""
    return [value for value in asked if takes(net, value)] or [net.method.default_control]


def require_taken(nets: Sequence[Adapted], asked: Sequence[Control]) -> None:
    """Raise ConfigError for a value that none of the methods takes."""
    for value in asked:
        if not any(takes(net, value) for net in nets):
            able = [net for net in nets if net.method.controls != (None,)]
            (able or [*nets])[0].check(value)


def takes(net: Adapted, value: Control) -> bool:
    """Whether the method has this value of its control."""
    try:
        net.check(value)
    except ConfigError:
        return False
    return True


def rows(pictures: np.ndarray, found: Inversion, drawn: Mapping[str, np.ndarray]) -> list[Row]:
    """Of a strip: the pictures, their inversions, each method."""
    return [("picture", [*pictures]), ("inversion", [*found.images]), *((k, [*v]) for k, v in drawn.items())]


def translations(
    nets: Sequence[Adapted], found: Inversion, asked: Sequence[Control], noise: str = "method"
) -> dict[str, np.ndarray]:
    """{label: uint8 [N, 3, R, R]} of each network at each value of its control. All share the source of `found`."""
    return {label_of(net, v): draw(net, found.code, v, noise) for net in nets for v in values(net, asked)}


def same_source(nets: Sequence[Adapted]) -> Adapted:
    """The first of them, whose source is that of all. Raises DataError where they were adapted from several."""
    names = {net.record.source_sha256: net.record.source for net in nets if net.record}
    if len(names) > 1:
        raise DataError(f"these methods adapted different sources ({', '.join(names.values())}); translate one by one.")
    return nets[0]
