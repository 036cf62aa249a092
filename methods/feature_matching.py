"""Feature matching without the anchor: FixNoise's loss with random noise, to show what fixing the noise adds.

The ablation of Lee et al., "Fix the Noise" (CVPR 2023), section 4: both networks draw their own noise, so that no
sub-space of the noise is singled out and the source's features pull on all of it.
"""

from torch import Tensor

from benchmark.api import Field, GeneratorStep, Method, feature_matching


class FeatureMatching(Method):
    """Fine-tuning that keeps the source's features at every noise."""

    name = "feature_matching"
    title = "Feature matching"
    paper = "ablation in Lee et al., Fix the Noise, CVPR 2023"
    code_licence = "NVIDIA Source Code License-NC"
    weight: float = Field(0.05, ge=0, description="weight of the feature-matching loss")

    def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
        _, ours = step.nets.g.synthesis(step.nets.g.mapping(step.z, step.c), "random", rng=step.rng)
        _, theirs = step.source.synthesis(step.source.mapping(step.z, step.c), "random", rng=step.rng)
        return {self.name: self.weight * feature_matching(ours, theirs)}
