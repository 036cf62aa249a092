"""Nobody, "The Last Run" (2024)."""

from torch import Tensor

from benchmark.api import GeneratorStep, Method

SEEN: list[int] = []


class Remembers(Method):
    """What it does depends on how often it was called in this process."""

    name = "remembers"
    title = "Remembers"
    paper = "Nobody, The Last Run, 2024"

    def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
        SEEN.append(step.images_seen)
        return {"bright": len(SEEN) * step.images.mean()}
