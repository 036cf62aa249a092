"""L2-SP: a quadratic penalty on the distance of the generator's weights to the source's.

Li, Grandvalet and Davoine, "Explicit Inductive Bias for Transfer Learning with Convolutional Networks" (ICML 2018,
arXiv 1802.01483), eq. 2: alpha / 2 times the squared distance, for all weights that source and target share (here all
of the generator's; the paper's second term, for new layers, has nothing to act on). The paper is about classifiers,
whose weights are stored as they are used. StyleGAN2 stores most of them with unit variance and scales them at run time,
so distances are measured between the weights as used: with the layer's gain, or, where demodulation makes the stored
scale meaningless, with the gain that such a layer would have, 1 / sqrt(fan-in). The source is its averaged generator.
"""

import math
from operator import attrgetter

import torch
from torch import Tensor

from benchmark.api import Field, GeneratorStep, Method


class L2SP(Method):
    """Fine-tuning on a spring."""

    name = "l2sp"
    title = "L2-SP"
    paper = "Li et al., Explicit Inductive Bias, ICML 2018"
    weight: float = Field(0.1, ge=0, description="weight alpha of half the squared distance")

    def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
        distances = []
        for path, module in step.source.named_modules():
            for name, theirs in module.named_parameters(recurse=False):
                ours = attrgetter(f"{path}.{name}")(step.nets.g)  # also where a method has reparametrised it
                distances.append((gain(module, name, theirs) * (ours - theirs)).square().sum())
        return {self.name: self.weight / 2 * torch.stack(distances).sum()}


def gain(layer: object, name: str, stored: Tensor) -> float:
    """What a stored weight or bias is multiplied with when it is used."""
    fallback = 1.0 if stored.ndim < 4 else 1 / math.sqrt(stored[0].numel())
    return float(getattr(layer, f"{name}_gain", fallback))
