"""WeditGAN: a constant offset of w for each layer, and nothing else of the generator.

Duan, Niu, Hong and Zhang, "WeditGAN: Few-Shot Image Generation via Latent Space Relocation" (AAAI 2024, arXiv
2305.06671), section 3: mapping and synthesis are frozen, each convolution and each RGB layer reads w + delta with a
delta of its own, learned; D trains as a whole. As a layer's style is A w + b, an offset of w is the change
A delta of b, which is how it is computed here and what is shipped: a plain StyleGAN2.

From the authors' code: a delta a layer, RGB layers included, the adversarial loss alone. There it starts at random,
here at 0, which is the source. Left out are the paper's variants: perpendicular and contrastive regularisation, and the
intensity that a network predicts from w (its result is no StyleGAN2). G starts from the source's average.
"""

from collections.abc import Iterable
from functools import partial

import torch
from torch import Tensor, nn

from benchmark.api import Method, Nets, added, all_but, plain, reparametrise


class OffsetOfW(nn.Module):
    """The bias of an affine layer, [O], plus what the layer makes of an offset of its input."""

    def __init__(self, bias: Tensor, weight: Tensor, gain: float) -> None:
        super().__init__()
        self.register_buffer("map", weight.detach() * gain)  # as the bias has it
        self.delta = nn.Parameter(weight.new_zeros(weight.shape[1]))

    def forward(self, bias: Tensor) -> Tensor:
        return torch.addmv(bias, self.get_buffer("map"), self.delta)


class WeditGAN(Method):
    """Fine-tuning of where in W each layer lives."""

    name = "weditgan"
    title = "WeditGAN"
    paper = "Duan et al., WeditGAN: Few-Shot Image Generation via Latent Space Relocation, AAAI 2024"
    code_licence = "NVIDIA Source Code License-NC"

    def prepare(self, nets: Nets, reals: Tensor, rng: torch.Generator) -> None:
        nets.g.load_state_dict(nets.g_ema.state_dict())
        for name, layer in list(nets.g.named_modules()):
            if name.endswith(".affine"):
                gain = float(layer.weight_gain) / float(layer.bias_gain)  # type: ignore[arg-type]
                made = partial(OffsetOfW, weight=plain(layer, "weight"), gain=gain)
                reparametrise(nets, [(layer, "bias")], made)

    def frozen(self, nets: Nets) -> Iterable[nn.Parameter]:
        return all_but(nets.g, added(nets.g))
