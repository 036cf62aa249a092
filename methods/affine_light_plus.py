"""AffineLight+: Affine+ with a change of low rank in the layers that turn w into styles.

Alanov, Titov, Nakhodnov and Vetrov, "StyleDomain: Efficient and Lightweight Parameterizations of StyleGAN for One-shot
and Few-shot Domain Adaptation" (ICCV 2023, arXiv 2212.10229), section 4. An affine layer's weight [O, w_dim] becomes
W + A B with A [O, 5], which is 0 at first, and B [5, w_dim], which is random and whose rows are divided by their norms
as often as it is used; so B turns as A grows. Biases are held. One block has the offset of `affine_plus`: together the
paper's 0.6 million parameters at 512 px. G's learning rate is the released command's, 0.02, whatever the suite's is.
G starts from the source's average; the authors' code was not used: it has no licence.
"""

from collections.abc import Iterable, Mapping
from functools import partial

import torch
import torch.nn.functional as F
from benchmark.methods.affine_plus import check_block, offset_block
from torch import Tensor, nn

from benchmark.api import Field, Method, Nets, TrainConfig, added, all_but, reparametrise


class LowRank(nn.Module):
    """Weight [O, I] plus a matrix of rank at most `rank`, in unit directions of the input."""

    def __init__(self, weight: Tensor, rank: int, rng: torch.Generator) -> None:
        super().__init__()
        self.out = nn.Parameter(weight.new_zeros(weight.shape[0], rank))
        self.into = nn.Parameter(torch.randn(rank, weight.shape[1], generator=rng, device=weight.device))

    def forward(self, weight: Tensor) -> Tensor:
        return weight + self.out @ F.normalize(self.into, dim=1)


class AffineLightPlus(Method):
    """Fine-tuning of a few directions of affine layers, and a little more."""

    name = "affine_light_plus"
    title = "AffineLight+"
    paper = "Alanov et al., StyleDomain, ICCV 2023"
    code_licence = "none"
    version = 2
    rank: int = Field(5, ge=1, description="rank of the change of an affine layer's weight")
    block_px: int = Field(
        64, description="resolution of the block with the offset; the finest if the source is smaller"
    )
    lr_g: float = Field(0.02, gt=0, description="learning rate of G, instead of train.lr_g")

    def settings(self, train: TrainConfig) -> TrainConfig:
        return train.model_copy(update={"lr_g": self.lr_g})

    def check(self, source: Mapping[str, int]) -> None:
        check_block(self, self.block_px, source["resolution"])

    def prepare(self, nets: Nets, reals: Tensor, rng: torch.Generator) -> None:
        nets.g.load_state_dict(nets.g_ema.state_dict())
        layers = [m for name, m in nets.g.named_modules() if name.endswith(".affine")]
        reparametrise(nets, [(m, "weight") for m in layers], partial(LowRank, rank=self.rank, rng=rng))
        offset_block(nets, self.block_px)

    def frozen(self, nets: Nets) -> Iterable[nn.Parameter]:
        return all_but(nets.g, added(nets.g))
