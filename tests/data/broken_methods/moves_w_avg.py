"""Nobody, "Twice as Average" (2024)."""

from torch import Tensor

from benchmark.api import GeneratorStep, Method


class MovesWAvg(Method):
    """Its own pass moves the centre of w a second time."""

    name = "moves_w_avg"
    title = "Moves w_avg"
    paper = "Nobody, Twice as Average, 2024"

    def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
        return {"size": step.nets.g.mapping(step.z, step.c, update_avg=True).square().mean()}
