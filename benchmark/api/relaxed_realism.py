"""A base class of methods that judge whole images near a few anchors only."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor

from benchmark.api.extra import Extra, build
from benchmark.api.method import Method, Turn, refuse
from benchmark.stylegan2 import Nets
from benchmark.stylegan2.networks import ConvLayer


class RelaxedRealism(Method):
    """Whole images are judged near a few anchors only, patches everywhere else; for methods to inherit.

    Ojha et al., "Few-shot Image Generation via Cross-domain Correspondence" (CVPR 2021, arXiv 2104.06820), section 3.2.
    With a handful of training images a judge of whole images makes every sample one of them. So whole images are judged
    only around anchors, as many fixed latents as training images, in every `anchor_every`-th step; all other samples
    have to be realistic patch by patch: one logit for each place of a map of the discriminator's features, instead of
    the usual one. Unlike in the authors' code the patch logits have no leaky ReLU on top, and come from a block's
    output, not a convolution's in it.
    Their map has 32 x 32 places at 256 px, so that a patch is about a quarter of the image's side; so it has at every
    size, or half the image's side where that is less.
    """

    anchors: int | None = Field(None, ge=1, description="fixed latents; as many as training images")
    anchor_std: float = Field(0.1, ge=0, description="standard deviation of the latents around an anchor")
    anchor_every: int = Field(4, ge=1, description="steps from one with whole images near the anchors to the next")
    patch_px: int | None = Field(None, description="side of the map of patch logits; 32, or half a smaller image's")

    def fitted(self, resolution: int) -> Method:
        return self.model_copy(update={"patch_px": self._places(resolution)})

    def _places(self, resolution: int) -> int:
        return self.patch_px or min(32, resolution // 2)

    def check(self, source: Mapping[str, int]) -> None:
        allowed = [2**i for i in range(2, source["resolution"].bit_length() - 1)]
        if self._places(source["resolution"]) not in allowed:
            refuse(self, "patch_px", self.patch_px, f"this source's discriminator has feature maps of {allowed} px")

    def prepare(self, nets: Nets, reals: Tensor, rng: torch.Generator) -> Extra:
        extra = Extra()
        n = self.anchors or len(reals)
        extra.register_buffer("anchors", torch.randn(n, nets.cfg.z_dim, generator=rng, device=rng.device))
        channels = nets.cfg.channels(self._places(nets.cfg.resolution))
        extra.d.add_module("patches", build(lambda: ConvLayer(channels, 1, 3, None, act=False), rng))
        return extra

    def whole_images(self, turn: Turn) -> bool:
        """Whether this step is one near the anchors."""
        return turn.index % self.anchor_every == 0

    def latents(self, turn: Turn, z: Tensor) -> Tensor:
        if not self.whole_images(turn):
            return z
        anchors = turn.extra.get_buffer("anchors")
        chosen = torch.randint(len(anchors), (len(z),), generator=turn.rng, device=z.device)
        noise = torch.randn(z.shape, generator=turn.rng, device=z.device)
        return anchors[chosen] + self.anchor_std * noise

    def judge(self, turn: Turn, images: Tensor, c: Tensor | None) -> Tensor:
        if self.whole_images(turn):
            return turn.nets.d(images, c)
        _, maps = turn.nets.d.features(images, c)
        return turn.extra.d.get_submodule("patches")(maps[self._places(images.shape[-1])]).flatten(1)
