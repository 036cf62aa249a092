"""A method without a word about its origin."""

from collections.abc import Iterable

from torch import nn

from benchmark.api import Method, Nets


class NamesNoPaper(Method):
    """Holds the mapping network."""

    name = "names_no_paper"
    title = "Names no paper"
    paper = "Nobody, Origins, 2024"

    def frozen(self, nets: Nets) -> Iterable[nn.Parameter]:
        return nets.g.mapping.parameters()
