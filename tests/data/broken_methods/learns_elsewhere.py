"""Nobody, "Not in the Weights" (2024)."""

from torch import Tensor

from benchmark.api import Control, Generator, GeneratorStep, Method, copy_of


class LearnsElsewhere(Method):
    """Keeps what it learnt where no checkpoint looks."""

    name = "learns_elsewhere"
    title = "Learns elsewhere"
    paper = "Nobody, Not in the Weights, 2024"

    def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
        step.nets.g_ema.learnt = 1.5  # type: ignore[assignment]
        return {"bright": step.images.mean()}

    def finalize(self, source: Generator, adapted: Generator, control: Control) -> Generator:
        result = copy_of(adapted)
        result.mapping.fc0.weight.data.mul_(getattr(adapted, "learnt", 1.0))
        return result
