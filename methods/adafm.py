"""AdaFM: filters near the image are held and only modulated, a scale and a shift a filter; the rest trains.

Zhao, Cong and Carin, "On Leveraging Pretrained GANs for Generation with Limited Data" (ICML 2020, arXiv 2002.11810),
section 3: the low-level filters of G and D, those near the image, carry over between domains. In G each kernel of them
is adapted by adaptive filter modulation, eq. 3: gamma W + beta, with a number of each for every pair of channels, ones
and zeros at first. In D those nearest to the image are held as they are.

From the paper and its code, at 128 px: three resolutions of G with the layer to RGB, one of D with that from RGB. On
StyleGAN2: the 3 x 3 convolutions of G's `g_blocks` finest blocks are modulated and all else in these blocks is held;
D's `d_blocks` finest blocks are held. Unlike there the coarse part of G is no small network that starts at random: it
starts at the source and trains, so that the row differs from the others by the modulation alone, which need not rest
for the first 10,000 steps. Demodulation takes out what is common to the gammas of a filter. G starts from the source's
average.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from benchmark.api import Field, Method, Nets, added, refuse, reparametrise


class FilterModulation(nn.Module):
    """Weight [O, I, k, k] times gamma plus beta, [O, I, 1, 1] each; gamma is stored less one."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.gamma = nn.Parameter(weight.new_zeros(*weight.shape[:2], 1, 1))
        self.beta = nn.Parameter(weight.new_zeros(*weight.shape[:2], 1, 1))

    def forward(self, weight: Tensor) -> Tensor:
        return weight * (1 + self.gamma) + self.beta


class AdaFM(Method):
    """Fine-tuning behind modulated low-level filters."""

    name = "adafm"
    needs_pretrained_d, version = True, 2
    title = "AdaFM"
    paper = "Zhao et al., On Leveraging Pretrained GANs for Generation with Limited Data, ICML 2020"
    code_licence = "MIT"
    g_blocks: int = Field(3, ge=1, description="finest blocks of G whose filters are modulated")
    d_blocks: int = Field(1, ge=0, description="finest blocks of D that are held")

    def check(self, source: Mapping[str, int]) -> None:
        blocks = source["resolution"].bit_length() - 2
        for field, value in (("g_blocks", self.g_blocks), ("d_blocks", self.d_blocks)):
            if value >= blocks:
                refuse(self, field, value, f"this source has {blocks} blocks, and the coarsest has to train")

    def fine(self, nets: Nets) -> dict[int, nn.Module]:
        """The finest blocks of G, by resolution."""
        return dict([*nets.g.synthesis.blocks.items()][-self.g_blocks :])

    def prepare(self, nets: Nets, reals: Tensor, rng: torch.Generator) -> None:
        nets.g.load_state_dict(nets.g_ema.state_dict())
        fine = [nets.g.synthesis.blocks[px] for px in self.fine(nets)]
        convolutions = [block.get_submodule(name) for block in fine for name in block.layers]
        reparametrise(nets, [(layer, "weight") for layer in convolutions], FilterModulation)

    def frozen(self, nets: Nets) -> Iterable[nn.Parameter]:
        trains = {id(p) for p in added(nets.g)}
        held = [*self.fine(nets).values(), *[*nets.d.blocks.values()][: self.d_blocks]]
        return [p for block in held for p in block.parameters() if id(p) not in trains]
