"""StructureLoss: the features of low resolution stay near the source's, while all of the generator trains.

Back, "Fine-Tuning StyleGAN2 for Cartoon Face Generation" (2021, arXiv 2106.12445): mean squared distance to the source
generator's features, summed over resolutions, weight 1 (features as in the code; its README speaks of RGB). The code
takes 8, 16 and 32 px of 256; at other sizes the loss ends one block above what `freezesg` holds. The finest blocks of D
are frozen as in the README's example (`--structure_loss 2 --freezeD 3`), whose last three of six train at 256 px.
Unlike the authors' code: the source generator of the loss holds the source's weights (theirs is never loaded, issue 13,
so that its loss pulls towards random features); both networks see the same styles and the anchor noise (theirs draw
their own), so that the loss is 0 at the source.
"""

from collections.abc import Iterable, Mapping

import torch
import torch.nn.functional as F
from benchmark.methods.freezesg import check_d
from torch import Tensor, nn

from benchmark.api import Field, GeneratorStep, Method, Nets, refuse, scaled_px


class StructureLoss(Method):
    """Fine-tuning with the coarse features of the source kept softly."""

    name = "structure_loss"
    needs_pretrained_d = True
    title = "StructureLoss"
    paper = "Back, Fine-Tuning StyleGAN2 for Cartoon Face Generation, 2021"
    code_licence = "mixed"
    weight: float = Field(1.0, ge=0, description="weight of the structure loss")
    up_to_px: int | None = Field(None, description="the loss acts from 8 px up to here; 32 of 256 px, scaled")
    d_up_to_px: int = Field(32, ge=8, description="D trains up to this resolution; its blocks above are frozen")

    def fitted(self, resolution: int) -> Method:
        return self if self.up_to_px else self.model_copy(update={"up_to_px": 2 * scaled_px(16, resolution)})

    def check(self, source: Mapping[str, int]) -> None:
        allowed = [2**i for i in range(3, source["resolution"].bit_length())]
        if self.up_to_px is not None and self.up_to_px not in allowed:
            refuse(self, "up_to_px", self.up_to_px, f"this source has blocks at {allowed} px above the lowest")
        check_d(self, self.d_up_to_px, source["resolution"])

    def frozen(self, nets: Nets) -> Iterable[nn.Parameter]:
        return [p for px, block in nets.d.blocks.items() if px > self.d_up_to_px for p in block.parameters()]

    def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
        g, source = step.nets.g, step.source
        anchor = source.synthesis.anchor_noise()
        _, ours = g.synthesis(g.mapping(step.z, step.c), anchor)
        _, theirs = source.synthesis(source.mapping(step.z, step.c), anchor)
        up_to = self.up_to_px or 2 * scaled_px(16, g.cfg.resolution)
        terms = [F.mse_loss(ours[px].float(), theirs[px].float()) for px in ours if 8 <= px <= up_to]
        return {"structure": self.weight * torch.stack(terms).sum()}
