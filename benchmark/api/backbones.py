"""Frozen feature networks for methods, read from published weight files.

Weights and statistics are buffers outside the state: they follow the method's `Extra` to a device, are not trained,
and are stored in no training state.
"""

from __future__ import annotations

import zipfile
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.api.needed import needed

STAGES = (2, 4, 10, 15)
"""The last blocks of EfficientNet-Lite0 at 1/4, 1/8, 1/16 and 1/32 of the side."""
STAGE_CHANNELS = (24, 40, 112, 320)
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def held(network: nn.Module) -> nn.Module:
    """The network in evaluation mode, its parameters and buffers turned into buffers that no state contains."""
    for module in network.modules():
        for name, parameter in list(module._parameters.items()):
            del module._parameters[name]
            module.register_buffer(name, None if parameter is None else parameter.detach(), persistent=False)
        for name, buffer in list(module._buffers.items()):
            module.register_buffer(name, buffer, persistent=False)
    network.train = lambda mode=True: network  # type: ignore[method-assign, assignment]
    return network.requires_grad_(False)


class EfficientNetLite0(nn.Module):
    """ImageNet's EfficientNet-Lite0 (Tan and Le 2019) from the file effnetlite0: images to features at four scales."""

    def __init__(self, px: int) -> None:
        super().__init__()
        from efficientnet_lite_pytorch import EfficientNet

        self.px = px
        with torch.random.fork_rng(devices=[]):
            net: Any = EfficientNet.from_name("efficientnet-lite0", image_size=px)
        net.load_state_dict(torch.load(needed("effnetlite0"), map_location="cpu", weights_only=True))
        self.net = held(net.eval())

    def forward(self, images: Tensor) -> list[Tensor]:
        """[N, 3, R, R] in about [-1, 1] -> float32 [N, C, px / s, px / s] with C of STAGE_CHANNELS, s = 4, 8, 16, 32.

        Resized to `px` bilinearly, as Projected GAN does it.
        """
        net: Any = self.net
        x = F.interpolate(images.float(), size=(self.px, self.px), mode="bilinear", align_corners=False)
        x = net._swish(net._bn0(net._conv_stem(x * (127.5 / 128))))  # its pixels are (0..255 - 127) / 128
        maps = []
        for i, block in enumerate(net._blocks):
            x = block(x)
            if i in STAGES:
                maps.append(x)
        return maps


class ClipImages(nn.Module):
    """The image encoder of CLIP (Radford et al. 2021), a vision transformer, from the file clip_vit_b32.

    Its sizes are those of the file's tensors, so that a small file can stand in for it in tests.
    """

    def __init__(self) -> None:
        super().__init__()
        path = needed("clip_vit_b32")
        with zipfile.ZipFile(path) as archive:  # OpenAI published a TorchScript archive
            scripted = any("/code/" in name for name in archive.namelist())
        if scripted:
            state = torch.jit.load(str(path), map_location="cpu").state_dict()
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
        own = {name.removeprefix("visual."): t.float() for name, t in state.items() if name.startswith("visual.")}
        self.names = {name: name.replace(".", "/") for name in own}
        for name, tensor in own.items():
            self.register_buffer(self.names[name], tensor, persistent=False)
        self.width, _, _, self.patch = own["conv1.weight"].shape
        self.px = self.patch * round((len(own["positional_embedding"]) - 1) ** 0.5)
        self.heads = self.width // 64
        self.depth = len({name.split(".")[2] for name in own if name.startswith("transformer.")})
        self.register_buffer("mean", torch.tensor(CLIP_MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(CLIP_STD)[:, None, None], persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """[N, 3, R, R] in about [-1, 1] -> unit vectors float32 [N, dim]; resized bicubically to the encoder's side."""
        x = F.interpolate(images.float() / 2 + 0.5, size=(self.px, self.px), mode="bicubic", align_corners=False)
        x = (x - self.get_buffer("mean")) / self.get_buffer("std")
        x = F.conv2d(x, self._("conv1.weight"), stride=self.patch).flatten(2).transpose(1, 2)
        first = self._("class_embedding").expand(len(x), 1, -1)
        x = self._norm(torch.cat([first, x], dim=1) + self._("positional_embedding"), "ln_pre")
        for i in range(self.depth):
            at = f"transformer.resblocks.{i}"
            x = x + self._attention(self._norm(x, f"{at}.ln_1"), f"{at}.attn")
            y = self._linear(self._norm(x, f"{at}.ln_2"), f"{at}.mlp.c_fc.")
            x = x + self._linear(y * torch.sigmoid(1.702 * y), f"{at}.mlp.c_proj.")
        return F.normalize(self._norm(x[:, 0], "ln_post") @ self._("proj"), dim=1)

    def _(self, name: str) -> Tensor:
        return self.get_buffer(self.names[name])

    def _norm(self, x: Tensor, name: str) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], self._(f"{name}.weight"), self._(f"{name}.bias"))

    def _linear(self, x: Tensor, name: str) -> Tensor:
        return F.linear(x, self._(f"{name}weight"), self._(f"{name}bias"))

    def _attention(self, x: Tensor, name: str) -> Tensor:
        n, length, width = x.shape
        parts = self._linear(x, f"{name}.in_proj_").view(n, length, 3, self.heads, width // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, length, width)
        return self._linear(mixed, f"{name}.out_proj.")


VGG_STAGES = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
"""Convolutions of torchvision's VGG-16 by the number of the layer; between the stages the side is halved."""


class Vgg16(nn.Module):
    """ImageNet's VGG-16 (Simonyan and Zisserman 2015) from the file vgg16: images to features of five stages.

    Its sizes are those of the file's tensors, so that a small file can stand in for it in tests.
    """

    def __init__(self) -> None:
        super().__init__()
        state = torch.load(needed("vgg16"), map_location="cpu", weights_only=True)
        for i in (i for stage in VGG_STAGES for i in stage):
            for part in ("weight", "bias"):
                self.register_buffer(f"{part}_{i}", state[f"features.{i}.{part}"], persistent=False)

    def forward(self, images: Tensor) -> dict[int, Tensor]:
        """[N, 3, R, R] -> {s: float32 [N, C, R / s, R / s]} with s = 1, 2, 4, 8, 16, after the stage's last ReLU."""
        x, maps = images.float(), {}
        for i, stage in enumerate(VGG_STAGES):
            x = F.max_pool2d(x, 2) if i else x
            for layer in stage:
                x = F.relu(F.conv2d(x, self.get_buffer(f"weight_{layer}"), self.get_buffer(f"bias_{layer}"), padding=1))
            maps[2**i] = x
        return maps
