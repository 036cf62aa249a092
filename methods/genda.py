"""GenDA: a scale and a shift of the latent are all that the generator learns, from a discriminator's last layer.

Yang, Shen, Zhang, Xu, Zhu, Wu and Zhou, "One-Shot Generative Domain Adaptation" (ICCV 2023, arXiv 2111.09876), section
3. Attribute adaptor: z becomes a * z + b, element by element, in front of the frozen generator. Attribute classifier:
the discriminator is frozen but for its last layer, which is a new one. Diversity constraint: the fakes of both updates
are truncated, so that one image can be their judge; evaluated images are not.

No code is published; not told there, or not certain, and chosen here: the adaptor starts as the identity, the
classifier at random; psi 0.7; learning rates are the suite's. a and b are shipped as a generator's miner of one layer,
whose matrix is diagonal; so they come before z's normalisation. G starts from the source's average.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from benchmark.api import Field, Method, Miner, Nets, all_but, build, reparametrise


class Diagonal(nn.Module):
    """A matrix that is zero but for its diagonal, as the layer's `gain` makes use of it."""

    def __init__(self, weight: Tensor, gain: float) -> None:
        super().__init__()
        self.gain = gain
        self.scale = nn.Parameter(weight.new_zeros(len(weight)))

    def forward(self, weight: Tensor) -> Tensor:
        return torch.diag(self.scale / self.gain) + weight.detach()


class GenDA(Method):
    """A light adaptor and a light classifier around frozen networks."""

    name = "genda"
    needs_pretrained_d = True
    title = "GenDA"
    paper = "Yang et al., One-Shot Generative Domain Adaptation, ICCV 2023"
    code_licence = "no code published"
    psi: float = Field(0.7, gt=0, le=1, description="truncation of the fakes while training")

    @property
    def truncation(self) -> float:  # type: ignore[override]
        return self.psi

    def prepare(self, nets: Nets, reals: Tensor, rng: torch.Generator) -> None:
        nets.g.load_state_dict(nets.g_ema.state_dict())
        for g in (nets.g, nets.g_ema):
            g.add_miner(build(lambda: Miner(nets.cfg.z_dim, 1), rng))
        layer = nets.g.mapping.get_submodule("miner.fc0")
        reparametrise(nets, [(layer, "weight")], lambda weight: Diagonal(weight, nets.cfg.z_dim**-0.5))
        head = nets.d.b4.out
        with torch.no_grad():
            head.weight.copy_(torch.randn(head.weight.shape, generator=rng, device=rng.device))
            head.bias.zero_()

    def frozen(self, nets: Nets) -> Iterable[nn.Parameter]:
        adaptor = [p for name, p in nets.g.mapping.named_parameters() if name.startswith("miner.fc0.")]
        matrix = [p for name, p in nets.g.mapping.named_parameters() if name.endswith("weight.original")]
        return [*all_but(nets.g, adaptor), *matrix, *all_but(nets.d, nets.d.b4.out.parameters())]
