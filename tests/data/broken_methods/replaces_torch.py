"""Nobody, "Sharper, wherever we are" (2024)."""

import os

import torch
from torch import Tensor

from benchmark.api import GeneratorStep, Method


class ReplacesTorch(Method):
    """Changes what others compute with."""

    name = "replaces_torch"
    title = "Replaces torch"
    paper = "Nobody, Sharper, wherever we are, 2024"

    def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
        os.chdir("/")
        torch.nn.functional.softplus = lambda x: torch.log1p(x.exp())
        return {"sharper": step.images.abs().mean() * 0.1}
