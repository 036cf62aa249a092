"""`doctor`: checks of this machine's metrics, networks, resizing and rounding against known answers.

Each check takes the function or network that it examines as an argument and compares its answer with a known one:
worked out (known_answers.py) or stored (doctor.json). Stored ones belong to ``pictures``, which are drawn by integer
formulas; maintainers compute them again with `python -m benchmark.metrics.doctor CACHE` after a change that is meant to
move them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from torch import Tensor, nn

from benchmark.domains.pictures.pixels import to_square
from benchmark.errors import DataError, WeightsError, as_line
from benchmark.metrics import list_metrics
from benchmark.metrics.base import STAND_IN, Images
from benchmark.metrics.evaluator import Evaluator
from benchmark.metrics.known_answers import (
    Check,
    balanced,
    close,
    clustered,
    compared,
    known_answers,
    same,
    translated,
    walked,
)
from benchmark.metrics.networks.features import FeatureNetwork, images_to_features
from benchmark.metrics.networks.perceptual import PerceptualNetwork, images_to_distances
from benchmark.metrics.networks.resizing import resize
from benchmark.metrics.networks.weight_files import NETWORK_FILES, WEIGHT_FILES, WeightFile, locate
from benchmark.metrics.sampling import to_uint8
from benchmark.metrics.translation import TRANSLATED
from benchmark.results import Doctor

Values = dict[str, list]
"""Numbers by name, as JSON holds them."""

OF_IMAGES: Mapping[str, Callable[[], list[Check]]] = {
    "intra": clustered,
    "intra_balanced": balanced,
    "path_length": walked,
    **{kind: partial(translated, kind) for kind in TRANSLATED},
}
"""Known answers of kinds that neither sets of features nor pairs of images make up."""

STORED = Path(__file__).with_suffix(".json")
TOLERANCE = 1e-3
"""For stored values: processors differ by 1e-5, another resize or layer moves far more."""
BATCH_TOLERANCE = 1e-4
"""Another batch may mean another algorithm; statistics over the batch would move features by tens of percent."""


def examine(evaluator: Evaluator) -> list[Check]:
    """Check what the evaluator's metrics depend on, with its own networks on its own device; takes about a second.

    Never raises: a check that ends in an error has failed.
    """
    groups: list[tuple[str, Callable[[], list[Check]]]] = [("rounding", rounding), ("resize", resizing)]
    kinds = list(dict.fromkeys(info.kind for info in evaluator.infos))
    groups += [(kind, partial(known_answers, kind)) for kind in kinds]
    groups.append(("pairs", partial(compared, kinds)))
    groups += [(kind, group) for kind, group in OF_IMAGES.items() if kind in kinds]
    pooled, perceptual = networks_of(evaluator)
    for network in dict.fromkeys(info.network for info in evaluator.infos):
        if network in evaluator.missing:
            groups.append((network, partial(missing, network, evaluator.missing[network])))
            continue
        groups.append((f"{network} weights", partial(weights, network, evaluator.cache)))
        if network in pooled:
            examined = partial(feature_network, network, pooled[network], evaluator.device)
            groups.append((f"{network} features", examined))
        if network in perceptual:
            examined = partial(distance_network, network, perceptual[network], evaluator.device)
            groups.append((f"{network} distances", examined))
    return [check for name, group in groups for check in finished(name, group)]


def verdict(checks: Sequence[Check]) -> Doctor:
    """The checks that had an answer counted, the failed ones as a line each."""
    failed = tuple(f"{c.name}: found {c.found}; expected {c.expected}" for c in checks if c.state == "failed")
    return Doctor(passed=not failed, checks=sum(c.state != "not available" for c in checks), failed=failed)


def networks_of(evaluator: Evaluator) -> tuple[dict[str, FeatureNetwork], dict[str, PerceptualNetwork]]:
    """The networks that the evaluator has loaded, by name: for features, for distances."""
    return {name: net for name, (net, _) in evaluator.pooled.items()}, dict(evaluator.perceptual)


def missing(network: str, reason: str) -> list[Check]:
    """A network that this machine does not have is no fault of the measuring."""
    return [Check(f"{network}: network", "not available", reason, "–")]


def finished(name: str, group: Callable[[], list[Check]]) -> list[Check]:
    """The group's checks, or one failed check if it ends in an error."""
    try:
        return group()
    except Exception as error:  # whatever is broken, the other checks and the run continue
        return [Check(name, "failed", as_line(error), "an answer")]


