"""BSA: only a scale and a shift of each feature channel of the generator train.

Noguchi and Harada, "Image Generation From Small Datasets via Batch Statistics Adaptation" (ICCV 2019, arXiv
1904.01774), eq. 1, on StyleGAN2. That generator has no batch normalisation to adapt:

- Scale: a factor for each channel that enters a modulated convolution, beside the style that scales it there. A factor
  for each channel that leaves one would do nothing, because demodulation divides it out again.
- Shift: the bias of each convolution, to RGB included.

The authors train without a discriminator (L1 and perceptual distance of images to latents that are optimised along).
Here the adversarial loss stays and D trains as a whole, so that the row shows what the few parameters can do under the
objective of all other rows; tables of few-shot papers do not say which of the two they print. G starts from the
source's average.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from benchmark.api import Method, Nets, added, all_but, reparametrise


class ChannelScale(nn.Module):
    """Weight [O, I, k, k] times a factor for each input channel."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.change = nn.Parameter(weight.new_zeros(1, weight.shape[1], 1, 1))

    def forward(self, weight: Tensor) -> Tensor:
        return weight * (1 + self.change)


def modulated(nets: Nets) -> list[nn.Module]:
    """The generator's modulated convolutions, to RGB included."""
    return [m for m in nets.g.synthesis.modules() if hasattr(m, "affine")]


class BSA(Method):
    """Fine-tuning of scales and shifts."""

    name = "bsa"
    title = "BSA (scale and shift)"
    paper = "Noguchi and Harada, Batch Statistics Adaptation, ICCV 2019"
    code_licence = "MIT"

    def prepare(self, nets: Nets, reals: Tensor, rng: torch.Generator) -> None:
        nets.g.load_state_dict(nets.g_ema.state_dict())
        reparametrise(nets, [(layer, "weight") for layer in modulated(nets)], ChannelScale)

    def frozen(self, nets: Nets) -> Iterable[nn.Parameter]:
        shifts = [layer.get_parameter("bias") for layer in modulated(nets)]
        return all_but(nets.g, [*added(nets.g), *shifts])
