"""StyleGAN-NADA from images: in CLIP's space each image moves from the source's in the direction of the target domain.

Gal, Patashnik, Maron, Bermano, Chechik and Cohen-Or, "StyleGAN-NADA: CLIP-Guided Domain Adaptation of Image Generators"
(SIGGRAPH 2022, arXiv 2108.00946), section 4, in its form for a few images (section 5): the direction is the mean of the
training images' unit embeddings less that of the source's images', normalised; the loss is one less the cosine between
it and the difference of the embeddings of G(w) and of the source's image at the same w. No adversarial term: D is held.

From the authors' code: ViT-B/32, cosine; RGB layers and the mapping network are held; no path length and no average, so
what is evaluated is what was trained. Different: all other layers
train, where the paper chooses anew in each step those that CLIP moves most; one CLIP network (theirs may add ViT-B/16);
no text, since a domain here is its images; both generators see the anchor noise, and as they are the same at first,
differences shorter than 0.05 count in proportion; the length is the suite's train.kimg (theirs: 300 steps of 2, 0.6).
CLIP's weights are a file that is not shipped; without it the method is not available. G starts at the source's average.
"""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.api import ClipImages, Extra, Field, GeneratorStep, Method, Nets, TrainConfig


class StyleGANNADA(Method):
    """Fine-tuning along a direction of CLIP, without an adversary."""

    name = "stylegan_nada"
    title = "StyleGAN-NADA (from images)"
    paper = "Gal et al., StyleGAN-NADA, SIGGRAPH 2022"
    code_licence = "MIT"
    needs = ("clip_vit_b32",)
    adversarial = False
    version = 2
    weight: float = Field(1.0, ge=0, description="weight of the directional loss")
    images: int = Field(64, ge=1, description="images of the source, and at most of the target, for the direction")

    def settings(self, train: TrainConfig) -> TrainConfig:
        return train.model_copy(update={"pl_weight": 0.0, "ema_kimg": 1e-6})

    def prepare(self, nets: Nets, reals: Tensor, rng: torch.Generator) -> Extra:
        nets.g.load_state_dict(nets.g_ema.state_dict())
        extra, clip = Extra(), ClipImages().to(rng.device)
        chosen = torch.randperm(len(reals), generator=rng, device=rng.device)[: self.images].to(reals.device)
        z = torch.randn(self.images, nets.cfg.z_dim, generator=rng, device=rng.device)
        with torch.no_grad():
            theirs = torch.cat([clip(x.to(rng.device) / 127.5 - 1) for x in reals[chosen].split(16)])
            ours = torch.cat([clip(nets.g(some, noise="const")) for some in z.split(16)])
        extra.register_buffer("direction", F.normalize(theirs.mean(dim=0) - ours.mean(dim=0), dim=0))
        extra.clip = clip
        return extra

    def frozen(self, nets: Nets) -> Iterable[nn.Parameter]:
        blocks = nets.g.synthesis.blocks.values()
        return [p for m in (nets.g.mapping, nets.d, *(b.torgb for b in blocks)) for p in m.parameters()]

    def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
        g, source, clip = step.nets.g, step.source, step.extra.get_submodule("clip")
        ours, _ = g.synthesis(g.mapping(step.z, step.c), "const")
        with torch.no_grad():
            theirs = clip(source.synthesis(source.mapping(step.z, step.c), "const")[0])
        direction = F.normalize(clip(ours) - theirs, dim=1, eps=0.05)
        return {"direction": self.weight * (1 - direction @ step.extra.get_buffer("direction")).mean()}
