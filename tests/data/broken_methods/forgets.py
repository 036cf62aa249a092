"""Nobody, "Out of Mind" (2024)."""

import torch
from torch import Tensor

from benchmark.api import Extra, GeneratorStep, Method, Nets


class Forgets(Method):
    """Its memory is a plain attribute, which is not stored with the training."""

    name = "forgets"
    title = "Forgets"
    paper = "Nobody, Out of Mind, 2024"

    def prepare(self, nets: Nets, reals: Tensor, rng: torch.Generator) -> Extra:
        extra = Extra()
        extra.mean = 0.0
        return extra

    def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
        step.extra.mean = 0.9 * step.extra.mean + 0.1 * step.images.mean().item()
        return {"bright": (step.images.mean() - step.extra.mean).square()}
