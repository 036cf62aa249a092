"""Nobody, "My Brother's Method" (2024)."""

from collections.abc import Iterable

from torch import nn

from benchmark.api import Method, Nets


class Twin(Method):
    """Another method under a new name."""

    name = "twin"
    title = "Twin"
    paper = "Nobody, My Brother's Method, 2024"

    def frozen(self, nets: Nets) -> Iterable[nn.Parameter]:
        layers = [layer for block in nets.d.blocks.values() for layer in block.children()]
        return [p for layer in layers[:4] for p in layer.parameters()]
