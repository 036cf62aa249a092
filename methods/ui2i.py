"""UI2I-StyleGAN2: fine-tune with the mapping network frozen, then take the low resolutions from the source.

Kwong, Huang and Liao, "Unsupervised Image-to-Image Translation via Pre-trained StyleGAN2 Network" (IEEE TMM 2021, arXiv
2010.05713), section 3. It equals `freezefc+layer_swap`, so the two share their mapping network whichever of them gives
the low resolutions. The authors swap one feature map of the running synthesis and keep the RGB sum of the adapted
generator's low layers; here whole blocks are swapped, RGB layers included. By default the source gives what it gives in
their code, features up to 16 of 256 px, or that share of the blocks at another size: 8 of 64 px. Their inversion of
real images is not part of the benchmark.
"""

from benchmark.methods.freezefc import FreezeFC
from benchmark.methods.layer_swap import LayerSwap

from benchmark.api import Method


class UI2I(LayerSwap):  # type: ignore[misc]  # the shelf of methods is invisible to mypy
    """Structure from the source, texture from a generator that was adapted in the source's space of styles."""

    name = "ui2i"
    title = "UI2I-StyleGAN2"
    paper = "Kwong et al., UI2I via Pre-trained StyleGAN2, TMM 2021"
    code_licence = "CC BY-NC-SA 4.0"

    def training(self) -> Method:
        return FreezeFC()
