"""StyleAlign: the parent's styles in the synthesis network of its fine-tuned child.

Wu, Nitzan, Shechtman and Lischinski, "StyleAlign: Analysis and Applications of Aligned StyleGAN Models" (ICLR 2022,
arXiv 2110.11323). Parent and child of plain fine-tuning share the meaning of W and S, and most of the change lies in
the child's convolutions; so an image is translated by handing the parent's latent to the child: its w (share 0, the
parent's mapping network, w_avg included) or its z (share 1, the child as it is). In between the mapping networks'
weights are interpolated, as the paper does with whole models for morphing; their learning rate is a hundredth of the
others', which keeps the two so near that this is almost the straight line in W. The paper's inversion of real images
is not part of the benchmark. Costs no training of its own.
"""

from typing import ClassVar

import torch
from benchmark.methods.finetune import Finetune

from benchmark.api import Control, Generator, Method, copy_of, require_same_parts


class StyleAlign(Method):
    """Whose styles drive the adapted synthesis network: the parent's or its own."""

    name = "style_align"
    title = "StyleAlign"
    paper = "Wu et al., StyleAlign, ICLR 2022"
    code_licence = "MIT"
    control_name = "share of the child's mapping"
    generators_kept = 2

    controls: ClassVar[tuple[Control, ...]] = (0.0, 0.25, 0.5, 0.75, 1.0)
    default_control: ClassVar[Control] = 0.0

    def training(self) -> Method:
        return Finetune()

    @torch.no_grad()
    def finalize(self, source: Generator, adapted: Generator, control: Control) -> Generator:
        require_same_parts(self, source, adapted)
        hybrid, share = copy_of(adapted), float(control or 0)
        child = adapted.mapping.state_dict()
        parent = source.mapping.state_dict()
        hybrid.mapping.load_state_dict({name: parent[name].lerp(child[name], share) for name in child})
        return hybrid