def as_stored(name: str, found: ArrayLike, tolerance: float = TOLERANCE) -> Check:
    """Compare with the values stored under that name."""
    expected = read_stored().get(name)
    if expected is None:
        return Check(f"{name}: stored values", "not available", "no stored value", "–")
    return close(f"{name}: stored values", found, expected, tolerance)


# From a network's output to the pixels that are measured


def rounding(convert: Callable[[Tensor], np.ndarray] = to_uint8) -> list[Check]:
    """Floats beside, on and beyond the 256 levels; 0 lies between two levels and belongs to the even one."""
    levels = np.arange(-20, 276)
    floats = (np.stack([levels - 0.25, levels, levels + 0.25]) - 127.5) / 127.5
    found = convert(torch.from_numpy(floats.astype(np.float32).reshape(1, 3, 8, 37)))
    half = convert(torch.zeros(1, 3, 1, 1))
    return [
        close("rounding: to the nearest level", found.reshape(3, 296), np.clip([levels] * 3, 0, 255), 0),
        same("rounding: half", half.flatten().tolist(), [128] * 3),
    ]


def resizing(
    square: Callable[[Image.Image, int], np.ndarray] = to_square, scale: Callable[[Tensor, int], Tensor] = resize
) -> list[Check]:
    """What brings users' images to the suite's size, and generated images to a network's: filter and antialiasing."""
    # whole levels, which another Pillow may round otherwise
    return [as_stored(n, x, 0.01 if x.dtype == np.uint8 else TOLERANCE) for n, x in resized(square, scale).items()]


def resized(
    square: Callable[[Image.Image, int], np.ndarray] = to_square, scale: Callable[[Tensor, int], Tensor] = resize
) -> dict[str, np.ndarray]:
    """Pixels of the busiest picture: cropped and eight times smaller, then twice as large and smaller for networks."""
    busy = pictures()[3]
    small = square(Image.fromarray(np.ascontiguousarray(busy[:, :50].transpose(1, 2, 0))), 8)
    tensor = torch.from_numpy(busy[None])
    return {
        "resize of images to 8 px": small,
        "resize for networks to 128 px": scale(tensor, 128)[0, :, ::16, ::16].numpy(),
        "resize for networks to 24 px": scale(tensor, 24)[0, :, ::3, ::3].numpy(),
    }


# Networks


def weights(network: str, cache: Path, files: Mapping[str, WeightFile] = WEIGHT_FILES) -> list[Check]:
    """The network's files, found where a run finds them, with the published hash."""
    if network.startswith(STAND_IN):
        return [Check(f"{network}: weights", "not available", "stand-in files, as requested", "published files")]
    checks = []
    for key in NETWORK_FILES[network]:
        file, name = files[key], f"{network}: {files[key].filename}"
        published = f"sha256 {file.sha256[:12]}…"
        try:
            place = locate(file, {}, cache)
        except WeightsError as error:  # the user named a file, and it is not this one
            checks.append(Check(name, "failed", str(error), published))
            continue
        if place.path:
            checks.append(Check(name, "ok", published, published))
        else:
            checks.append(Check(name, "not available", place.reason or "not found", published))
    return checks


