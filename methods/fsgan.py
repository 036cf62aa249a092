"""FSGAN: only singular values train; singular vectors stay.

Robb, Chu, Kumar and Huang, "Few-Shot Adaptation of Generative Adversarial Networks" (2020, arXiv 2010.11943), section
3: a weight, as a matrix of output channels by input channels and kernel places, is U diag(s) V^T, and each s gets a
factor that is 1 at first. As in the authors' code the factor is what trains, so that large and small singular values
change at the same relative rate; and as there it has them in the 3 x 3 convolutions of G and D, the mapping network and
the fully connected layers of D, not in the layers to and from RGB nor D's skips. All else is held.

Unlike that code the weight is the source's plus what the factors change, so that the start is the source bit by bit. G
starts from the source's average.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from benchmark.api import Method, Nets, added, all_but, reparametrise


class SingularValues(nn.Module):
    """Weight [O, I, ...] whose singular values as a matrix of O rows are multiplied by 1 + change."""

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
    version = 2

    def prepare(self, nets: Nets, reals: Tensor, rng: torch.Generator) -> None:
        g = [block.get_submodule(name) for block in nets.g.synthesis.blocks.values() for name in block.layers]
        d = [layer for block in nets.d.blocks.values() for layer in (block.conv0, block.conv1)]
        dense = [*nets.g.mapping.children(), *nets.d.b4.children()]
        reparametrise(nets, [(layer, "weight") for layer in (*g, *d, *dense)], SingularValues)

    def frozen(self, nets: Nets) -> Iterable[nn.Parameter]:
        return [*all_but(nets.g, added(nets.g)), *all_but(nets.d, added(nets.d))]
