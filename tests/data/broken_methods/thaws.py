"""Nobody, "Frozen, more or less" (2024)."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from benchmark.api import GeneratorStep, Method, Nets


class Thaws(Method):
    """Writes to what it froze."""

    name = "thaws"
    title = "Thaws"
    paper = "Nobody, Frozen, more or less, 2024"

    def frozen(self, nets: Nets) -> Iterable[nn.Parameter]:
        return nets.d.blocks[32].parameters()

    @torch.no_grad()
    def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
        for p in step.nets.d.blocks[32].parameters():
            p.mul_(0.999)
        return {}
