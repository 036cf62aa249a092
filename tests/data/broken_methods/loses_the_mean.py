"""Nobody, "One Loss an Image" (2024)."""

from torch import Tensor

from benchmark.api import DiscriminatorStep, Method


class LosesTheMean(Method):
    """A loss that is no scalar."""

    name = "loses_the_mean"
    title = "Loses the mean"
    paper = "Nobody, One Loss an Image, 2024"

    def discriminator_loss(self, step: DiscriminatorStep) -> dict[str, Tensor]:
        return {"logits": step.real_logits.square()}
