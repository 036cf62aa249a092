"""Affine+: the layers that turn w into styles train, and an offset of the convolutions of one block.

Alanov, Titov, Nakhodnov and Vetrov, "StyleDomain: Efficient and Lightweight Parameterizations of StyleGAN for One-shot
and Few-shot Domain Adaptation" (ICCV 2023, arXiv 2212.10229), section 4. Mapping, all other convolutions, biases, noise
and RGB are held; D trains as a whole. G's learning rate is the released command's, 0.02, whatever the suite's is.

The offset is one number for each pair of input and output channels of the 64 px block's convolutions, that to RGB
included, the same at all places of the kernel: the paper's counts for 512 px (affine layers 4.6 million, with the
offset 5.1). The authors' code was not used: it has no licence. A source smaller than 64 px gets the offset in its
finest block. G starts from the source's average.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from benchmark.api import Field, Method, Nets, TrainConfig, added, all_but, refuse, reparametrise


class ChannelOffset(nn.Module):
    """Weight [O, I, k, k] plus a number for each pair of channels."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.offset = nn.Parameter(weight.new_zeros(*weight.shape[:2], 1, 1))

    def forward(self, weight: Tensor) -> Tensor:
        return weight + self.offset


def check_block(method: Method, block_px: int, resolution: int) -> None:
    """Refuse a resolution that no generator has a block of."""
    if block_px < 4 or block_px.bit_count() != 1:
        blocks = [2**i for i in range(2, resolution.bit_length())]
        refuse(method, "block_px", block_px, f"this source has blocks at {blocks} px")


def offset_block(nets: Nets, block_px: int) -> None:
    """Let the convolutions of the block at `block_px`, or of the finest one, have an offset."""
    block = nets.g.synthesis.blocks[min(block_px, nets.cfg.resolution)]
    reparametrise(nets, [(block.get_submodule(name), "weight") for name in (*block.layers, "torgb")], ChannelOffset)


class AffinePlus(Method):
    """Fine-tuning of affine layers, and a little more."""

    name = "affine_plus"
    title = "Affine+"
    paper = "Alanov et al., StyleDomain, ICCV 2023"
    code_licence = "none"
    version = 2
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
        offset_block(nets, self.block_px)

    def frozen(self, nets: Nets) -> Iterable[nn.Parameter]:
        affine = [p for name, p in nets.g.named_parameters() if ".affine." in name]
        return all_but(nets.g, [*affine, *added(nets.g)])