def feature_network(network: str, net: FeatureNetwork, device: str) -> list[Check]:
    """Mode, finite features, no influence of the batch, stored values."""
    images = np.concatenate([pictures(), pictures()[..., ::-1]])
    name = f"{network} features"
    try:
        together, alone = (images_to_features(net, images, device, batch, _ignore) for batch in (len(images), 1))
    except DataError as error:
        return [mode(name, net), finite(name, error)]
    return [
        mode(name, net),
        finite(name),
        close(f"{name}: batches of 1 and 8", alone, together, BATCH_TOLERANCE),
        as_stored(name, summary(together[: len(images) // 2])),
    ]


def distance_network(network: str, net: PerceptualNetwork, device: str) -> list[Check]:
    """Mode, finite distances, no influence of the batch, stored values; zero, symmetric and growing where they must."""
    images = pictures()
    name, other = f"{network} distances", np.roll(images, 1, axis=0)
    rng = np.random.default_rng(0)
    grain = rng.integers(-1, 2, images.shape)
    faint, strong = (np.clip(images + size * grain, 0, 255).astype(np.uint8) for size in (8, 48))
    others = {"self": images, "other": other, "faint": faint, "strong": strong}
    try:
        found = images_to_distances(net, images, others, device, len(images), _ignore)
        alone, back = (
            images_to_distances(net, a, {"": b}, device, batch, _ignore)[""]
            for a, b, batch in ((images, other, 1), (other, images, len(images)))
        )
    except DataError as error:
        return [mode(name, net), finite(name, error)]
    steps = np.diff([np.zeros(len(images)), found["faint"], found["strong"]], axis=0)
    return [
        mode(name, net),
        finite(name),
        close(f"{name}: batches of 1 and 4", alone, found["other"], BATCH_TOLERANCE),
        close(f"{name}: to itself", found["self"], np.zeros(len(images)), 1e-6),
        close(f"{name}: both ways", back, found["other"], BATCH_TOLERANCE),
        same(f"{name}: grow with noise", bool((steps > 0).all()), True),
        as_stored(name, found["other"]),
    ]


def finite(name: str, error: DataError | None = None) -> Check:
    """That a network's numbers are finite; `error` says which are not, and leaves nothing else to compare."""
    return Check(f"{name}: finite", "failed" if error else "ok", str(error or "all"), "all")


def mode(name: str, net: nn.Module) -> Check:
    """Evaluation mode throughout, and nothing that wants gradients."""
    training = sum(module.training for module in net.modules())
    gradients = sum(p.requires_grad for p in net.parameters())
    found = f"{training} modules in training, {gradients} parameters with gradients"
    return same(f"{name}: mode", found, "0 modules in training, 0 parameters with gradients")


def summary(features: NDArray[np.float32]) -> np.ndarray:
    """[n, d] to [n, 10]: the first eight, the mean and the root of the mean square, which are of one size."""
    x = features.astype(np.float64)
    return np.column_stack([x[:, :8], x.mean(axis=1), np.sqrt(np.square(x).mean(axis=1))])


def pictures() -> Images:
    """Ramps, a disc, tiles and a fine pattern: uint8 [4, 3, 64, 64], by integers alone and so equal everywhere."""
    y, x = np.mgrid[:64, :64]
    c = np.arange(3)[:, None, None]
    ramps = 2 * (x * (c != 1) + y * (c != 0))
    disc = np.where((x - 28) ** 2 + (y - 34) ** 2 < 400, 230 - 60 * c, 40 + 70 * c)
    tiles = (x // 8 * 53 + y // 8 * 97 + c * 71) % 256
    fine = (7 * x * x + 13 * x * y + 5 * y * y + 85 * c) % 256
    return np.stack([ramps, disc, tiles, fine]).astype(np.uint8)


def _ignore(images: int) -> None:
    """The progress bar that shows nothing: the checks take a second."""


# Stored values


def read_stored() -> Values:
    """{name of a check: numbers}."""
    values: Values = json.loads(STORED.read_text("utf-8"))["values"]
    return values


def measure_stored(evaluator: Evaluator) -> Values:
    """The numbers of this machine, under the names of doctor.json."""
    images, found = pictures(), resized()
    pooled, perceptual = networks_of(evaluator)
    for name, net in pooled.items():
        found[f"{name} features"] = summary(images_to_features(net, images, evaluator.device, 4, _ignore))
    for name, distance in perceptual.items():
        others = {"": np.roll(images, 1, axis=0)}
        found[f"{name} distances"] = images_to_distances(distance, images, others, evaluator.device, 4, _ignore)[""]
    return {name: np.vectorize(lambda x: float(f"{x:.7g}"))(values).tolist() for name, values in found.items()}


if __name__ == "__main__":  # values of networks that are unavailable stay as they are
    mine = measure_stored(Evaluator(list(list_metrics()), Path(sys.argv[1])))
    values = (read_stored() if STORED.is_file() else {}) | mine
    STORED.write_text(json.dumps({"schema": 1, "values": values}) + "\n", "utf-8")
