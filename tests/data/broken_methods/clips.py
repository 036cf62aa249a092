"""Nobody, "Short Hair" (2024)."""

import torch

from benchmark.api import Method, Turn


class Clips(Method):
    """It clips weights after each step, behind the optimiser's back."""

    name = "clips"
    title = "Clips"
    paper = "Nobody, Short Hair, 2024"

    @torch.no_grad()
    def after_step(self, turn: Turn) -> None:
        for p in turn.nets.d.b4.parameters():
            p.clamp_(-0.01, 0.01)
