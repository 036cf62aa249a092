"""Nobody, "Another me" (2024)."""

from torch import Tensor

from benchmark.api import Field, GeneratorStep, Method


class TrainsWithDefaults(Method):
    """Forgets its fields when it comes to training."""

    name = "trains_with_defaults"
    title = "Trains with defaults"
    paper = "Nobody, Another me, 2024"
    weight: float = Field(0.5, description="of the images' brightness")

    def training(self) -> Method:
        return TrainsWithDefaults()

    def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
        return {"bright": self.weight * step.images.mean()}
