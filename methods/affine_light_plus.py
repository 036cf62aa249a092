"""AffineLight+: Affine+ with a change of low rank in the layers that turn w into styles.

Alanov, Titov, Nakhodnov and Vetrov, "StyleDomain: Efficient and Lightweight Parameterizations of StyleGAN for One-shot
and Few-shot Domain Adaptation" (ICCV 2023, arXiv 2212.10229), section 4. An affine layer's weight [O, w_dim] becomes
W + A B with A [O, r], which is 0 at first, and B [r, w_dim], which is random; its bias trains too. One block's
convolutions have the offset of `affine_plus`. The paper's 0.6 million parameters at 512 px fit a rank from 2 to 5.

The paper trains these with a learning rate of 0.02, 8 times our 0.0025; `lr_g_factor` is that ratio. G starts from the
source's average; the authors' code was not used: it has no licence.
"""

from collections.abc import Iterable, Mapping
from functools import partial

import torch
from benchmark.methods.affine_plus import check_block, offset_block
from torch import Tensor, nn

from benchmark.api import Field, Method, Nets, added, all_but, reparametrise


class LowRank(nn.Module):
    """Weight [O, I] plus a matrix of rank at most `rank`."""

    def __init__(self, weight: Tensor, rank: int, rng: torch.Generator) -> None:
        super().__init__()
        self.out = nn.Parameter(weight.new_zeros(weight.shape[0], rank))
        self.into = nn.Parameter(torch.randn(rank, weight.shape[1], generator=rng, device=weight.device))

    def forward(self, weight: Tensor) -> Tensor:
        return weight + self.out @ self.into


class AffineLightPlus(Method):
    """Fine-tuning of a few directions of affine layers, and a little more."""

    name = "affine_light_plus"
    title = "AffineLight+"
    paper = "Alanov et al., StyleDomain, ICCV 2023"
    code_licence = "none"
    rank: int = Field(5, ge=1, description="rank of the change of an affine layer's weight")
    block_px: int = Field(
        64, description="resolution of the block with the offset; the finest if the source is smaller"
    )
    lr_g_factor: float = Field(8.0, gt=0, description="learning rate of G, in train.lr_g")

    def check(self, source: Mapping[str, int]) -> None:
        check_block(self, self.block_px, source["resolution"])

    def prepare(self, nets: Nets, reals: Tensor, rng: torch.Generator) -> None:
        nets.g.load_state_dict(nets.g_ema.state_dict())
        layers = [m for name, m in nets.g.named_modules() if name.endswith(".affine")]
        reparametrise(nets, [(m, "weight") for m in layers], partial(LowRank, rank=self.rank, rng=rng))
        offset_block(nets, self.block_px)

    def frozen(self, nets: Nets) -> Iterable[nn.Parameter]:
        biases = [p for name, p in nets.g.named_parameters() if name.endswith(".affine.bias")]
        return all_but(nets.g, [*biases, *added(nets.g)])

    def lr_scale(self) -> tuple[float, float]:
        return self.lr_g_factor, 1.0
