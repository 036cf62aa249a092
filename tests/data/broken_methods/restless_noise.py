"""Nobody, "Never the Same" (2024)."""

import torch

from benchmark.api import Control, Generator, Method, Noise


class RestlessNoise(Method):
    """A random stream of its own, from an unknown seed."""

    name = "restless_noise"
    title = "Restless noise"
    paper = "Nobody, Never the Same, 2024"

    def noise(self, g: Generator, n: int, control: Control, rng: torch.Generator) -> Noise:
        own = torch.Generator()
        own.seed()
        return g.synthesis.random_noise(n, own)
