"""LFS-GAN: rank-one factors of the generator's weights train, and samples that look alike are driven apart.

Seo, Kang and Park, "LFS-GAN: Lifelong Few-Shot Image Generation" (ICCV 2023, arXiv 2308.11917), section 4. LeFT: a
convolution's weight [O, I, k, k] is multiplied by max(out x place, 0) x in, one vector each (rank 1), a dense layer's
(affine, mapping) by out x in, its bias by a vector, and shifted; all start at one. Cluster-wise mode seeking: samples
are given to that of a few training images that they look most like; within a cluster, distances (L1) of w by those of
z, of each block's features and of the image by those of w are added over pairs; the loss is one by their mean over
clusters. D, and what it judges, is CDC's. Left out are the code's additive factors of weights, which stay at zero.
"""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.api import Extra, Field, GeneratorStep, Nets, RelaxedRealism, added, all_but, feature_maps, reparametrise


class Factors(nn.Module):
    """Weight [O, I] or [O, I, k, k], or a bias [O], times rank-one factors; a bias is shifted, too."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        sides = [[n if i == axis else 1 for i in range(weight.ndim)] for axis, n in enumerate(weight.shape[:2])]
        sides += [[1, 1, *weight.shape[2:]]] if weight.ndim == 4 else []
        shift = [torch.zeros_like(weight)] if weight.ndim == 1 else []
        self.factors = nn.ParameterList([*(weight.new_ones(side) for side in sides), *shift])

    def forward(self, weight: Tensor) -> Tensor:
        out, *others = self.factors
        if weight.ndim == 1:
            return weight * out + others[0]
        factor = torch.relu(out * others.pop()) if weight.ndim == 4 else out
        return weight * factor * others[0]


class LFSGAN(RelaxedRealism):
    """Rank-one modulation with cluster-wise mode seeking."""

    name, title = "lfs_gan", "LFS-GAN"
    paper = "Seo et al., LFS-GAN: Lifelong Few-Shot Image Generation, ICCV 2023"
    code_licence, version = "none", 2
    toy_fields = (("samples", 4), ("centres", 2))
    weight: float = Field(1.0, ge=0, description="weight of the mode seeking")
    samples: int = Field(16, ge=2, description="samples of an update that are compared")
    centres: int = Field(4, ge=1, description="training images of an update around which they are gathered")

    def prepare(self, nets: Nets, reals: Tensor, rng: torch.Generator) -> Extra:
        nets.g.load_state_dict(nets.g_ema.state_dict())
        extra = super().prepare(nets, reals, rng)
        chosen = torch.randperm(len(reals), generator=rng, device=rng.device)[:64]  # are kept
        extra.register_buffer("reals", reals[chosen.to(reals.device)].to(rng.device))
        weights = [m for m in nets.g.modules() if isinstance(getattr(m, "weight", None), Tensor)]
        parts = [(m, name) for m in weights for name in ("weight", "bias") if name == "weight" or m.weight.ndim == 2]
        reparametrise(nets, parts, Factors)
        return extra

    def frozen(self, nets: Nets) -> Iterable[nn.Parameter]:
        return all_but(nets.g, added(nets.g))

    def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
        z = torch.randn(self.samples, step.z.shape[1], generator=step.rng, device=step.z.device)
        image, features = step.nets.g.synthesis(ws := step.nets.g.mapping(z), "random", rng=step.rng)
        reals = step.extra.get_buffer("reals")
        chosen = torch.randperm(len(reals), generator=step.rng, device=reals.device).repeat(self.centres)
        with torch.no_grad():
            seen = [feature_maps(step.nets.d, x).values() for x in (image, reals[chosen[: self.centres]] / 127.5 - 1)]
            unit = [[F.normalize(m, dim=1).flatten(1) / m.shape[-1] for m in maps] for maps in seen]
            nearest = torch.cdist(torch.cat(unit[0], dim=1), torch.cat(unit[1], dim=1)).argmin(dim=1)
        return {"mode_seeking": self.weight * mode_seeking(z, ws[:, 0], [*features.values()], image, nearest)}


def mode_seeking(z: Tensor, w: Tensor, features: list[Tensor], image: Tensor, nearest: Tensor) -> Tensor:
    """One by the mean over the clusters that `nearest`, int [N], names of their pairs' summed ratios of distances."""
    i, j = (nearest[:, None] == nearest).triu(1).nonzero(as_tuple=True)
    apart = [(x[i] - x[j]).abs().flatten(1).mean(dim=1) for x in (z, w, image, *features)]
    of_z, of_w, of_image, *others = apart
    ratios = of_w / of_z + (of_image + torch.stack(others).mean(dim=0)) / of_w
    return 1 / (ratios.sum() / len(nearest[i].unique()) + 1e-5) if len(i) else z.new_zeros([])
