"""Feature matching without the anchor: FixNoise's loss with random noise, to show what fixing the noise adds.

The ablation of Lee et al., "Fix the Noise" (CVPR 2023), section 4: both networks draw their own noise, so that no
sub-space of the noise is singled out and the source's features pull on all of it.
"""

from torch import Tensor

from benchmark.api import GeneratorStep, MatchesSource


class FeatureMatching(MatchesSource):
    """Fine-tuning that keeps the source's features at every noise."""

    name = "feature_matching"
    title = "Feature matching"
    paper = "ablation in Lee et al., Fix the Noise, CVPR 2023"

    def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
        g, source = step.nets.g, step.source
        ours = self.output(g, g.mapping(step.z, step.c), "random", step.rng)
        theirs = self.output(source, source.mapping(step.z, step.c), "random", step.rng)
        return self.matching(ours, theirs, step.extra)
