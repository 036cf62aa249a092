"""FixNoise: keep the source's features only where the noise is the anchor; the rest of the noise space is the target's.

Lee, Lee, Kim, Choi, Yoo and Kim, "Fix the Noise: Disentangling Source Feature for Controllable Domain Translation"
(CVPR 2023, arXiv 2303.11545). Loss of section 3.2: features of all blocks, the source's constant noise in both
networks, the same z, no style mixing; only in the main generator phase. Control of section 3.3: interpolating the noise
from the anchor (0) to random (1) goes from source-like to target-like. Unlike the authors' code the loss does not move
w_avg a second time, and random noise is new for each image instead of one stored map. What else can be matched:
`benchmark.api.MatchesSource`.
"""

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor

from benchmark.api import Control, Field, Generator, GeneratorStep, MatchesSource, Noise


class FixNoise(MatchesSource):
    """Feature matching at the anchor noise; noise interpolation as control."""

    name = "fixnoise"
    title = "FixNoise"
    paper = "Lee et al., Fix the Noise, CVPR 2023"
    control_name = "noise"
    interpolation: Literal["linear", "spherical"] = Field(
        "linear", description="linear as published; spherical keeps the noise's variance"
    )

    controls: ClassVar[tuple[Control, ...]] = (0.0, 0.25, 0.5, 0.75, 1.0)
    default_control: ClassVar[Control] = 1.0

    def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
        g, source = step.nets.g, step.source
        anchor = source.synthesis.anchor_noise()
        ours = self.output(g, g.mapping(step.z, step.c), anchor)
        theirs = self.output(source, source.mapping(step.z, step.c), anchor)
        return self.matching(ours, theirs, step.extra)

    def noise(self, g: Generator, n: int, control: Control, rng: torch.Generator) -> Noise:
        t = float(control or 0)
        a, b = (1 - t, t) if self.interpolation == "linear" else (math.cos(t * math.pi / 2), math.sin(t * math.pi / 2))
        anchor, fresh = g.synthesis.anchor_noise(), g.synthesis.random_noise(n, rng)
        return {layer: a * anchor[layer] + b * fresh[layer] for layer in anchor}

    def noise_statement(self) -> str:
        return f"{self.interpolation} interpolation from the anchor noise (0) to random noise (1), at the row's value"
