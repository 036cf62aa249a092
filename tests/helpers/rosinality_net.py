"""StyleGAN2 in rosinality's parameter layout, in plain operations straight from the formulas; a reference for tests.

One sample at a time, weights modulated explicitly, resampling by zero insertion, filtering and decimation, no fused or
transposed convolutions. Slow, and independent of the suite's code.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def lrelu(x: Tensor) -> Tensor:
    return math.sqrt(2) * torch.where(x > 0, x, 0.2 * x)


def zero_insertion(x: Tensor) -> Tensor:
    """[N, C, H, W] -> [N, C, 2H, 2W]: each value followed by a zero, right and below."""
    y = x.new_zeros(*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3])
    y[:, :, ::2, ::2] = x
    return y


def filtered(x: Tensor, kernel: Tensor, before: int, after: int) -> Tensor:
    """True convolution of each channel, padded with zeros on the left and top, and on the right and bottom."""
    n, c, h, w = x.shape
    x = F.pad(x.reshape(n * c, 1, h, w), (before, after, before, after))
    y = F.conv2d(x, kernel.flip(0, 1)[None, None])
    return y.reshape(n, c, *y.shape[2:])


class Kernel(nn.Module):
    """The filter [1, 3, 3, 1] x [1, 3, 3, 1] / 64, times `gain`."""

    def __init__(self, gain: float = 1.0) -> None:
        super().__init__()
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
        self.register_buffer("kernel", taps[:, None] * taps[None, :] / 64 * gain)


class Linear(nn.Module):
    def __init__(self, n_in: int, n_out: int, lr_mul: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(n_out, n_in))
        self.bias = nn.Parameter(torch.zeros(n_out))
        self.lr_mul = lr_mul

    def forward(self, x: Tensor) -> Tensor:
        return x @ (self.weight * self.lr_mul / math.sqrt(self.weight.shape[1])).T + self.bias * self.lr_mul


class ModulatedConv(nn.Module):
    def __init__(self, n_in: int, n_out: int, size: int, style_dim: int, demodulate: bool, up: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, n_out, n_in, size, size))
        self.modulation = Linear(style_dim, n_in)
        self.demodulate, self.up = demodulate, up
        if up:
            self.blur = Kernel(4.0)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        return torch.cat([self.one(x[i : i + 1], style) for i, style in enumerate(self.modulation(w))])

    def one(self, x: Tensor, style: Tensor) -> Tensor:
        weight = self.weight[0] / math.sqrt(self.weight[0, 0].numel()) * style[None, :, None, None]
        if self.demodulate:
            weight = weight / (weight.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8).sqrt()
        if not self.up:
            return F.conv2d(x, weight, padding=weight.shape[-1] // 2)
        # Every input value is spread over the 3x3 pixels from its own place on: a true convolution.
        spread = F.conv2d(F.pad(zero_insertion(x), (2, 1, 2, 1)), weight.flip(2, 3))
        return filtered(spread, self.blur.kernel, 1, 1)


class Noise(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))


class Bias(nn.Module):
    """Bias and leaky ReLU."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(n))

    def forward(self, x: Tensor) -> Tensor:
        return lrelu(x + self.bias[:, None, None])


class StyledConv(nn.Module):
    def __init__(self, n_in: int, n_out: int, style_dim: int, up: bool) -> None:
        super().__init__()
        self.conv = ModulatedConv(n_in, n_out, 3, style_dim, demodulate=True, up=up)
        self.noise = Noise()
        self.activate = Bias(n_out)

    def forward(self, x: Tensor, w: Tensor, noise: Tensor) -> Tensor:
        return self.activate(self.conv(x, w) + self.noise.weight * noise)


class ToRGB(nn.Module):
    def __init__(self, n_in: int, style_dim: int, up: bool) -> None:
        super().__init__()
        self.conv = ModulatedConv(n_in, 3, 1, style_dim, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))
        if up:
            self.upsample = Kernel(4.0)

    def forward(self, x: Tensor, w: Tensor, rgb: Tensor | None) -> Tensor:
        y = self.conv(x, w) + self.bias
        return y if rgb is None else y + filtered(zero_insertion(rgb), self.upsample.kernel, 2, 1)


class Constant(nn.Module):
    def __init__(self, n: int) -> None:
        super().__init__()
        self.input = nn.Parameter(torch.zeros(1, n, 4, 4))


