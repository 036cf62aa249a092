"""StyleSpace offset: one number for each style channel, added to the styles of all images.

Alanov, Titov, Nakhodnov and Vetrov, "StyleDomain: Efficient and Lightweight Parameterizations of StyleGAN for One-shot
and Few-shot Domain Adaptation" (ICCV 2023, arXiv 2212.10229), section 4: a StyleDomain direction. A constant added to
s = A w + b is a change of b, so the biases of the affine layers are what trains, everything else in G is held, and D
trains as a whole. At 512 px these are 8,960 numbers, as in the released command; without the layers to RGB 5,952, the 6
thousand of the paper's table.

G's learning rate is the released command's, 0.02, whatever the suite's is. The paper's one-shot results come from
losses with CLIP; this row is its adversarial setting with many images. G starts from the source's average; the authors'
code was not used: it has no licence.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from benchmark.api import Field, Method, Nets, TrainConfig, all_but, plain


class StyleSpaceOffset(Method):
    """Fine-tuning of a single direction in the space of styles."""

    name = "stylespace_offset"
    title = "StyleSpace offset"
    paper = "Alanov et al., StyleDomain, ICCV 2023"
    code_licence = "none"
    version = 2
    to_rgb: bool = Field(True, description="offset the styles of the layers to RGB too, as the released command does")
    lr_g: float = Field(0.02, gt=0, description="learning rate of G, instead of train.lr_g")

    def settings(self, train: TrainConfig) -> TrainConfig:
        return train.model_copy(update={"lr_g": self.lr_g})

    def prepare(self, nets: Nets, reals: Tensor, rng: torch.Generator) -> None:
        nets.g.load_state_dict(nets.g_ema.state_dict())

    def frozen(self, nets: Nets) -> Iterable[nn.Parameter]:
        layers = [m for name, m in nets.g.named_modules() if name.endswith(".affine")]
        rgb = [block.torgb.affine for block in nets.g.synthesis.blocks.values()]
        return all_but(nets.g, [plain(m, "bias") for m in layers if self.to_rgb or m not in rgb])
