"""CDC: samples keep their distances to each other, as they were in the source.

Ojha, Li, Lu, Efros, Lee, Shechtman and Zhang, "Few-shot Image Generation via Cross-domain Correspondence" (CVPR 2021,
arXiv 2104.06820), eqs. 1 to 5. Distance consistency: for each of a few samples the soft-max over the cosine
similarities of its features to those of all others, at a layer drawn for each sample; KL(source || adapted). Relaxed
realism (section 3.2): `benchmark.api.RelaxedRealism`, with what differs there.

Unlike the authors' code: both networks see the same random noise (theirs draw their own, so that the loss is not 0 at
the source), and the source is its average (theirs: its raw weights). Features are the outputs of the blocks above 4 px,
not of each convolution. The KL is summed over the others and averaged over samples; the code's mean over all elements
is 3 times smaller with its 4 samples, hence a weight of 1000 / 3 for its 1000. Samples of this loss are drawn afresh,
as in the code: near the anchors those of the adversarial loss are copies of each other.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark.api import Field, GeneratorStep, RelaxedRealism


class CDC(RelaxedRealism):
    """Relaxed realism with cross-domain distance consistency."""

    name = "cdc"
    title = "CDC"
    paper = "Ojha et al., Cross-domain Correspondence, CVPR 2021"
    code_licence = "Adobe Research License"
    version = 2
    weight: float = Field(1000 / 3, ge=0, description="weight of the distance consistency; the code's 1000, see above")
    samples: int = Field(4, ge=3, description="samples whose distances are compared, drawn for each update")

    def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
        g, source, rng = step.nets.g, step.source, step.rng
        z = torch.randn(self.samples, g.cfg.z_dim, generator=rng, device=step.z.device)
        c = None if step.c is None else step.c[:1].expand(self.samples, -1)
        noise = source.synthesis.random_noise(self.samples, rng)
        _, ours = g.synthesis(g.mapping(z, c), noise)
        _, theirs = source.synthesis(source.mapping(z, c), noise)
        layers = torch.randint(len(ours) - 1, (self.samples,), generator=rng, device=z.device)
        return {self.name: self.weight * distance_consistency(ours, theirs, layers)}


def distance_consistency(ours: dict[int, Tensor], theirs: dict[int, Tensor], layers: Tensor) -> Tensor:
    """KL(theirs || ours), mean over samples i, at the features of place layers[i] among those above the first."""
    a, b = (torch.stack([log_neighbours(x) for x in list(f.values())[1:]]) for f in (ours, theirs))
    each = torch.arange(len(layers), device=layers.device)
    return F.kl_div(a[layers, each], b[layers, each], reduction="batchmean", log_target=True)


def log_neighbours(features: Tensor) -> Tensor:
    """[N, C, H, W] -> log soft-max of each sample's cosine similarities to the others, float32 [N, N - 1]."""
    x = F.normalize(features.float().flatten(1), dim=1)
    n = len(x)
    similar = (x @ x.t()).flatten()[1:].view(n - 1, n + 1)[:, :-1].reshape(n, n - 1)  # without the diagonal
    return similar.log_softmax(dim=1)
