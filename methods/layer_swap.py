"""Layer swapping: fine-tune, then join the low resolutions of one generator to the high resolutions of the other.

Pinkney and Adler, "Resolution Dependent GAN Interpolation" (2020, arXiv 2010.05334), section 2, with a hard switch or
(`blend` > 0) a logistic one between the two. The mapping network, and with it the centre of truncation, comes from the
model that gives the low resolutions, as in the authors' code. That code switches single layers and, in the hard case,
one position late; here a block changes hands as a whole, and a soft switch is centred half-way between two blocks.
The resolution is the user's choice there; by default the source gives what UI2I's code lets it give at 256 px, 4 to 16
px, or that share of the blocks at another size. Costs no training of its own.
"""

import math
from collections.abc import Mapping
from typing import Literal

import torch
from benchmark.methods.finetune import Finetune

from benchmark.api import Control, Field, Generator, Method, copy_of, refuse, require_same_parts, scaled_px


class LayerSwap(Method):
    """Structure from one model, texture from the other."""

    name = "layer_swap"
    title = "Layer swapping"
    paper = "Pinkney and Adler, Resolution Dependent GAN Interpolation, 2020"
    code_licence = "NVIDIA Source Code License-NC"
    control_name = "swap_at_px"
    generators_kept = 2
    low_from: Literal["source", "adapted"] = Field("source", description="model of the resolutions below swap_at_px")
    blend: float = Field(0.0, ge=0, description="width of the logistic switch in levels (octaves of px); 0 = hard")
    grid: tuple[int, ...] | None = Field(
        None, description="values of swap_at_px for control curves; half, once and twice that for tables"
    )
    swap_at_px: int | None = Field(
        None, description="the value for tables: lowest resolution from the other model; 32 of 256 px, scaled"
    )

    @property
    def controls(self) -> tuple[Control, ...]:
        at = self.swap_at_px or 32  # of 256 px, as long as the source is unknown
        grid = (at // 2, at, 2 * at) if self.grid is None else self.grid
        return tuple(sorted({*grid, at}))

    @property
    def default_control(self) -> Control:
        return self.swap_at_px or 32

    def fitted(self, resolution: int) -> Method:
        at = self.swap_at_px or 2 * scaled_px(16, resolution)
        grid = tuple(px for px in (at // 2, at, 2 * at) if 4 < px <= resolution) if self.grid is None else self.grid
        return self.model_copy(update={"swap_at_px": at, "grid": grid})

    def check(self, source: Mapping[str, int]) -> None:
        allowed = [2**i for i in range(3, source["resolution"].bit_length())]
        for px in (self.default_control, *self.controls):
            if px not in allowed:
                refuse(self, "swap_at_px", px, f"this source has blocks at {allowed} px above the lowest")

    def training(self) -> Method:
        return Finetune()

    def share(self, px: int, swap_at_px: int) -> float:
        """Share of the other model in the block of `px`, in [0, 1]."""
        levels = math.log2(px / swap_at_px) + 0.5  # above the boundary
        if self.blend == 0:
            return float(levels > 0)
        return 0.5 + 0.5 * math.tanh(levels / self.blend / 2)  # the logistic function of levels / blend

    @torch.no_grad()
    def finalize(self, source: Generator, adapted: Generator, control: Control) -> Generator:
        require_same_parts(self, source, adapted)
        low, high = (source, adapted) if self.low_from == "source" else (adapted, source)
        hybrid = copy_of(low)
        for px, block in hybrid.synthesis.blocks.items():
            share, ends = self.share(px, int(control or 0)), high.synthesis.blocks[px].state_dict()
            for name, tensor in block.state_dict().items():
                tensor.lerp_(ends[name], share)
        return hybrid
