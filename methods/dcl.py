"""DCL: what the source makes of a latent stays recognisable in what the adapted generator makes of it.

Zhao, Ding, Huang and Cheung, "A Closer Look at Few-shot Image Generation" (CVPR 2022, arXiv 2205.03805), section 4: two
contrastive lower bounds of mutual information, -log of a soft-max over cosine similarities divided by a temperature.
Generator: block features of the adapted G(z_i) against the source's at z_i (positive) and at the other latents
(negatives). Discriminator: D's features of the adapted G(z_i) against those of the source's image at z_i (positive) and
those of real images (negatives), so that fakes are not pulled onto the few training images. Weights 2 and 0.5.

No training code is published; not told or not certain, and chosen here: the loss is averaged over all blocks; G
minimises the first term, D the second; 4 latents, the paper's batch; temperature 0.07, as is common; both networks take
the source's anchor noise, no mixing; the images of the second term are not augmented, its reals are as in the loop.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark.api import DiscriminatorStep, Field, GeneratorStep, Method, feature_maps


class DCL(Method):
    """Fine-tuning with contrastive losses in the features of G and of D."""

    name = "dcl"
    title = "DCL"
    paper = "Zhao et al., A Closer Look at Few-shot Image Generation, CVPR 2022"
    code_licence = "MIT (no training code)"
    generator_weight: float = Field(2.0, ge=0, description="weight of the loss on the generator's features")
    discriminator_weight: float = Field(0.5, ge=0, description="weight of the loss on the discriminator's features")
    temperature: float = Field(0.07, gt=0, description="of the soft-max over similarities")
    samples: int = Field(4, ge=2, description="images of an update that the losses use, at most its batch")

    def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
        z, c = step.z[: self.samples], None if step.c is None else step.c[: self.samples]
        anchor = step.source.synthesis.anchor_noise()
        _, ours = step.nets.g.synthesis(step.nets.g.mapping(z, c), anchor)
        _, theirs = step.source.synthesis(step.source.mapping(z, c), anchor)
        terms = [contrast(ours[px], theirs[px], self.temperature) for px in ours]
        return {"generator_contrast": self.generator_weight * torch.stack(terms).mean()}

    def discriminator_loss(self, step: DiscriminatorStep) -> dict[str, Tensor]:
        z, reals = step.z[: self.samples], step.reals[: self.samples]
        anchor = step.source.synthesis.anchor_noise()
        with torch.no_grad():
            images = [g.synthesis(g.mapping(z), anchor)[0] for g in (step.nets.g, step.source)]
        maps = feature_maps(step.nets.d, torch.cat([*images, reals]))
        split = [x.tensor_split((len(z), 2 * len(z))) for x in maps.values()]
        terms = [contrast(ours, theirs, self.temperature, others) for ours, theirs, others in split]
        return {"discriminator_contrast": self.discriminator_weight * torch.stack(terms).mean()}


def contrast(ours: Tensor, theirs: Tensor, temperature: float, negatives: Tensor | None = None) -> Tensor:
    """-log soft-max of the similarity of ours[i] to theirs[i], mean over i; features [N, ...] -> scalar.

    The negatives of ours[i] are all of `negatives`, or else theirs[j] with j != i.
    """
    a, b = (F.normalize(x.float().flatten(1), dim=1) for x in (ours, theirs))
    if negatives is None:
        similar, positive = a @ b.t(), torch.arange(len(a), device=a.device)
    else:
        others = a @ F.normalize(negatives.float().flatten(1), dim=1).t()
        similar = torch.cat([(a * b).sum(dim=1, keepdim=True), others], dim=1)
        positive = torch.zeros(len(a), dtype=torch.long, device=a.device)
    return F.cross_entropy(similar / temperature, positive)
