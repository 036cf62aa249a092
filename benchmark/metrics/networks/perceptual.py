"""The networks whose distance between two pictures makes consistency: uint8 [n, 3, R, R] twice in, float [n] out.

Paths through W give float32 of about 0 to 255 instead, neither rounded nor clamped. ``features`` and ``distance`` are
apart, so that an image passes through the network once for several comparisons.
"""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmark.errors import WeightsError
from benchmark.metrics.base import Images
from benchmark.metrics.networks.features import RandConv, full_precision, to_tensor
from benchmark.metrics.networks.finite import require_finite
from benchmark.metrics.networks.kept_maps import KeptMaps
from benchmark.metrics.networks.shift_tolerant import ShiftTolerantAlex, ShiftTolerantVgg


class PerceptualNetwork(nn.Module):
    """Interface of the image-to-image distances."""

    least_px: int
    """Smaller images leave a stage with nothing in it."""

    @abstractmethod
    def features(self, images: Tensor) -> list[Tensor]:
        """uint8 [n, 3, R, R] to a list of float maps [n, C, h, w]."""

    @abstractmethod
    def distance(self, a: list[Tensor], b: list[Tensor]) -> Tensor:
        """Distances [n] between images whose features are ``a`` and ``b``; one of the two may be of a single image."""


class StLpips(ShiftTolerantAlex, PerceptualNetwork):
    """Shift-tolerant LPIPS with AlexNet (Ghildyal and Liu 2022)."""

    least_px = 21

    def features(self, images: Tensor) -> list[Tensor]:
        """Unit-normalised maps of the five stages."""
        return [unit_normalise(x) for x in self.stages(images.float())]

    def distance(self, a: list[Tensor], b: list[Tensor]) -> Tensor:
        return weighted_distance(a, b, self.heads())


class StLpipsVgg(ShiftTolerantVgg, PerceptualNetwork):
    """Shift-tolerant LPIPS with VGG-16 (Ghildyal and Liu 2022)."""

    least_px = 18

    def features(self, images: Tensor) -> list[Tensor]:
        """Unit-normalised maps of the five stages."""
        return [unit_normalise(x) for x in self.stages(images.float())]

    def distance(self, a: list[Tensor], b: list[Tensor]) -> Tensor:
        return weighted_distance(a, b, self.heads())


class Lpips(PerceptualNetwork):
    """LPIPS v0.1 (Zhang et al. 2018) by the lpips package, with trunk weights that we have checked.

    ``net`` is "alex" or "vgg".
    """

    def __init__(self, net: str, trunk: Path, heads: Path) -> None:
        super().__init__()
        from benchmark.metrics.networks.torchvision_guard import declare_missing_operators

        declare_missing_operators()
        import lpips

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # lpips calls torchvision by an old signature
            # pnet_rand: without it the package downloads a trunk and does not check what it got
            self.net = lpips.LPIPS(net=net, pnet_rand=True, model_path=str(heads), verbose=False)
        state = torch.load(trunk, map_location="cpu", weights_only=True)
        names = self.net.net.state_dict()  # sliceK.<layer>.weight, numbered as torchvision's features.<layer>.weight
        self.net.net.load_state_dict({name: state[f"features.{name.split('.', 1)[1]}"] for name in names})
        self.least_px = {"alex": 31, "vgg": 16}[net]

    def features(self, images: Tensor) -> list[Tensor]:
        """Unit-normalised maps of the five stages."""
        return [unit_normalise(x) for x in self.net.net(self.net.scaling_layer(images.float() / 127.5 - 1))]

    def distance(self, a: list[Tensor], b: list[Tensor]) -> Tensor:
        """Zhang et al. 2018, eq. 1, with the package's learned channel weights."""
        stages = [head((x - y).square()).mean((1, 2, 3)) for x, y, head in zip(a, b, list(self.net.lins), strict=True)]
        return torch.stack(stages).sum(0)


class RandConvDistance(PerceptualNetwork):
    """Mean squared distance of unit-normalised random-convolution features; for smoke tests."""

    least_px = 1

    def __init__(self) -> None:
        super().__init__()
        self.net = RandConv()

    def features(self, images: Tensor) -> list[Tensor]:
        return [unit_normalise(x) for x in self.net.stages(images)]

    def distance(self, a: list[Tensor], b: list[Tensor]) -> Tensor:
        stages = [(x - y).square().sum(1).mean((1, 2)) for x, y in zip(a, b, strict=True)]
        return torch.stack(stages).mean(0)


def unit_normalise(x: Tensor) -> Tensor:
    """Scale the channel vector of each position of [n, C, h, w] to length one; zero stays zero."""
    return x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10)


def weighted_distance(a: list[Tensor], b: list[Tensor], heads: list[Tensor]) -> Tensor:
    """Zhang et al. 2018, eq. 1: learned channel weights [1, C, 1, 1], mean over space, sum over stages; [n]."""
    total = torch.zeros((), device=a[0].device)
    for x, y, head in zip(a, b, heads, strict=True):
        total = total + F.conv2d((x - y).square(), head).mean((1, 2, 3))
    return total


def load_perceptual_network(network: str, paths: Mapping[str, Path]) -> PerceptualNetwork:
    """The network for consistency, in eval mode on the CPU; ``paths``: its checked weight files by key.

    Raises ImportError where a package is missing, WeightsError for a network without distances. The global random state
    is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        if network == "st_lpips_alex":
            net: PerceptualNetwork = StLpips(paths["st_lpips_alex"])
        elif network == "st_lpips_vgg":
            net = StLpipsVgg(paths["st_lpips_vgg"])
        elif network == "lpips_alex":
            net = Lpips("alex", paths["alexnet"], paths["lpips_alex_heads"])
        elif network == "lpips_vgg":
            net = Lpips("vgg", paths["vgg16"], paths["lpips_vgg_heads"])
        elif network == "randconv":
            net = RandConvDistance()
        else:
            raise WeightsError(f"network {network} measures no distance between two images.")
    return net.eval().requires_grad_(False)


def images_to_distances(
    net: PerceptualNetwork,
    sources: Images,
    others: Mapping[str, Images],
    device: str,
    batch: int,
    tick: Callable[[int], None],
    kept: KeptMaps | None = None,
) -> dict[str, NDArray[np.float64]]:
    """Distances [n] of ``sources`` to each set in ``others``, image by image; ``tick(k)`` after every k images.

    ``kept`` holds this network's maps of batches that were seen before. DataError where a distance is not finite.
    """
    distances = {name: np.empty(len(sources)) for name in others}

    def make(images: Images) -> list[Tensor]:
        return net.features(to_tensor(images, device))

    def maps(images: Images) -> list[Tensor]:
        return make(images) if kept is None else kept.get(images, make)

    with full_precision():
        for start in range(0, len(sources), batch):
            part = slice(start, start + batch)
            source = maps(sources[part])
            for name, images in others.items():
                found = net.distance(source, maps(images[part]))
                require_finite(found, f"distances of {name}", start)
                distances[name][part] = found.cpu().numpy()
            tick(len(sources[part]) * (1 + len(others)))
    return distances
