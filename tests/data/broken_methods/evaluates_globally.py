"""Nobody, "Anybody's Noise" (2024)."""

import torch

from benchmark.api import Control, Generator, Method, Noise


class EvaluatesGlobally(Method):
    """Draws the noise of evaluated images from the generator that all of the process shares."""

    name = "evaluates_globally"
    title = "Evaluates globally"
    paper = "Nobody, Anybody's Noise, 2024"

    def noise(self, g: Generator, n: int, control: Control, rng: torch.Generator) -> Noise:
        return g.synthesis.random_noise(n, torch.default_generator)
