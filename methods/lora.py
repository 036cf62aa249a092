"""LoRA: a change of low rank of each weight of the generator, in the form that CoLoR-GAN has for convolutions.

Hu et al., "LoRA" (ICLR 2022, arXiv 2106.09685): W + alpha B A, with B zero at first. Ali, Rossi and Bertozzi,
"CoLoR-GAN: Continual Few-Shot Learning with Low-Rank Adaptation in Generative Adversarial Networks" (ICIAP 2025, arXiv
2510.13869): dense layers get that; for a convolution [O, I, k, k] it would be large in I k k, so B itself is of low
rank ("LoRA in LoRA"): the change is B [O, r] times a core [r, r, k k] times A [I, r], the core zero at first. Adapted
are all convolutions, RGB included, affine layers and the mapping network.

From the authors' code: this form, the scales of the random factors, rank 1, and that the biases of dense layers train.
Their released command has a ReLU around the core, which starts at 0, where a ReLU has no gradient: no convolution would
ever move. It is left out here, and so is the 1 that those biases are raised by at the start. Chosen here: alpha 1, the
code's default (that command: 0.1, 4 in the mapping network, with which a short training stays at the source); the
objective is plain fine-tuning's and D trains as a whole (the paper's is CDC's: `cdc+lora`). As in the code the change
is added to the stored weight: that of a mapping layer is stored a hundred times larger than it is used, so that a
change of the same size does a hundredth there. G starts from the source's average.
"""

from collections.abc import Iterable
from functools import partial

import torch
from torch import Tensor, nn

from benchmark.api import Field, Method, Nets, added, all_but, plain, reparametrise


class LowRank(nn.Module):
    """Weight [O, I] or [O, I, k, k] plus `alpha` times a matrix, or a tensor, of low rank."""

    def __init__(self, weight: Tensor, rank: int, alpha: float, rng: torch.Generator) -> None:
        super().__init__()
        n_out, n_in, *kernel = weight.shape
        place, self.alpha = kernel[0] ** 2 if kernel else 0, alpha
        power = 2 / 3 if place else 1 / 2
        self.a = nn.Parameter(torch.randn(n_in, rank, generator=rng, device=weight.device) / rank**power)
        if place:
            self.b = nn.Parameter(torch.randn(n_out, rank, generator=rng, device=weight.device) / rank**power)
            self.core = nn.Parameter(weight.new_zeros(rank, rank, place))
        else:
            self.b = nn.Parameter(weight.new_zeros(n_out, rank))

    def forward(self, weight: Tensor) -> Tensor:
        if weight.ndim == 2:
            return weight + self.alpha * (self.b @ self.a.t())
        return weight + self.alpha * torch.einsum("or,rsk,is->oik", self.b, self.core, self.a).view(weight.shape)


class LoRA(Method):
    """Fine-tuning of low-rank changes."""

    name = "lora"
    title = "LoRA (CoLoR-GAN's form)"
    paper = "Ali et al., CoLoR-GAN, ICIAP 2025; Hu et al., LoRA, ICLR 2022"
    code_licence = "none"
    version = 3
    rank: int = Field(1, ge=1, description="rank of a weight's change")
    alpha: float = Field(1.0, gt=0, description="scale of the change")

    def prepare(self, nets: Nets, reals: Tensor, rng: torch.Generator) -> None:
        nets.g.load_state_dict(nets.g_ema.state_dict())
        parts = [(m, "weight") for m in nets.g.modules() if isinstance(getattr(m, "weight", None), Tensor)]
        reparametrise(nets, parts, partial(LowRank, rank=self.rank, alpha=self.alpha, rng=rng))

    def frozen(self, nets: Nets) -> Iterable[nn.Parameter]:
        layers = [m for m in nets.g.modules() if isinstance(getattr(m, "weight", None), Tensor)]
        return all_but(nets.g, [*added(nets.g), *(plain(m, "bias") for m in layers if m.weight.ndim == 2)])
