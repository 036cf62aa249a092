"""FreezeD: the discriminator layers nearest to the image stay as they were in the source.

Mo, Cho and Shin, "Freeze the Discriminator" (CVPR workshops 2020, arXiv 2002.10964), section 3. Their code keeps the
blocks from 256 to 32 px of a StyleGAN at 256 px, and trains those of 16 and 8 px and the last layers. So do we at every
size: 31 % of D's parameters are held at 256 px. `layers` counts as stylegan2-ada-pytorch's `--freezed` does: from RGB,
two convolutions and the skip in the finest block, then three in each coarser one; the paper's four blocks are 13.
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
    version = 2
    up_to_px: int = Field(16, ge=4, description="D trains up to this resolution; its blocks above are frozen")
    layers: int | None = Field(
        None, ge=0, description="instead: layers to freeze from the image on, NVIDIA's --freezed"
    )

    def check(self, source: Mapping[str, int]) -> None:
        if self.layers is None and self.up_to_px >= source["resolution"]:
            why = (
                f"this source's discriminator has no block above {source['resolution']} px, so nothing would be frozen"
            )
            refuse(self, "up_to_px", self.up_to_px, why)
        if self.layers is not None and self.layers > (total := source["d_layers"]):
            refuse(self, "layers", self.layers, f"this source's discriminator has {total} layers that can be frozen")

    def frozen(self, nets: Nets) -> Iterable[nn.Parameter]:
        held: list[nn.Module] = [block for px, block in nets.d.blocks.items() if px > self.up_to_px]
        if self.layers is not None:
            held = [layer for block in nets.d.blocks.values() for layer in block.children()][: self.layers]
        return [p for module in held for p in module.parameters()]
