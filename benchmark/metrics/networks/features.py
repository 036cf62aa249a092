"""The networks whose pooled features make fd and kid: uint8 images [n, 3, R, R] in, float32 features [n, d] out.

Each network resizes and scales by itself, has a ``dim`` and a ``fingerprint`` that changes whenever its features do.
"""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmark.errors import WeightsError
from benchmark.metrics.base import Images
from benchmark.metrics.networks.finite import require_finite
from benchmark.metrics.networks.folding import fold_batch_norm
from benchmark.metrics.networks.resizing import CLIP, IMAGENET, clean_resize, resize, standardised
from benchmark.metrics.networks.shift_tolerant import ShiftTolerantVgg
from benchmark.metrics.networks.vit import VisionTransformer, clip_state, dinov2_state
from benchmark.metrics.networks.weight_files import OWN_NETWORKS, POOLING
from benchmark.system.hardware import cuda_arithmetic


class FeatureNetwork(nn.Module):
    """Interface: ``forward`` takes uint8 [n, 3, R, R] and returns float32 [n, dim]."""

    dim: int
    preprocessing: int  # version of resizing, scaling and pooling; part of the name of cached features


class EfficientNetLite0(FeatureNetwork):
    """EfficientNet-Lite0 (Tan and Le 2019; ImageNet) at 128 px, last feature map averaged over space, 1280-d.

    Batch normalisation is folded into the convolutions, which changes features by rounding only.
    """

    dim = 1280
    preprocessing = 1
    px = 128

    def __init__(self, weights: Path) -> None:
        super().__init__()
        from efficientnet_lite_pytorch import EfficientNet

        net: Any = EfficientNet.from_name("efficientnet-lite0", image_size=self.px)
        net.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
        self.net: Any = fold_batch_norm(net.eval())

    def forward(self, images: Tensor) -> Tensor:
        x = (resize(images, self.px) - 127) / 128
        features: Tensor = self.net.extract_features(x.contiguous(memory_format=torch.channels_last))
        return features.mean((2, 3))


class Inception(FeatureNetwork):
    """Clean-fid's Inception-v3 (TensorFlow's of 2015-12-05) at 299 px, 2048-d, loaded through the clean-fid package.

    The resizing is clean-fid's (Parmar et al. 2022) bit for bit, see `clean_resize`.
    """

    dim = 2048
    preprocessing = 2
    px = 299

    def __init__(self, weights: Path) -> None:
        super().__init__()
        from benchmark.metrics.networks.torchvision_guard import declare_missing_operators

        declare_missing_operators()
        from cleanfid.inception_torchscript import InceptionV3W

        with tempfile.TemporaryDirectory() as folder:  # clean-fid takes a folder and fixes the file's name
            (Path(folder) / "inception-2015-12-05.pt").symlink_to(weights.resolve())
            self.net = InceptionV3W(folder, download=False, resize_inside=False)

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.net(clean_resize(images, self.px))
        return features


class StVgg16(ShiftTolerantVgg, FeatureNetwork):
    """Shift-tolerant VGG-16 (Ghildyal and Liu 2022) at 128 px, last stage (relu5_3) averaged over space, 512-d."""

    dim = 512
    preprocessing = 1
    px = 128

    def forward(self, images: Tensor) -> Tensor:
        return self.stages(resize(images, self.px))[-1].mean((2, 3))


class Dinov2(FeatureNetwork):
    """DINOv2 ViT-L/14 (Oquab et al. 2024) at 224 px, normalised class token, 1024-d, as Stein et al. 2023 take it."""

    dim = 1024
    preprocessing = 1
    px = 224

    def __init__(self, weights: Path) -> None:
        super().__init__()
        self.net = VisionTransformer(1024, 24, 16, patch=14, grid=37, kind="dinov2")
        state = torch.load(weights, map_location="cpu", weights_only=True)
        self.net.load_state_dict(dinov2_state(state))

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.net(standardised(resize(images, self.px), IMAGENET))
        return features


class ClipImages(FeatureNetwork):
    """CLIP ViT-L/14 (Radford et al. 2021) at 336 px, projected, 768-d, as CMMD (Jayasumana et al. 2024) takes it.

    The published file is TorchScript; only its weights are used.
    """

    dim = 768
    preprocessing = 1
    px = 336

    def __init__(self, weights: Path) -> None:
        super().__init__()
        self.net = VisionTransformer(1024, 24, 16, patch=14, grid=24, kind="clip")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch.jit.load is deprecated, and there is no other reader of such files
            state = torch.jit.load(str(weights), map_location="cpu").state_dict()
        self.net.load_state_dict(clip_state(state))
        self.register_buffer("projection", state["visual.proj"].float())

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.net(standardised(resize(images, self.px), CLIP)) @ self.get_buffer("projection")
        return features


