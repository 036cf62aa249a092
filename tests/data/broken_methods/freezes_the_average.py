"""Nobody, "The Wrong Network" (2024)."""

from collections.abc import Iterable

from torch import nn

from benchmark.api import Method, Nets


class FreezesTheAverage(Method):
    """Names parameters that never train."""

    name = "freezes_the_average"
    title = "Freezes the average"
    paper = "Nobody, The Wrong Network, 2024"

    def frozen(self, nets: Nets) -> Iterable[nn.Parameter]:
        return nets.g_ema.mapping.parameters()
