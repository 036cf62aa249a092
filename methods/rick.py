"""RICK: filters that the adaptation has no use for are pruned, those that matter to it are kept, the rest trains.

Zhao et al., "Exploring Incompatible Knowledge Transfer in Few-shot Image Generation" (CVPR 2023, arXiv 2304.07574),
section 4. D's head is warmed up alone; then, and every `every` steps, the Fisher information of each filter is
estimated. Above `quantile` a filter keeps its weights until the next estimate; at or below `prune` it is zero for good;
between the two it is fine-tuned. From the authors' code: filters are compared among G's convolutions, among the rows of
their affine layers, and among D's convolutions, with biases where a row has one; mapping, 4 px block, RGB layers and
D's from RGB are held; defaults are theirs for babies (cats: 0.85, 0.00075). Ours: the warm-up is beyond train.kimg.
"""

import torch
from torch import Tensor, nn

from benchmark.api import Adam, Extra, Field, Method, Nets, Turn, baked, fisher_information, reparametrise

Filter = list[tuple[nn.Module, str]]
"""Weights whose rows share a fate: a layer's, or a layer's and its bias."""


class RICK(Method):
    """Fine-tuning between preserved and pruned filters."""

    name = "rick"
    title = "RICK"
    paper = "Zhao et al., Exploring Incompatible Knowledge Transfer, CVPR 2023"
    code_licence, version = "MIT", 2
    toy_fields = (("warmup_steps", 1), ("samples", 2), ("every", 1))
    quantile: float = Field(0.4, ge=0, le=1, description="share of filters below which they are fine-tuned")
    prune: float = Field(0.001, ge=0, le=1, description="share of filters that each estimate prunes, at least one")
    every: int = Field(50, ge=1, description="steps between two estimates")
    samples: int = Field(10, ge=1, description="fixed latents, and training images, of an estimate")
    warmup_steps: int = Field(250, ge=0, description="steps of 2 images in which D's head trains alone, beforehand")

    def prepare(self, nets: Nets, reals: Tensor, rng: torch.Generator) -> Extra:
        nets.g.load_state_dict(nets.g_ema.state_dict())
        n = self.samples + 2 * self.warmup_steps
        shown = reals[torch.randint(len(reals), (n,), generator=rng, device=rng.device).to(reals.device)].to(rng.device)
        z = torch.randn(n, nets.cfg.z_dim, generator=rng, device=rng.device)
        optimiser = Adam(nets.d.b4.requires_grad_(True).parameters(), lr=0.002, betas=(0.0, 0.99))
        for i in range(self.samples, n, 2):
            fake, real = nets.d(nets.g(z[i : i + 2], rng=rng).detach()), nets.d(shown[i : i + 2] / 127.5 - 1)
            (nn.functional.softplus(fake) + nn.functional.softplus(-real)).mean().backward(inputs=optimiser.parameters)
            optimiser.step()
            optimiser.zero_grad()
        extra = Extra()
        for name, tensor in (("reals", shown), ("z", z)):
            extra.register_buffer(name, tensor[: self.samples].clone())
        parts = [part for net in (nets.g, nets.d) for group in judged(net) for row in group for part in row]
        reparametrise(nets, parts, Rows)
        self.decide(nets, extra)
        return extra

    def frozen(self, nets: Nets) -> list[nn.Parameter]:
        blocks, finest = nets.g.synthesis.blocks, nets.d.blocks[nets.cfg.resolution]
        held = [nets.g.mapping, blocks[4], *(block.torgb for px, block in blocks.items() if px > 4), finest.fromrgb]
        return [p for module in held for p in module.parameters()]

    def after_step(self, turn: Turn) -> None:
        if turn.index % self.every == 0:
            self.decide(turn.nets, turn.extra)

    def decide(self, nets: Nets, extra: Extra) -> None:
        """What each filter does from now on, in the average too."""
        g, d = baked(nets.g_ema).requires_grad_(True), baked(nets.d).requires_grad_(True)
        weights = [
            [m.get_parameter(name) for group in judged(net) for row in group for m, name in row] for net in (g, d)
        ]
        found = fisher_information(g, d, (weights[0], weights[1]), extra.get_buffer("z"), extra.get_buffer("reals"))
        for net in (nets.g, nets.g_ema, nets.d):
            of_rows = iter([f.flatten(1).mean(dim=1) if f.ndim > 1 else f for f in found[net is nets.d]])
            for group in judged(net):
                fisher = [torch.stack([next(of_rows) for _ in row]).mean(dim=0) for row in group]
                low, high = (torch.cat(fisher).quantile(share) for share in (self.prune, self.quantile))
                for row, f in zip(group, fisher, strict=True):
                    for layer, name in row:
                        fate = layer.get_buffer(f"parametrizations.{name}.0.fate")
                        fate.copy_((f > high).byte().masked_fill((fate == 2) | (f <= low), 2))


class Rows(nn.Module):
    """Weight or bias [O, ...] of which some rows are zero, some are held, and the others train."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("fate", weight.new_zeros(len(weight)).byte())  # 1: is held, 2: is pruned

    def forward(self, weight: Tensor) -> Tensor:
        fate = self.get_buffer("fate").view(-1, *[1] * (weight.ndim - 1))
        return torch.where(fate == 1, weight.detach(), weight).masked_fill(fate == 2, 0)


def judged(net: nn.Module) -> list[list[Filter]]:
    """Of a generator or a discriminator: groups of filters that are compared with each other."""
    if not hasattr(net, "synthesis"):
        layers = [m for block in net.blocks.values() for m in (block.conv0, block.conv1, block.skip)]  # type: ignore[operator, union-attr]
        return [[[(m, name) for name in ("weight", "bias") if hasattr(m, name)] for m in layers]]
    layers = [m for px, b in net.synthesis.blocks.items() if px > 4 for m in (b.conv0, b.conv1)]  # type: ignore[operator, union-attr]
    return [[[(m, "weight")] for m in layers], [[(m.affine, "weight"), (m.affine, "bias")] for m in layers]]
