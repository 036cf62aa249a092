"""A generator as one graph of tensors: latents, truncation, noise maps and a control of noise in, images out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmark.api import Control, Method
from benchmark.api.returned import noise_of
from benchmark.errors import ConfigError
from benchmark.stylegan2 import Generator
from benchmark.stylegan2.weights import digest_of
from benchmark.system.random_streams import generator
from benchmark.use.adapted import Adapted

VALUES = 257
"""Values of the control at which the shares of the two noises are kept; between them they are interpolated."""
EXACT = 1e-4
"""By how much a method's noise may differ from the mixture that stands for it."""


@dataclass(frozen=True)
class Mixture:
    """A method's noise as shares of the anchor's and of new maps, by value of its control: [VALUES, 2] or [1, 2]."""

    low: float
    high: float
    shares: Tensor

    @property
    def moves(self) -> bool:
        """Whether the shares depend on the control."""
        return len(self.shares) > 1


class Graph(nn.Module):
    """`Adapted.generator` with its noise, to be traced once. All inputs are float32 tensors with the batch first."""

    shares: Tensor

    def __init__(self, g: Generator, mixture: Mixture) -> None:
        super().__init__()
        self.g, self.layers = g, g.synthesis.layer_names
        self.low, self.high, self.moves = mixture.low, mixture.high, mixture.moves
        self.register_buffer("shares", mixture.shares)

    def forward(self, z: Tensor, psi: Tensor, noise: list[Tensor], control: Tensor | None = None) -> Tensor:
        """z [N, z_dim], psi [N], noise [N, 1, px, px] of each layer, control [N] -> images [N, 3, R, R]."""
        ws = self.g.mapping(z)
        ws = torch.lerp(self.g.mapping.w_avg, ws, psi[:, None, None])
        share = self.share(control)
        anchor = self.g.synthesis.anchor_noise()
        maps = {
            layer: share[:, 0, None, None, None] * anchor[layer] + share[:, 1, None, None, None] * fresh
            for layer, fresh in zip(self.layers, noise, strict=True)
        }
        image: Tensor = self.g.synthesis(ws, maps)[0]
        return image

    def share(self, control: Tensor | None) -> Tensor:
        """Shares of anchor and new noise, [N, 2] or [1, 2], on the straight line between the two nearest values."""
        if control is None or not self.moves:
            return self.shares
        at = (control.clamp(self.low, self.high) - self.low) * ((VALUES - 1) / (self.high - self.low))
        below = at.floor().clamp(0, VALUES - 2)
        first = below.long()
        return torch.lerp(self.shares[first], self.shares[first + 1], (at - below)[:, None])


def graph_of(net: Adapted, control: Control) -> Graph:
    """The network at a value of its control; an input takes its place where the control acts on noise alone.

    Raises ConfigError for networks with labels, and where the method's noise is no mixture of the source's maps and new
    ones.
    """
    if net.source.cfg.c_dim:
        raise ConfigError("a network with labels cannot be exported as a graph; use --format safetensors.")
    return Graph(net.generator(control), mixture_of(net, control))


def mixture_of(net: Adapted, control: Control) -> Mixture:
    """How the method mixes its noise."""
    low, high = ends_of(net) or (0.0, 1.0)
    if acts_on_noise(net):
        values: list[Control] = [low + (high - low) * i / (VALUES - 1) for i in range(VALUES)]
    else:
        values = [control]
    g = net.generator(control)
    shares = torch.stack([shares_of(net.method, g, value) for value in values])
    moves = bool((shares - shares[0]).abs().max() > EXACT)
    return Mixture(low, high, shares if moves else shares[:1])


def ends_of(net: Adapted) -> tuple[float, float] | None:
    """The lowest and the highest number of the control's grid, if it has several."""
    grid = [value for value in net.method.controls if isinstance(value, float)]
    return (min(grid), max(grid)) if len(grid) > 1 else None


def acts_on_noise(net: Adapted) -> bool:
    """Whether the weights are the same at every value of the control."""
    ends = ends_of(net)
    return ends is not None and weights_at(net, ends[0]) == weights_at(net, ends[1])


def weights_at(net: Adapted, control: Control) -> str:
    """What identifies the generator at a value of the control."""
    return digest_of(net.generator(control).state_dict())


def shares_of(method: Method, g: Generator, control: Control) -> Tensor:
    """[2]: the shares of anchor and new maps in the noise of one image, by least squares over all layers."""
    made = noise_of(method, g, 1, control, generator("export"))
    new, anchor = g.synthesis.random_noise(1, generator("export")), g.synthesis.anchor_noise()
    if isinstance(made, str):
        return torch.tensor({"const": [1.0, 0.0], "none": [0.0, 0.0]}[made])
    both = torch.stack([torch.cat([maps[layer].flatten() for layer in anchor]) for maps in (anchor, new)], dim=1)
    wanted = torch.cat([made[layer].expand(1, 1, *anchor[layer].shape).flatten() for layer in anchor])
    found = torch.linalg.lstsq(both.double(), wanted.double()[:, None]).solution[:, 0]
    if (both.double() @ found - wanted).abs().max() > EXACT:
        raise ConfigError(
            f"{method.name} makes its noise otherwise than of the source's maps and new ones; export its weights with "
            "--format safetensors."
        )
    return found.float()
