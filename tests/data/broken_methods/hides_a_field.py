"""Nobody, "A Field outside of the Key" (2024)."""

from torch import Tensor

from benchmark.api import Field, GeneratorStep, Method


class HidesAField(Method):
    """Its hyper-parameter is not stored, so that two different runs look like one."""

    name = "hides_a_field"
    title = "Hides a field"
    paper = "Nobody, A Field outside of the Key, 2024"
    weight: float = Field(0.5, description="of the images' brightness", exclude=True)

    def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
        return {"bright": self.weight * step.images.mean()}
