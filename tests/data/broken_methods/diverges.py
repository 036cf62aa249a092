"""Nobody, "The Logarithm of a Negative Number" (2024)."""

from torch import Tensor

from benchmark.api import GeneratorStep, Method


class Diverges(Method):
    """Its loss is not a number."""

    name = "diverges"
    title = "Diverges"
    paper = "Nobody, The Logarithm of a Negative Number, 2024"

    def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
        return {"entropy": (-step.images.square()).log().mean()}
