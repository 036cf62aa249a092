"""MixDL: a mixture of latents gives features whose similarities to the parts' are the shares of the mixture.

Kong, Kim, Han and Kwak, "Few-shot Image Generation with Mixup-based Distance Learning" (ECCV 2022, arXiv 2111.11672),
section 3. Shares c of `samples` latents are drawn from a Dirichlet distribution, once for each sample; w is mixed by
them. G: the soft-max over the cosine similarities of the mixture's features to the parts', at a block drawn for each
mixture, is to be soft-max(c), as KL(soft-max(c) || similarities). D: likewise in what its first dense layer makes of
the images. Made for training without a source; here it starts from one, as every row does.

From the authors' code: weights 1000 and 1 for means over all elements, 4 samples, Dirichlet(1, ...), soft-max of c,
both losses in every second step. The mean is here over mixtures, 4 times as large: weights 250 and 0.25. Chosen here:
features of blocks; anchor noise; whole images of unmixed latents are judged, where the code judges patches of mixtures.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark.api import Discriminator, DiscriminatorStep, Field, GeneratorStep, Method, judgeable


class MixDL(Method):
    """Fine-tuning with distances learned from mixtures."""

    name, title = "mixdl", "MixDL"
    paper = "Kong et al., Mixup-based Distance Learning, ECCV 2022"
    code_licence, version = "MIT", 2
    generator_weight: float = Field(250.0, ge=0, description="weight of the loss on the generator's features")
    discriminator_weight: float = Field(0.25, ge=0, description="weight of the loss on the discriminator's features")
    samples: int = Field(4, ge=2, description="latents that are mixed, drawn for each update; as many mixtures")
    every: int = Field(2, ge=1, description="steps from one with these losses to the next")

    def acts(self, step: GeneratorStep | DiscriminatorStep) -> bool:
        """Whether this step has the losses; the first of `every` steps has not."""
        return step.index % self.every == self.every - 1

    def mixed(self, step: GeneratorStep | DiscriminatorStep) -> tuple[Tensor, Tensor, Tensor]:
        """Shares [N, N], and w [N, L, w_dim] of the parts and of the mixtures."""
        g, n = step.nets.g, self.samples
        z = torch.randn(n, g.cfg.z_dim, generator=step.rng, device=step.z.device)
        # exponential variables over their sum are Dirichlet(1, ..., 1)
        shares = F.normalize(-torch.rand(n, n, generator=step.rng, device=z.device).clamp_min(1e-9).log(), p=1, dim=1)
        return shares, (ws := g.mapping(z)), torch.einsum("nm,mlw->nlw", shares, ws)

    def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
        if not self.acts(step):
            return {}
        synthesis, (shares, ws, mixtures) = step.nets.g.synthesis, self.mixed(step)
        parts, mixed = ([*synthesis(w, "const")[1].values()] for w in (ws, mixtures))
        layer = torch.randint(1, len(parts), (self.samples,), generator=step.rng, device=ws.device).tolist()
        rows = [similarities(mixed[b][i : i + 1], parts[b]) for i, b in enumerate(layer)]
        return {"generator_mixture": self.generator_weight * distance(torch.cat(rows), shares)}

    def discriminator_loss(self, step: DiscriminatorStep) -> dict[str, Tensor]:
        if not self.acts(step):
            return {}
        with torch.no_grad():
            shares, ws, mixtures = self.mixed(step)
            images = torch.cat([step.nets.g.synthesis(w, "const")[0] for w in (ws, mixtures)])
        parts, mixed = dense(step.nets.d, images).chunk(2)
        return {"discriminator_mixture": self.discriminator_weight * distance(similarities(mixed, parts), shares)}


def dense(d: Discriminator, images: Tensor) -> Tensor:
    """What D's first dense layer makes of images, [N, C]."""
    made: list[Tensor] = []
    hook = d.b4.fc.register_forward_hook(lambda layer, inputs, output: made.append(output))
    for some in judgeable(d, images):
        d(some)
    hook.remove()
    return torch.cat(made)


def similarities(mixed: Tensor, parts: Tensor) -> Tensor:
    """Cosine similarities [M, N] of features [M, ...] to features [N, ...]."""
    return F.normalize(mixed.float().flatten(1), dim=1) @ F.normalize(parts.float().flatten(1), dim=1).t()


def distance(similar: Tensor, shares: Tensor) -> Tensor:
    """KL(soft-max(shares) || soft-max(similar)), mean over rows."""
    return F.kl_div(similar.log_softmax(dim=1), shares.softmax(dim=1), reduction="batchmean")
