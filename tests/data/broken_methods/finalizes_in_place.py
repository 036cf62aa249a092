"""Nobody, "Sharper, again and again" (2024)."""

import torch

from benchmark.api import Control, Generator, Method


class FinalizesInPlace(Method):
    """Changes the generator that other controls will get."""

    name = "finalizes_in_place"
    title = "Finalizes in place"
    paper = "Nobody, Sharper, again and again, 2024"

    @torch.no_grad()
    def finalize(self, source: Generator, adapted: Generator, control: Control) -> Generator:
        adapted.synthesis.blocks[32].torgb.weight.mul_(1.1)
        return adapted
