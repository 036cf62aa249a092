"""FreezeG: the generator's synthesis layers of low resolution stay as they were in the source.

Lee, "FreezeG" (2020, github.com/bryandlee/FreezeG; no paper). Layers are counted as in FixNoise's code (Lee et al.,
CVPR 2023), its baseline: constant, convolution and RGB layer at 4 px, then two convolutions and the RGB layer in each
block; what belongs to a layer (affine map, noise strength) is frozen with it, and the mapping network trains, which in
Lee's own code it does not. The default leaves the last three blocks of a 64 px generator, as Lee's `finetune_loc` 3
does at 256 px. In FixNoise's code the evaluated average got the source's raw weights in frozen layers; here both hold
the source's average.
"""

from collections.abc import Iterable, Mapping

from torch import nn

from benchmark.api import Field, Method, Nets, refuse


class FreezeG(Method):
    """Fine-tuning with the coarsest layers of the synthesis network held."""

    name = "freezeg"
    title = "FreezeG"
    paper = "Lee, FreezeG, 2020 (repository)"
    code_licence = "MIT"
    layers: int = Field(6, ge=0, description="synthesis layers to freeze, counted from the constant; three a block")

    def check(self, source: Mapping[str, int]) -> None:
        total = 3 * (source["resolution"].bit_length() - 2)
        if self.layers > total:
            refuse(self, "layers", self.layers, f"this source's synthesis network has {total} layers")

    def frozen(self, nets: Nets) -> Iterable[nn.Parameter]:
        layers: list[list[nn.Parameter]] = []
        for block in nets.g.synthesis.blocks.values():
            if hasattr(block, "const"):
                layers.append([block.const])
            layers += [list(layer.parameters()) for layer in block.children()]
        return [p for layer in layers[: self.layers] for p in layer]
