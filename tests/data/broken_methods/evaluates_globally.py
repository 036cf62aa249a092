"""Nobody, "Anybody's Noise" (2024)."""

import torch

from benchmark.api import Control, Generator, Method, Noise


class EvaluatesGlobally(Method):
    """Lets the networks draw the noise of evaluated images as they like."""

    name = "evaluates_globally"
    title = "Evaluates globally"
    paper = "Nobody, Anybody's Noise, 2024"

    def noise(self, g: Generator, n: int, control: Control, rng: torch.Generator) -> Noise:
        return "random"
