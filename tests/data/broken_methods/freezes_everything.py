"""Nobody, "Nothing Changes" (2024)."""

from collections.abc import Iterable

from torch import nn

from benchmark.api import Method, Nets


class FreezesEverything(Method):
    """Holds all of the generator."""

    name = "freezes_everything"
    title = "Freezes everything"
    paper = "Nobody, Nothing Changes, 2024"

    def frozen(self, nets: Nets) -> Iterable[nn.Parameter]:
        return nets.g.parameters()
