"""Nobody, "Close to Home" (2024)."""

from torch import Tensor

from benchmark.api import Method, Turn


class DrawsNearTheMean(Method):
    """To choose its latents it looks at w, and moves the centre of it."""

    name = "draws_near_the_mean"
    title = "Draws near the mean"
    paper = "Nobody, Close to Home, 2024"

    def latents(self, turn: Turn, z: Tensor) -> Tensor:
        w = turn.nets.g.mapping(z, update_avg=True).detach()
        return z / (1 + w.square().mean())
