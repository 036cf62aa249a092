"""FreezeD: the discriminator layers nearest to the image stay as they were in the source.

Mo, Cho and Shin, "Freeze the Discriminator" (CVPR workshops 2020, arXiv 2002.10964), section 3. Layers are counted as
in stylegan2-ada-pytorch's `--freezed`: from RGB, two convolutions and the skip in the finest block, then three in each
coarser one. The paper freezes four layers of a StyleGAN at 256 px; larger counts are common at larger sizes.
"""

from collections.abc import Iterable, Mapping

from torch import nn

from benchmark.api import Field, Method, Nets, refuse


class FreezeD(Method):
    """Fine-tuning with the finest layers of D held."""

    name = "freezed"
    needs_pretrained_d = True
    title = "FreezeD"
    paper = "Mo et al., Freeze the Discriminator, CVPRW 2020"
    code_licence = "none"
    layers: int = Field(4, ge=0, description="discriminator layers to freeze, counted from the image")

    def check(self, source: Mapping[str, int]) -> None:
        if self.layers > source["d_layers"]:
            refuse(
                self,
                "layers",
                self.layers,
                f"this source's discriminator has {source['d_layers']} layers that can be frozen",
            )

    def frozen(self, nets: Nets) -> Iterable[nn.Parameter]:
        layers = [layer for block in nets.d.blocks.values() for layer in block.children()]
        return [p for layer in layers[: self.layers] for p in layer.parameters()]
