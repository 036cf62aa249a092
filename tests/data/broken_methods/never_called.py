"""Nobody, "A Loss in Vain" (2024)."""

from benchmark.methods.finetune import Finetune
from torch import Tensor

from benchmark.api import GeneratorStep, Method


class NeverCalled(Method):
    """Re-uses a training, and has a loss nonetheless."""

    name = "never_called"
    title = "Never called"
    paper = "Nobody, A Loss in Vain, 2024"

    def training(self) -> Method:
        return Finetune()

    def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
        return {"bright": step.images.mean()}
