"""A base class of methods that hold the adapted generator to the source's output at the same latent."""

from __future__ import annotations

from functools import partial
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from benchmark.api.backbones import Vgg16
from benchmark.api.extra import Extra
from benchmark.api.losses import feature_matching
from benchmark.api.method import Method
from benchmark.stylegan2 import Generator, Nets, Noise

Output = tuple[Tensor, dict[int, Tensor], dict[int, Tensor]]
"""Image [N, 3, R, R], {px: block features [N, C, px, px]}, and, where it is matched, {px: RGB sum [N, 3, px, px]}."""


COST = 6.0
"""What `image_weight` auto lets a translation of the mean image cost at the anchor, in units of the loss."""
LEAST_DISTANCE = 0.01
"""Mean squared distance between mean images in [-1, 1] below which two domains count as equally near."""
SAMPLES = 256
"""Images on either side of the mean images."""


class MatchesSource(Method):
    """What is matched, and how strongly; the subclass decides at which noise.

    Lee et al., "Fix the Noise" (CVPR 2023), match the block features, section 3.2; their code has the five choices.

    - `features`: what is published. They do not contain what the RGB layers do: a change of colour alone leaves them as
      they are, and with them matched nothing holds the source's colours. For content and layout.
    - `image`: the final image, colours included; how it comes about is free. For a target whose colours should not
      reach the anchor.
    - `rgb`: the RGB sum of every block, that is the image at every resolution on its way: colours, coarse ones first.
    - `all`: features and image, for an anchor that is the source's picture. In the authors' code RGB sums as well, and
      one weight for all.
    - `vgg`: features of the image in an ImageNet VGG-16, that is what is seen in it, and neither its exact pixels nor
      how it comes about; as in the authors' code the five stages of LPIPS's trunk on the image in [-1, 1] as it is. The
      network is the file `vgg16`, and `weight` weighs its distance. `lpips_vgg` flatters such a row: reports say so and
      rank it by others only.

    The terms of image and RGB are mean squared differences in [-1, 1]; the authors sum over channels, which is 3 times
    as much, and weigh them as features. `image_weight` times the mean squared distance between the source's images and
    their translations is what a full translation costs at the anchor: too little does not hold the anchor at the
    source, too much holds the random noise as well. The distance differs by a factor of 50 between domains, and no
    weight is right for all of them: `auto` divides `COST` by the mean squared distance between the mean images of
    source and target. Trials that chose it: results/trials/image-weight.
    """

    code_licence: ClassVar[str] = "NVIDIA Source Code License-NC"
    weight: float = Field(0.05, ge=0, description="weight of the block features, or of those of VGG-16")
    match: Literal["features", "rgb", "image", "all", "vgg"] = Field(
        "features",
        description="features of all blocks as published, their RGB sums, the image, features and image, or what "
        "VGG-16 makes of the image",
    )
    image_weight: Annotated[float, Field(ge=0)] | Literal["auto"] = Field(
        "auto", description="weight of the image or the RGB sums, where they are matched; auto takes it from the data"
    )
    normalise: bool = Field(
        False, description="each block's distance relative to its energy in the source, so that weights carry over"
    )

    @property
    def needs(self) -> tuple[str, ...]:  # type: ignore[override]
        return ("vgg16",) if self.match == "vgg" else ()

    def prepare(self, nets: Nets, reals: Tensor, rng: torch.Generator) -> Extra | None:
        extra = Extra()
        if self.match == "vgg":
            extra.vgg = Vgg16()
        elif self.match != "features" and self.image_weight == "auto":
            extra.register_buffer("image_weight", image_weight(nets.g_ema, reals, rng))
        else:
            return None
        return extra

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

    def matching(self, ours: Output, theirs: Output, extra: Extra) -> dict[str, Tensor]:
        """The losses {name: scalar} that hold our output to theirs; `extra` is what `prepare` returned."""
        terms = {}
        if self.match in ("features", "all"):
            terms[self.name] = self.weight * self._features(ours[1], theirs[1])
        if self.match in ("image", "all"):
            terms[f"{self.name}_image"] = self._weighed((ours[0] - theirs[0]).square().mean(), extra)
        if self.match == "rgb":
            distances = [(ours[2][px] - theirs[2][px]).square().mean() for px in ours[2]]
            terms[f"{self.name}_rgb"] = self._weighed(torch.stack(distances).mean(), extra)
        if self.match == "vgg":
            stages = [extra.get_submodule("vgg")(image) for image in (ours[0], theirs[0])]
            terms[f"{self.name}_vgg"] = self.weight * self._features(*stages)
        return terms

    def _weighed(self, distance: Tensor, extra: Extra) -> Tensor:
        """A distance of images by its weight."""
        return distance * (extra.get_buffer("image_weight") if self.image_weight == "auto" else self.image_weight)

    def _features(self, ours: dict[int, Tensor], theirs: dict[int, Tensor]) -> Tensor:
        if not self.normalise:
            return feature_matching(ours, theirs)
        pairs = [(ours[px].float(), theirs[px].float()) for px in ours]
        return torch.stack([(a - b).square().mean() / b.square().mean() for a, b in pairs]).mean()


def image_weight(source: Generator, reals: Tensor, rng: torch.Generator) -> Tensor:
    """The scalar `COST` / |mean of `source`'s images - mean of `reals`|^2 per number; reals uint8 [N, 3, R, R].

    The mean images tell how far a translation has to go without pairs; that they nearly agree does not say that it has
    nowhere to go, so the distance counts as `LEAST_DISTANCE` at least.
    """
    means = []
    with torch.no_grad():
        for _ in range(SAMPLES // 16):
            z = torch.randn(16, source.cfg.z_dim, generator=rng, device=rng.device)
            means.append(source(z, rng=rng).float().mean(0))
    chosen = torch.randperm(len(reals), generator=rng, device=rng.device)[:SAMPLES].to(reals.device)
    target = (reals[chosen].float() / 127.5 - 1).mean(0).to(means[0].device)
    distance = (torch.stack(means).mean(0) - target).square().mean()
    return COST / distance.clamp(min=LEAST_DISTANCE)


def _keep(sums: dict[int, Tensor], px: int, _: object, __: object, made: tuple[Tensor, Tensor]) -> None:
    """A forward hook of a synthesis block, which returns features and RGB sum."""
    sums[px] = made[1]
