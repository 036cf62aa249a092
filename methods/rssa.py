"""RSSA: the layout of features, within an image and between disturbed images, stays as in the source.

Xiao, Li, Wang, Zha and Huang, "Few Shot Generative Model Adaption via Relaxed Spatial Structural Alignment" (CVPR 2022,
arXiv 2203.04121), section 3. Self-correlation: cosine similarities of all places of a feature map with each other.
Disturbance correlation: for a pair of images of slightly different z, each place's soft-max over its similarities to
all places of the other. Both are compared with the source's at the same z and noise, added over blocks: by smooth L1,
a mean over entries, and by the L1 distance of distributions. As in the authors' code the first looks at the finest maps
(64 px and above of 256, or that share of blocks), the second acts in every 6th step. `benchmark.api.RelaxedRealism`.

Unlike that code: the disturbed latents are really used (theirs are computed, then independent ones go in), and serve
both losses. A sum over block outputs has about half the terms of theirs over convolutions. Maps above `max_px` are
averaged down to it, not cut into windows. Latent compression is left out: it needs an inversion of each training image
with a perceptual network, and would have to be shipped.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark.api import Field, GeneratorStep, Method, RelaxedRealism, scaled_px


class RSSA(RelaxedRealism):
    """Relaxed realism with spatial structural alignment, without latent compression."""

    name = "rssa"
    title = "RSSA"
    paper = "Xiao et al., Relaxed Spatial Structural Alignment, CVPR 2022"
    code_licence = "none"
    version = 2
    self_weight: float = Field(0.8, ge=0, description="weight of the self-correlation consistency")
    disturbance_weight: float = Field(0.4, ge=0, description="weight of the disturbance-correlation consistency")
    disturbance: float = Field(0.15, gt=0, le=1, description="share of an image's own latent; the rest is shared")
    samples: int = Field(4, ge=2, description="disturbed images, drawn for each update")
    disturbance_every: int = Field(6, ge=1, description="steps from one with the disturbance correlation to the next")
    min_px: int | None = Field(None, description="self-correlation of maps from this side on; 64 of 256 px, scaled")
    max_px: int = Field(32, ge=4, description="larger feature maps are averaged down to this side")

    def fitted(self, resolution: int) -> Method:
        fitted = super().fitted(resolution)
        return fitted.model_copy(update={"min_px": self.min_px or scaled_px(64, resolution)})

    def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
        g, source, n = step.nets.g, step.source, self.samples
        own = torch.randn(n, g.cfg.z_dim, generator=step.rng, device=step.z.device)
        z = step.z[:1] * (1 - self.disturbance) + own * self.disturbance
        c = None if step.c is None else step.c[:1].expand(n, -1)
        anchor = source.synthesis.anchor_noise()
        _, ours = g.synthesis(g.mapping(z, c), anchor)
        _, theirs = source.synthesis(source.mapping(z, c), anchor)
        pairs = {px: (self.places(ours[px]), self.places(theirs[px])) for px in ours}
        least = min(self.min_px or scaled_px(64, g.cfg.resolution), g.cfg.resolution)
        fine = [self_correlation(*pair) for px, pair in pairs.items() if px >= least]
        terms = {"self_correlation": self.self_weight * torch.stack(fine).sum()}
        if step.index % self.disturbance_every == 0:
            all_px = [disturbance(*pair) for pair in pairs.values()]
            terms["disturbance"] = self.disturbance_weight * torch.stack(all_px).sum()
        return terms

    def places(self, features: Tensor) -> Tensor:
        """[N, C, H, W] -> unit vectors, or means of such, float32 [N, P, C], one a place of at most max_px x max_px."""
        x = F.normalize(features.float(), dim=1)
        if x.shape[-1] > self.max_px:
            x = F.adaptive_avg_pool2d(x, self.max_px)
        return x.flatten(2).transpose(1, 2)


def self_correlation(ours: Tensor, theirs: Tensor) -> Tensor:
    """Mean smooth L1 distance of the similarities of places, [N, P, C] each -> scalar."""
    return F.smooth_l1_loss(ours @ ours.transpose(1, 2), theirs @ theirs.transpose(1, 2))


def disturbance(ours: Tensor, theirs: Tensor) -> Tensor:
    """L1 distance of the soft-maxes over places of another image, mean over pairs and places, [N, P, C] -> scalar."""
    i, j = torch.triu_indices(len(ours), len(ours), offset=1, device=ours.device)
    a, b = ((x[i] @ x[j].transpose(1, 2)).softmax(dim=2) for x in (ours, theirs))
    return (a - b).abs().sum(dim=2).mean()