class RandConv(FeatureNetwork):
    """Three random 3x3 stride-2 convolutions from a fixed seed. For smoke tests: its numbers mean nothing about images.

    Pooled features are the spatial means of all three stages, 112-d.
    """

    dim = 112
    preprocessing = 1
    widths = (3, 16, 32, 64)

    def __init__(self) -> None:
        super().__init__()
        rng = torch.Generator().manual_seed(0)
        for i, (c_in, c_out) in enumerate(zip(self.widths, self.widths[1:], strict=False)):
            scale = (2 / (9 * c_in)) ** 0.5  # He et al. 2015
            self.register_buffer(f"weight{i}", torch.randn(c_out, c_in, 3, 3, generator=rng) * scale)

    def stages(self, images: Tensor) -> list[Tensor]:
        """Feature maps [n, 16, R/2, R/2], [n, 32, R/4, R/4], [n, 64, R/8, R/8] of uint8 images."""
        x, maps = images.float() / 127.5 - 1, []
        for i in range(3):
            x = F.leaky_relu(F.conv2d(x, self.get_buffer(f"weight{i}"), stride=2, padding=1), 0.2)
            maps.append(x)
        return maps

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat([x.mean((2, 3)) for x in self.stages(images)], dim=1)


def load_feature_network(network: str, paths: Mapping[str, Path]) -> FeatureNetwork:
    """The network for fd and kid, in eval mode on the CPU; ``paths``: its checked weight files by key.

    Raises ImportError where a package is missing, WeightsError for a network without such features. The global random
    state is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        if network in OWN_NETWORKS:
            net = OWN_NETWORKS[network]()
        elif network == "effnetlite0_128":
            net = EfficientNetLite0(paths["effnetlite0"])
        elif network == "st_vgg16":
            net = StVgg16(paths["st_lpips_vgg"])
        elif network == "inception":
            net = Inception(paths["inception"])
        elif network == "dinov2_vitl14":
            net = Dinov2(paths["dinov2"])
        elif network == "clip_vitl14_336":
            net = ClipImages(paths["clip_vitl14_336"])
        elif network == "randconv":
            net = RandConv()
        else:
            raise WeightsError(f"network {network} has no features of whole images; give one of {', '.join(POOLING)}.")
    return net.eval().requires_grad_(False)


def fingerprint(network: str, net: FeatureNetwork, hashes: list[str]) -> str:
    """Text that identifies the features: class, preprocessing version, and the hashes of files or of own weights.

    Names of classes are unique among our networks only: of a package's, name and module are part of it, too.
    """
    if not hashes:
        plain = (tensor.cpu().contiguous().reshape(-1) for tensor in net.state_dict().values())
        content = b"".join(tensor.view(torch.uint8).numpy().tobytes() for tensor in plain)  # NumPy knows no bfloat16
        hashes = [hashlib.sha256(content).hexdigest()]
    kind = type(net)
    whose = [network, kind.__module__, kind.__qualname__] if network in OWN_NETWORKS else [kind.__name__]
    return "/".join([*whose, str(net.preprocessing), *hashes])


def images_to_features(
    net: FeatureNetwork,
    images: Images,
    device: str,
    batch: int,
    tick: Callable[[int], None],
    what: str = "features of images",
) -> NDArray[np.float32]:
    """Features float32 [n, net.dim] of uint8 images [n, 3, R, R]; ``tick(k)`` after every k images.

    DataError where some are not finite; `what` is what it calls them.
    """
    features = np.empty((len(images), net.dim), dtype=np.float32)
    with full_precision():
        for start in range(0, len(images), batch):
            part = to_tensor(images[start : start + batch], device)
            found = net(part)
            require_finite(found, what, start)
            features[start : start + len(part)] = found.cpu().numpy()
            tick(len(part))
    return features


def to_tensor(images: Images, device: str) -> Tensor:
    """uint8 as it is, on the device, in one order in memory: a network's last digits depend on it."""
    return torch.from_numpy(np.array(images, order="C")).to(device)  # a copy: a mapped file is not writable


def images_in(device: str, px: int) -> int:
    """How many images of `px` pass through a network in a quarter of the GPU's free memory, at most 512.

    A VGG keeps about 100 floats for each number of an image, and smaller images are scaled up to 299 px.
    """
    free, _ = torch.cuda.mem_get_info(device)
    return min(free // 4 // (400 * 3 * max(px, 299) ** 2), 512)


@contextlib.contextmanager
def full_precision() -> Iterator[None]:
    """`float32_products` without gradients: measured images are drawn in it, and networks look at them in it."""
    with torch.inference_mode(), float32_products():
        yield


@contextlib.contextmanager
def float32_products() -> Iterator[None]:
    """No autocast, no TF32, which cuDNN allows by default: a score must not depend on the training's speed settings."""
    with (
        torch.autocast("cpu", enabled=False),
        torch.autocast("cuda", enabled=False),
        cuda_arithmetic(tf32=False, benchmark=False, deterministic=True),
    ):
        yield
