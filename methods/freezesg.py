"""FreezeSG: the low resolutions of the generator, their styles and the finest blocks of the discriminator are held.

Back, "Fine-Tuning StyleGAN2 for Cartoon Face Generation" (2021, arXiv 2106.12445). FreezeSG freezes the low blocks of G
and the style vectors that enter them; its code takes these from the source's mapping network, which is the same as
freezing the mapping network, as that code does too. The README's example at 256 px (`--freezeStyle 2 --freezeG 4
--freezeD 3`) trains the four finest blocks of G and the last three of the six of D, without path length: 4 to 16 px of
G and what is above 32 px in D are held. Here that share of G's blocks is held at every size.
The paper's other model, StructureLoss, is `structure_loss`; `freezesg+structure_loss` is both together.
"""

from collections.abc import Iterable, Mapping

from torch import nn

from benchmark.api import Field, Method, Nets, TrainConfig, refuse, scaled_px


def check_d(method: Method, up_to_px: int, resolution: int) -> None:
    """Refuse a `d_up_to_px` that was given and leaves nothing of D to freeze; the default may, in a small network."""
    if "d_up_to_px" in method.model_fields_set and up_to_px >= resolution:
        why = f"this source's discriminator has no block above {resolution} px, so nothing of it would be frozen"
        refuse(method, "d_up_to_px", up_to_px, why)


class FreezeSG(Method):
    """Fine-tuning with coarse structure and styles held."""

    name = "freezesg"
    needs_pretrained_d = True
    title = "FreezeSG"
    paper = "Back, Fine-Tuning StyleGAN2 for Cartoon Face Generation, 2021"
    code_licence = "mixed"
    version = 2
    up_to_px: int | None = Field(None, description="blocks of G up to this resolution are frozen; 16 of 256 px, scaled")
    d_up_to_px: int = Field(32, ge=8, description="D trains up to this resolution; its blocks above are frozen")
    path_length: bool = Field(False, description="keep the suite's path-length penalty")

    def fitted(self, resolution: int) -> Method:
        return self if self.up_to_px else self.model_copy(update={"up_to_px": scaled_px(16, resolution)})

    def settings(self, train: TrainConfig) -> TrainConfig:
        return train if self.path_length else train.model_copy(update={"pl_weight": 0.0})

    def check(self, source: Mapping[str, int]) -> None:
        allowed = [2**i for i in range(2, source["resolution"].bit_length() - 1)]
        if self.up_to_px is not None and self.up_to_px not in allowed:
            refuse(self, "up_to_px", self.up_to_px, f"this source can be frozen up to {allowed} px")
        check_d(self, self.d_up_to_px, source["resolution"])

    def frozen(self, nets: Nets) -> Iterable[nn.Parameter]:
        up_to = self.up_to_px or scaled_px(16, nets.cfg.resolution)
        held: list[nn.Module] = [nets.g.mapping]
        held += [block for px, block in nets.g.synthesis.blocks.items() if px <= up_to]
        held += [block for px, block in nets.d.blocks.items() if px > self.d_up_to_px]
        return [p for module in held for p in module.parameters()]
