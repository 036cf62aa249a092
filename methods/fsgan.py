"""FSGAN: only the singular values of the convolutions of G and D train; their singular vectors stay.

Robb, Chu, Kumar and Huang, "Few-Shot Adaptation of Generative Adversarial Networks" (2020, arXiv 2010.11943), section
3: a convolution's weight, as a matrix of output channels by input channels and kernel places, is U diag(s) V^T, and
each s gets a factor that is 1 at first. As in the authors' code the factor is what trains, so that large and small
singular values change at the same relative rate. Fully connected layers, biases and noise strengths are held.

Unlike the authors' code, which leaves 1x1 convolutions to RGB out, all convolutions take part; and the weight is the
source's plus what the factors change, so that the start is the source bit by bit. G starts from the source's average.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from benchmark.api import Method, Nets, added, all_but, reparametrise


class SingularValues(nn.Module):
    """Weight [O, I, k, k] whose min(O, I k k) singular values are multiplied by 1 + change."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        u, s, v = torch.linalg.svd(weight.flatten(1), full_matrices=False)
        self.register_buffer("left", u * s)
        self.register_buffer("right", v)
        self.change = nn.Parameter(torch.zeros_like(s))

    def forward(self, weight: Tensor) -> Tensor:
        left, right = self.get_buffer("left"), self.get_buffer("right")
        return weight + ((left * self.change) @ right).reshape(weight.shape)


class FSGAN(Method):
    """Fine-tuning of singular values."""

    name = "fsgan"
    needs_pretrained_d = True
    title = "FSGAN (singular values)"
    paper = "Robb et al., Few-Shot Adaptation of GANs, 2020"
    code_licence = "NVIDIA Source Code License-NC"

    def prepare(self, nets: Nets, reals: Tensor, rng: torch.Generator) -> None:
        weights = [(m, getattr(m, "weight", None)) for net in (nets.g, nets.d) for m in net.modules()]
        convolutions = [m for m, weight in weights if isinstance(weight, Tensor) and weight.ndim == 4]
        reparametrise(nets, [(m, "weight") for m in convolutions], SingularValues)

    def frozen(self, nets: Nets) -> Iterable[nn.Parameter]:
        return [*all_but(nets.g, added(nets.g)), *all_but(nets.d, added(nets.d))]