class Generator(nn.Module):
    """`channels` are those at 4, 8, 16, ... px."""

    def __init__(self, channels: Sequence[int], style_dim: int, depth: int) -> None:
        super().__init__()
        self.style = nn.Sequential(nn.Identity(), *(Linear(style_dim, style_dim, 0.01) for _ in range(depth)))
        self.input = Constant(channels[0])
        self.conv1 = StyledConv(channels[0], channels[0], style_dim, up=False)
        self.to_rgb1 = ToRGB(channels[0], style_dim, up=False)
        self.convs, self.to_rgbs, self.noises = nn.ModuleList(), nn.ModuleList(), nn.Module()
        self.noises.register_buffer("noise_0", torch.zeros(1, 1, 4, 4))
        for i, (n_in, n_out) in enumerate(pairwise(channels)):
            self.convs.append(StyledConv(n_in, n_out, style_dim, up=True))
            self.convs.append(StyledConv(n_out, n_out, style_dim, up=False))
            self.to_rgbs.append(ToRGB(n_out, style_dim, up=True))
            for k in (1, 2):
                self.noises.register_buffer(f"noise_{2 * i + k}", torch.zeros(1, 1, 8 << i, 8 << i))

    def mapping(self, z: Tensor) -> Tensor:
        """[N, style_dim] -> [N, style_dim]."""
        x = z / (z.square().mean(dim=1, keepdim=True) + 1e-8).sqrt()
        for layer in self.style[1:]:
            x = lrelu(layer(x))
        return x

    def synthesis(self, ws: Tensor) -> Tensor:
        """[N, layers + 1, style_dim] -> image [N, 3, R, R], with the stored noise."""
        noise = list(self.noises.buffers())
        x = self.conv1(self.input.input.repeat(len(ws), 1, 1, 1), ws[:, 0], noise[0])
        rgb = self.to_rgb1(x, ws[:, 1], None)
        for i, to_rgb in enumerate(self.to_rgbs):
            x = self.convs[2 * i](x, ws[:, 2 * i + 1], noise[2 * i + 1])
            x = self.convs[2 * i + 1](x, ws[:, 2 * i + 2], noise[2 * i + 2])
            rgb = to_rgb(x, ws[:, 2 * i + 3], rgb)
        return rgb


class Conv(nn.Module):
    def __init__(self, n_in: int, n_out: int, size: int, stride: int = 1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(n_out, n_in, size, size))
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        size = self.weight.shape[-1]
        padding = size // 2 if self.stride == 1 else 0
        y = F.conv2d(x, self.weight / math.sqrt(self.weight[0].numel()), padding=padding)
        return y[:, :, :: self.stride, :: self.stride]


class Blur(Kernel):
    def __init__(self, padding: int) -> None:
        super().__init__()
        self.padding = padding

    def forward(self, x: Tensor) -> Tensor:
        return filtered(x, self.kernel, self.padding, self.padding)


class ResidualBlock(nn.Module):
    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(Conv(n_in, n_in, 3), Bias(n_in))
        self.conv2 = nn.Sequential(Blur(2), Conv(n_in, n_out, 3, stride=2), Bias(n_out))
        self.skip = nn.Sequential(Blur(1), Conv(n_in, n_out, 1, stride=2))

    def forward(self, x: Tensor) -> Tensor:
        return (self.conv2(self.conv1(x)) + self.skip(x)) / math.sqrt(2)


class Discriminator(nn.Module):
    """`channels` are those at 4, 8, 16, ... px; minibatch-std groups of four."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        fine = list(channels)[::-1]
        blocks = [ResidualBlock(a, b) for a, b in pairwise(fine)]
        self.convs = nn.Sequential(nn.Sequential(Conv(3, fine[0], 1), Bias(fine[0])), *blocks)
        self.final_conv = nn.Sequential(Conv(fine[-1] + 1, fine[-1], 3), Bias(fine[-1]))
        self.final_linear = nn.Sequential(Linear(fine[-1] * 16, fine[-1]), Linear(fine[-1], 1))

    def forward(self, images: Tensor) -> Tensor:
        """[N, 3, R, R] -> [N, 1]; N a multiple of four. Sample i is in the group of i + N/4, i + N/2, i + 3N/4."""
        x = self.convs(images)
        groups = len(x) // 4
        spread = x.new_zeros(len(x), 1, 4, 4)
        for i in range(groups):
            members = x[i::groups]
            deviation = ((members - members.mean(dim=0)).square().mean(dim=0) + 1e-8).sqrt()
            spread[i::groups] = deviation.mean()
        x = self.final_conv(torch.cat([x, spread], dim=1))
        return self.final_linear[1](lrelu(self.final_linear[0](x.reshape(len(x), -1))))


def shaken(net: nn.Module, seed: int) -> nn.Module:
    """`net` with random parameters and noise maps, so that no two of them can be taken for each other."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, t in net.state_dict().items():
            if name.endswith(("kernel", "resample_filter")):
                continue
            t.normal_(generator=rng)
            if name.startswith(("style.", "mapping.")):
                t.mul_(100)  # the learning-rate multiplier of these layers is 0.01
    return net
