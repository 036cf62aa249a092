"""Nobody, "A Step without Batch" (2024)."""

from torch import Tensor

from benchmark.api import GeneratorStep, Method


class Crashes(Method):
    """Asks for what is not there."""

    name = "crashes"
    title = "Crashes"
    paper = "Nobody, A Step without Batch, 2024"

    def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
        return {"bright": step.batch.mean()}  # type: ignore[attr-defined]
