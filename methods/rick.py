"""RICK: filters that the adaptation has no use for are pruned, those that matter to it are kept, the rest trains.

Zhao et al., "Exploring Incompatible Knowledge Transfer in Few-shot Image Generation" (CVPR 2023, arXiv 2304.07574),
section 4. D's head is warmed up alone; then, and every `every` steps, the Fisher information of each filter is
estimated. Above `quantile` a filter keeps its weights until the next estimate; at or below `prune` it is zero for good;
between the two it is fine-tuned. Defaults: the authors' for babies (cats: 0.85, 0.00075). Ours: only convolutions are
judged; the warm-up is beyond train.kimg.
"""

import torch
from torch import Tensor, nn

from benchmark.api import Adam, Extra, Field, Method, Nets, Turn, baked, fisher_information, reparametrise


class RICK(Method):
    """Fine-tuning between preserved and pruned filters."""

    name = "rick"
    title = "RICK"
    paper = "Zhao et al., Exploring Incompatible Knowledge Transfer, CVPR 2023"
    code_licence = "MIT"
    toy_fields = (("warmup_steps", 1), ("samples", 2), ("every", 1))
    quantile: float = Field(0.4, ge=0, le=1, description="share of filters below which they are fine-tuned")
    prune: float = Field(0.001, ge=0, le=1, description="share of filters that each estimate prunes, at least one")
    every: int = Field(50, ge=1, description="steps between two estimates")
    samples: int = Field(10, ge=1, description="fixed latents, and training images, of an estimate")
    warmup_steps: int = Field(250, ge=0, description="steps of 4 images in which D's head trains alone, beforehand")

    def prepare(self, nets: Nets, reals: Tensor, rng: torch.Generator) -> Extra:
        nets.g.load_state_dict(nets.g_ema.state_dict())
        n = self.samples + 4 * self.warmup_steps
        shown = reals[torch.randint(len(reals), (n,), generator=rng, device=rng.device).to(reals.device)].to(rng.device)
        z = torch.randn(n, nets.cfg.z_dim, generator=rng, device=rng.device)
        optimiser = Adam(nets.d.b4.requires_grad_(True).parameters(), lr=0.002, betas=(0.0, 0.99))
        for i in range(self.samples, n, 4):
            fake, real = nets.d(nets.g(z[i : i + 4], rng=rng).detach()), nets.d(shown[i : i + 4] / 127.5 - 1)
            (nn.functional.softplus(fake) + nn.functional.softplus(-real)).mean().backward(inputs=optimiser.parameters)
            optimiser.step()
            optimiser.zero_grad()
        extra = Extra()
        for name, tensor in (("reals", shown), ("z", z)):
            extra.register_buffer(name, tensor[: self.samples].clone())
        reparametrise(nets, [(layer, "weight") for net in (nets.g, nets.d) for layer in filters(net)], Filters)
        self.decide(nets, extra)
        return extra

    def after_step(self, turn: Turn) -> None:
        if turn.index % self.every == 0:
            self.decide(turn.nets, turn.extra)

    def decide(self, nets: Nets, extra: Extra) -> None:
        """What each filter does from now on, in the average too."""
        g, d = baked(nets.g_ema).requires_grad_(True), baked(nets.d).requires_grad_(True)
        weights = [m.get_parameter("weight") for m in filters(g)], [m.get_parameter("weight") for m in filters(d)]
        found = fisher_information(g, d, weights, extra.get_buffer("z"), extra.get_buffer("reals"))
        for net in (nets.g, nets.g_ema, nets.d):
            fisher = [value.mean(dim=(1, 2, 3), keepdim=True) for value in found[net is nets.d]]
            low, high = (torch.cat(fisher).quantile(share) for share in (self.prune, self.quantile))
            for layer, f in zip(filters(net), fisher, strict=True):
                fate = layer.get_buffer("parametrizations.weight.0.fate")
                fate.copy_((f > high).byte().masked_fill((fate == 2) | (f <= low), 2))


class Filters(nn.Module):
    """Weight [O, I, k, k] of which some filters are zero, some are held, and the others train."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("fate", weight.new_zeros(len(weight), 1, 1, 1).byte())  # 1: is held, 2: is pruned

    def forward(self, weight: Tensor) -> Tensor:
        fate = self.get_buffer("fate")
        return torch.where(fate == 1, weight.detach(), weight).masked_fill(fate == 2, 0)


def filters(net: nn.Module) -> list[nn.Module]:
    """The 3 x 3 convolutions of a generator, or those of a discriminator's blocks."""
    blocks = getattr(net, "synthesis", net).blocks.values()  # type: ignore[operator]
    return [b.get_submodule(name) for b in blocks for name in getattr(b, "layers", ("conv0", "conv1", "skip"))]
