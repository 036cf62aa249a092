"""Shift-tolerant AlexNet and VGG-16 (Ghildyal and Liu 2022, section 4), read from the published state dicts alone.

Where the plain networks halve the size at once, these step by 1 and then blur: 3x3, stride 2, reflected borders of 2.
"""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ShiftTolerant(nn.Module):
    """A trunk of five stages, and the learned channel weights that make a distance of it."""

    def __init__(self, weights: Path) -> None:
        super().__init__()
        state = torch.load(weights, map_location="cpu", weights_only=True)
        for name, value in state.items():
            layout = torch.channels_last if value.ndim == 4 else torch.contiguous_format
            self.register_buffer(name.replace(".", "_"), value.contiguous(memory_format=layout))

    @abstractmethod
    def stages(self, x: Tensor) -> list[Tensor]:
        """Maps [n, C, h, w] of the five stages; x: float [n, 3, R, R], 0..255."""

    def heads(self) -> list[Tensor]:
        """Learned weights [1, C, 1, 1] of the channels of each stage."""
        return [self.get_buffer(f"lin{i}_model_1_weight") for i in range(5)]

    def scaled(self, x: Tensor) -> Tensor:
        """0..255 to what the trunk was trained on."""
        x = x.contiguous(memory_format=torch.channels_last) / 127.5 - 1
        return (x - self.get_buffer("scaling_layer_shift")) / self.get_buffer("scaling_layer_scale")

    def conv(self, x: Tensor, name: str, padding: int) -> Tensor:
        weight, bias = self.get_buffer(f"net_{name}_weight"), self.get_buffer(f"net_{name}_bias")
        return F.conv2d(x, weight, bias, padding=padding)

    def blur(self, x: Tensor, name: str) -> Tensor:
        padded = F.pad(x, (2, 2, 2, 2), mode="reflect")
        return F.conv2d(padded, self.get_buffer(f"net_{name}_filt"), stride=2, groups=x.shape[1])


class ShiftTolerantAlex(ShiftTolerant):
    """Five convolutions, the first with stride 1; a blur follows the first (before its ReLU) and both max-pools."""

    def stages(self, x: Tensor) -> list[Tensor]:
        maps = [F.relu(self.blur(self.conv(self.scaled(x), "slice1_0", padding=2), "slice1_1"))]
        x = self.blur(F.max_pool2d(maps[-1], 3, stride=1), "slice2_4")
        maps.append(F.relu(self.conv(x, "slice2_5", padding=2)))
        x = self.blur(F.max_pool2d(maps[-1], 3, stride=1), "slice3_8")
        for name in ("slice3_9", "slice4_11", "slice5_13"):
            x = F.relu(self.conv(x, name, padding=1))
            maps.append(x)
        return maps


class ShiftTolerantVgg(ShiftTolerant):
    """Thirteen 3x3 convolutions; a 2x2 stride-1 max-pool and a blur stand before each stage but the first."""

    layers = (
        ("slice1", None, (0, 2)),
        ("slice2", 5, (6, 8)),
        ("slice3", 11, (12, 14, 16)),
        ("slice4", 19, (20, 22, 24)),
        ("slice5", 27, (28, 30, 32)),
    )
    """Name of the stage, number of its blur, numbers of its convolutions."""

    def stages(self, x: Tensor) -> list[Tensor]:
        x, maps = self.scaled(x), []
        for stage, blur, convs in self.layers:
            if blur is not None:
                x = self.blur(F.max_pool2d(x, 2, stride=1), f"{stage}_{blur}")
            for i in convs:
                x = F.relu(self.conv(x, f"{stage}_{i}", padding=1))
            maps.append(x)
        return maps
