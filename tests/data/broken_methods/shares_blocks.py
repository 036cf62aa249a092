"""Nobody, "Half of Yours" (2024)."""

from benchmark.api import Control, Generator, Method, copy_of


class SharesBlocks(Method):
    """Puts a block of the source itself into the result."""

    name = "shares_blocks"
    title = "Shares blocks"
    paper = "Nobody, Half of Yours, 2024"

    def finalize(self, source: Generator, adapted: Generator, control: Control) -> Generator:
        hybrid = copy_of(adapted)
        hybrid.synthesis.add_module("b4", source.synthesis.blocks[4])
        return hybrid
