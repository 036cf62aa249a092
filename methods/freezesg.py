"""FreezeSG with the structure loss: low resolutions and their styles are held, the next ones kept near the source.

Back, "Fine-Tuning StyleGAN2 for Cartoon Face Generation" (2021, arXiv 2106.12445). FreezeSG freezes the low blocks of G
and the style vectors that enter them; its code takes these from the source's mapping network, which is the same as
freezing the mapping network, as that code does too. Structure loss: mean squared distance to the source generator's
features at 8, 16, 32 px, summed, weight 1 (features as in the code; its README speaks of RGB). The finest blocks of D
are frozen as in the README's example, whose last three of six train at 256 px.
Unlike the authors' code: the source generator of the loss holds the source's weights (theirs is never loaded, issue 13,
so that its loss pulls towards random features); both networks see the same styles and the anchor noise (theirs draw
their own), so that the loss is 0 at the source; structure_weight=0 is FreezeSG alone.
"""

from collections.abc import Iterable, Mapping

import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.api import Field, GeneratorStep, Method, Nets, refuse


class FreezeSG(Method):
    """Coarse structure from the source: held exactly below, softly above."""

    name = "freezesg"
    needs_pretrained_d = True
    title = "FreezeSG + structure loss"
    paper = "Back, Fine-Tuning StyleGAN2 for Cartoon Face Generation, 2021"
    code_licence = "mixed"
    up_to_px: int = Field(8, description="the highest resolution at which G is frozen; its mapping network always is")
    structure_up_to_px: int = Field(32, description="the highest resolution of the structure loss, from 8 px on")
    structure_weight: float = Field(1.0, ge=0, description="weight of the structure loss; 0 = off")
    d_up_to_px: int = Field(32, ge=8, description="blocks of D above this resolution are frozen")

    def check(self, source: Mapping[str, int]) -> None:
        allowed = [2**i for i in range(2, source["resolution"].bit_length() - 1)]
        if self.up_to_px not in allowed:
            refuse(self, "up_to_px", self.up_to_px, f"this source can be frozen up to {allowed} px")
        if self.structure_weight and self.structure_up_to_px <= self.up_to_px:
            why = f"all blocks up to {self.up_to_px} px are frozen, the structure loss has none to act on"
            refuse(self, "structure_up_to_px", self.structure_up_to_px, why)

    def frozen(self, nets: Nets) -> Iterable[nn.Parameter]:
        held: list[nn.Module] = [nets.g.mapping]
        held += [block for px, block in nets.g.synthesis.blocks.items() if px <= self.up_to_px]
        held += [block for px, block in nets.d.blocks.items() if px > self.d_up_to_px]
        return [p for module in held for p in module.parameters()]

    def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
        if not self.structure_weight:
            return {}
        g, source = step.nets.g, step.source
        anchor = source.synthesis.anchor_noise()
        _, ours = g.synthesis(g.mapping(step.z, step.c), anchor)
        _, theirs = source.synthesis(source.mapping(step.z, step.c), anchor)
        levels = [px for px in ours if 8 <= px <= self.structure_up_to_px]
        terms = [F.mse_loss(ours[px].float(), theirs[px].float()) for px in levels]
        return {"structure": self.structure_weight * sum(terms, step.z.new_zeros([]))}
