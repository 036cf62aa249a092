"""Nobody, "Anybody's Dice" (2024)."""

import torch
from torch import Tensor

from benchmark.api import GeneratorStep, Method


class DrawsGlobally(Method):
    """Draws from the random state of everybody."""

    name = "draws_globally"
    title = "Draws globally"
    paper = "Nobody, Anybody's Dice, 2024"

    def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
        return {"noisy": (step.images * torch.randn(step.images.shape)).mean()}
