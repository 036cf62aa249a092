"""StyleSpace offset: one number for each style channel, added to the styles of all images.

Alanov, Titov, Nakhodnov and Vetrov, "StyleDomain: Efficient and Lightweight Parameterizations of StyleGAN for One-shot
and Few-shot Domain Adaptation" (ICCV 2023, arXiv 2212.10229), section 4: a StyleDomain direction. A constant added to
s = A w + b is a change of b, so the biases of the affine layers are what trains, those before 3x3 convolutions: about
6 thousand at 512 px as in the paper's table (layers to RGB would make it 9). Everything else in G is held; D trains as
a whole.

The paper trains its light variants with a learning rate of 0.02, 8 times our 0.0025; `lr_g_factor` is that ratio. Its
one-shot results come from losses with CLIP; this row is its adversarial setting with many images. G starts from the
source's average; the authors' code was not used: it has no licence.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from benchmark.api import Field, Method, Nets, all_but


class StyleSpaceOffset(Method):
    """Fine-tuning of a single direction in the space of styles."""

    name = "stylespace_offset"
    title = "StyleSpace offset"
    paper = "Alanov et al., StyleDomain, ICCV 2023"
    code_licence = "none"
    lr_g_factor: float = Field(8.0, gt=0, description="learning rate of G, in train.lr_g")

    def prepare(self, nets: Nets, reals: Tensor, rng: torch.Generator) -> None:
        nets.g.load_state_dict(nets.g_ema.state_dict())

    def frozen(self, nets: Nets) -> Iterable[nn.Parameter]:
        layers = [nets.g.synthesis.get_submodule(name) for name in nets.g.synthesis.layer_names]
        return all_but(nets.g, [layer.get_submodule("affine").get_parameter("bias") for layer in layers])

    def lr_scale(self) -> tuple[float, float]:
        return self.lr_g_factor, 1.0
