"""FreezeG: the generator's synthesis layers of low resolution stay as they were in the source.

Lee, "FreezeG" (2020, github.com/bryandlee/FreezeG; no paper). Lee's default, `finetune_loc` 3, holds the blocks from 4
to 32 px of a generator of 256 px; here that share of blocks is held at every size (`up_to_px=64` is Lee's example of
faces). What belongs to a layer (affine map, noise strength, RGB layer) is frozen with it. As in FixNoise's code, whose
baseline this is, the mapping network trains and the path-length penalty stays; in Lee's own code both do not. `layers`
counts as FixNoise's: constant, convolution and RGB layer at 4 px, then two convolutions and the RGB layer in each
block. In that code the evaluated average got the source's raw weights in frozen layers; here both hold the average.
"""

from collections.abc import Iterable, Mapping

from torch import nn

from benchmark.api import Field, Method, Nets, TrainConfig, refuse, scaled_px


class FreezeG(Method):
    """Fine-tuning with the coarsest layers of the synthesis network held."""

    name = "freezeg"
    title = "FreezeG"
    paper = "Lee, FreezeG, 2020 (repository)"
    code_licence = "MIT"
    version = 2
    up_to_px: int | None = Field(None, description="blocks up to this resolution are frozen; 32 of 256 px, scaled")
    layers: int | None = Field(None, ge=0, description="instead: layers to freeze from the constant on, three a block")
    path_length: bool = Field(True, description="keep the suite's path-length penalty; Lee's code has none")

    def fitted(self, resolution: int) -> Method:
        if self.up_to_px is not None or self.layers is not None:
            return self
        return self.model_copy(update={"up_to_px": scaled_px(32, resolution)})

    def settings(self, train: TrainConfig) -> TrainConfig:
        return train if self.path_length else train.model_copy(update={"pl_weight": 0.0})

    def check(self, source: Mapping[str, int]) -> None:
        allowed = [2**i for i in range(2, source["resolution"].bit_length())]
        if self.up_to_px is not None and self.up_to_px not in allowed:
            refuse(self, "up_to_px", self.up_to_px, f"this source has blocks at {allowed} px")
        if self.layers is not None and self.layers > 3 * len(allowed):
            refuse(self, "layers", self.layers, f"this source's synthesis network has {3 * len(allowed)} layers")

    def frozen(self, nets: Nets) -> Iterable[nn.Parameter]:
        up_to = self.up_to_px or scaled_px(32, nets.cfg.resolution)
        if self.layers is None:
            held = [block for px, block in nets.g.synthesis.blocks.items() if px <= up_to]
            return [p for block in held for p in block.parameters()]
        layers: list[list[nn.Parameter]] = [[nets.g.synthesis.blocks[4].const]]
        for block in nets.g.synthesis.blocks.values():
            layers += [list(layer.parameters()) for layer in block.children()]
        return [p for layer in layers[: self.layers] for p in layer]
