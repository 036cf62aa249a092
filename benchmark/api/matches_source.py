"""A base class of methods that hold the adapted generator to the source's output at the same latent."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from benchmark.api.losses import feature_matching
from benchmark.api.method import Method

Output = tuple[Tensor, dict[int, Tensor]]
"""What `g.synthesis` returns: image [N, 3, R, R] and {px: block features [N, C, px, px]}."""


class MatchesSource(Method):
    """What is matched, and how strongly; the subclass decides at which noise.

    Lee et al., "Fix the Noise" (CVPR 2023), match the block features, section 3.2. Their code can match the image, too.
    Block features do not contain what the RGB layers do: a change of colour alone leaves them as they are, and with
    them matched nothing holds the source's colours. `image` and `all` do.

    The image's term is the mean squared difference of images in [-1, 1]. Its weight times the mean squared distance
    between the source's images and their translations is what a full translation costs at the anchor. Measured on the
    embedded domains at 5 kimg, a cost of 2 to 13 holds the anchor at the source, 3.5 on a near domain half-way, and 0.6
    does not hold it.
    """

    code_licence: ClassVar[str] = "NVIDIA Source Code License-NC"
    weight: float = Field(0.05, ge=0, description="weight of the block features")
    match: Literal["features", "image", "all"] = Field(
        "features", description="features of all blocks as published, the image, or both"
    )
    image_weight: float = Field(10.0, ge=0, description="weight of the image, where it is matched")
    normalise: bool = Field(
        False, description="each block's distance relative to its energy in the source, so that weights carry over"
    )

    def matching(self, ours: Output, theirs: Output) -> dict[str, Tensor]:
        """The losses {name: scalar} that hold our output to theirs."""
        terms = {}
        if self.match != "image":
            terms[self.name] = self.weight * self._features(ours[1], theirs[1])
        if self.match != "features":
            terms[f"{self.name}_image"] = self.image_weight * (ours[0] - theirs[0]).square().mean()
        return terms

    def _features(self, ours: dict[int, Tensor], theirs: dict[int, Tensor]) -> Tensor:
        if not self.normalise:
            return feature_matching(ours, theirs)
        pairs = [(ours[px].float(), theirs[px].float()) for px in ours]
        return torch.stack([(a - b).square().mean() / b.square().mean() for a, b in pairs]).mean()
