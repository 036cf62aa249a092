"""Nobody, "Much Ado" (2024)."""

from torch import Tensor

from benchmark.api import GeneratorStep, Method


class DoesNothing(Method):
    """A loss without a gradient."""

    name = "does_nothing"
    title = "Does nothing"
    paper = "Nobody, Much Ado, 2024"

    def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
        return {"bright": step.images.detach().mean()}
