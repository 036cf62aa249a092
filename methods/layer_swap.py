"""Layer swapping: fine-tune, then join the low resolutions of one generator to the high resolutions of the other.

Pinkney and Adler, "Resolution Dependent GAN Interpolation" (2020, arXiv 2010.05334), section 2 with a hard switch. The
mapping network, and with it the centre of truncation, comes from the model that gives the low resolutions, as in the
authors' code. Costs no training of its own.
"""

from collections.abc import Mapping
from typing import Literal

from benchmark.methods.finetune import Finetune

from benchmark.api import Control, Field, Generator, Method, copy_of, refuse


class LayerSwap(Method):
    """Structure from one model, texture from the other."""

    name = "layer_swap"
    title = "Layer swapping"
    paper = "Pinkney and Adler, Resolution Dependent GAN Interpolation, 2020"
    control_name = "swap_at_px"
    generators_kept = 2
    low_from: Literal["source", "adapted"] = Field(
        "source", description="the model that gives resolutions below swap_at_px"
    )
    grid: tuple[int, ...] = Field((8, 16, 32), description="values of swap_at_px for control curves")
    swap_at_px: int = Field(16, description="the value for tables: the lowest resolution taken from the other model")

    @property
    def controls(self) -> tuple[Control, ...]:
        return tuple(sorted({*self.grid, self.swap_at_px}))

    @property
    def default_control(self) -> Control:
        return self.swap_at_px

    def check(self, source: Mapping[str, int]) -> None:
        allowed = [2**i for i in range(3, source["resolution"].bit_length())]
        for px in self.controls:
            if px not in allowed:
                refuse(self, "swap_at_px", px, f"this source has blocks at {allowed} px above the lowest")

    def training(self) -> Method:
        return Finetune()

    def finalize(self, source: Generator, adapted: Generator, control: Control) -> Generator:
        low, high = (source, adapted) if self.low_from == "source" else (adapted, source)
        hybrid = copy_of(low)
        for px, block in hybrid.synthesis.blocks.items():
            if px >= int(control or 0):
                block.load_state_dict(high.synthesis.blocks[px].state_dict())
        return hybrid
