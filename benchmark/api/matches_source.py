"""A base class of methods that hold the adapted generator to the source's output at the same latent."""

from __future__ import annotations

from functools import partial
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from benchmark.api.losses import feature_matching
from benchmark.api.method import Method
from benchmark.stylegan2 import Generator, Noise

Output = tuple[Tensor, dict[int, Tensor], dict[int, Tensor]]
"""Image [N, 3, R, R], {px: block features [N, C, px, px]}, and, where it is matched, {px: RGB sum [N, 3, px, px]}."""


class MatchesSource(Method):
    """What is matched, and how strongly; the subclass decides at which noise.

    Lee et al., "Fix the Noise" (CVPR 2023), match the block features, section 3.2; their code has these choices, too.

    - `features`: what is published. They do not contain what the RGB layers do: a change of colour alone leaves them as
      they are, and with them matched nothing holds the source's colours.
    - `image`: the final image, colours included; how it comes about is free.
    - `rgb`: the RGB sum of every block, that is the image at every resolution on its way.
    - `all`: features and image. In the authors' code RGB sums as well, and one weight for all.
    - `vgg` is left out: a VGG-16 is a metric's network (`lpips_vgg`), which has to be downloaded, and a row trained on
      it must not be ranked by it.

    The terms of image and RGB are mean squared differences in [-1, 1]; the authors sum over channels, which is 3 times
    as much, and weigh them as features. `image_weight` times the mean squared distance between the source's images and
    their translations is what a full translation costs at the anchor. Measured on the embedded domains at 5 kimg, a
    cost of 2 to 13 holds the anchor at the source, 3.5 on a near domain half-way, and 0.6 does not hold it.
    """

    code_licence: ClassVar[str] = "NVIDIA Source Code License-NC"
    weight: float = Field(0.05, ge=0, description="weight of the block features")
    match: Literal["features", "rgb", "image", "all"] = Field(
        "features", description="features of all blocks as published, their RGB sums, the image, or features and image"
    )
    image_weight: float = Field(10.0, ge=0, description="weight of the image or the RGB sums, where they are matched")
    normalise: bool = Field(
        False, description="each block's distance relative to its energy in the source, so that weights carry over"
    )

    def output(self, g: Generator, ws: Tensor, noise: Noise, rng: torch.Generator | None = None) -> Output:
        """What `g` makes of ws [N, num_ws, w_dim] at `noise`, to be matched."""
        sums: dict[int, Tensor] = {}
        blocks = g.synthesis.blocks.items() if self.match == "rgb" else ()
        hooks = [block.register_forward_hook(partial(_keep, sums, px)) for px, block in blocks]
        try:
            image, features = g.synthesis(ws, noise, rng)
        finally:
            for hook in hooks:
                hook.remove()
        return image, features, sums

    def matching(self, ours: Output, theirs: Output) -> dict[str, Tensor]:
        """The losses {name: scalar} that hold our output to theirs."""
        terms = {}
        if self.match in ("features", "all"):
            terms[self.name] = self.weight * self._features(ours[1], theirs[1])
        if self.match in ("image", "all"):
            terms[f"{self.name}_image"] = self.image_weight * (ours[0] - theirs[0]).square().mean()
        if self.match == "rgb":
            distances = [(ours[2][px] - theirs[2][px]).square().mean() for px in ours[2]]
            terms[f"{self.name}_rgb"] = self.image_weight * torch.stack(distances).mean()
        return terms

    def _features(self, ours: dict[int, Tensor], theirs: dict[int, Tensor]) -> Tensor:
        if not self.normalise:
            return feature_matching(ours, theirs)
        pairs = [(ours[px].float(), theirs[px].float()) for px in ours]
        return torch.stack([(a - b).square().mean() / b.square().mean() for a, b in pairs]).mean()


def _keep(sums: dict[int, Tensor], px: int, _: object, __: object, made: tuple[Tensor, Tensor]) -> None:
    """A forward hook of a synthesis block, which returns features and RGB sum."""
    sums[px] = made[1]
