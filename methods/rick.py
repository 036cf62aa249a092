"""RICK: filters that the adaptation has no use for are pruned, those that matter to it are kept, the rest trains.

Zhao et al., "Exploring Incompatible Knowledge Transfer in Few-shot Image Generation" (CVPR 2023, arXiv 2304.07574),
section 4. D's head is warmed up; then, and every `every` steps, Fisher information is estimated. Above `quantile` a
filter keeps its weights until the next estimate; at or below `prune` it is zero for good; the others train. From the
authors' code: which filters, what is held beside them, the defaults (of babies; cats: 0.85, 0.00075).
"""

import torch
from torch import Tensor, nn

from benchmark.api import Extra, Field, Method, Nets, Turn, baked, fisher_information, reparametrise


class RICK(Method):
    """Fine-tuning between preserved and pruned filters."""

    name, title, code_licence, version, needs_pretrained_d = "rick", "RICK", "MIT", 3, True
    paper = "Zhao et al., Exploring Incompatible Knowledge Transfer, CVPR 2023"
    toy_fields = (("warmup_steps", 1), ("samples", 2), ("every", 1))
    quantile: float = Field(0.4, ge=0, le=1, description="share of filters below which they are fine-tuned")
    prune: float = Field(0.001, ge=0, le=1, description="share of filters that each estimate prunes, at least one")
    every: int = Field(50, ge=1, description="steps between two estimates")
    samples: int = Field(10, ge=1, description="fixed latents, and training images, of an estimate")
    warmup_steps: int = Field(250, ge=0, description="steps of D's head alone, before train.kimg")

    def warm_up(self) -> int:
        return self.warmup_steps

    def prepare(self, nets: Nets, reals: Tensor, rng: torch.Generator) -> Extra:
        nets.g.load_state_dict(nets.g_ema.state_dict())
        chosen, extra = torch.randint(len(reals), (self.samples,), generator=rng, device=rng.device), Extra()
        extra.register_buffer("reals", reals[chosen.to(reals.device)].to(rng.device))
        extra.register_buffer("z", torch.randn(self.samples, nets.cfg.z_dim, generator=rng, device=rng.device))
        reparametrise(nets, [(m, n) for net in (nets.g, nets.d) for _, m, names in judged(net) for n in names], Rows)
        self.decide(nets, extra)
        return extra

    def frozen(self, nets: Nets) -> list[nn.Parameter]:
        blocks, finest = nets.g.synthesis.blocks, nets.d.blocks[nets.cfg.resolution]
        held = [nets.g.mapping, blocks[4], *(block.torgb for px, block in blocks.items() if px > 4), finest.fromrgb]
        return [p for module in held for p in module.parameters()]

    def after_step(self, turn: Turn) -> None:
        if turn.index % self.every == 0:
            self.decide(turn.nets, turn.extra)

    def decide(self, nets: Nets, extra: Extra) -> None:  # what each filter does from now on, in the average too
        g, d = baked(nets.g_ema).requires_grad_(True), baked(nets.d).requires_grad_(True)
        of_g, of_d = ([m.get_parameter(name) for _, m, names in judged(net) for name in names] for net in (g, d))
        found = fisher_information(g, d, (of_g, of_d), extra.get_buffer("z"), extra.get_buffer("reals"))
        for net in (nets.g, nets.g_ema, nets.d):
            means = iter([f.flatten(1).mean(dim=1) if f.ndim > 1 else f for f in found[net is nets.d]])
            fisher = [torch.stack([next(means) for _ in names]).mean(dim=0) for _, _, names in judged(net)]
            for (group, layer, _), f in zip(judged(net), fisher, strict=True):
                among = torch.cat([x for x, (other, *_) in zip(fisher, judged(net), strict=True) if other == group])
                low, high = among.quantile(self.prune), among.quantile(self.quantile)
                for fate in (b for n, b in layer.get_submodule("parametrizations").named_buffers() if "fate" in n):
                    fate.copy_((f > high).byte().masked_fill((fate == 2) | (f <= low), 2))


class Rows(nn.Module):
    """Weight or bias [O, ...] of which some rows are zero, some are held, and the others train."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("fate", weight.new_zeros(len(weight)).byte())  # 1: is held, 2: is pruned

    def forward(self, weight: Tensor) -> Tensor:
        fate = self.get_buffer("fate").view(-1, *(1 for _ in weight.shape[1:]))
        return torch.where(fate == 1, weight.detach(), weight).masked_fill(fate == 2, 0)


def judged(net: nn.Module) -> list[tuple[str, nn.Module, tuple[str, ...]]]:
    """Of g or d: (group of filters that are compared, layer, its weights whose rows share a fate)."""
    if hasattr(net, "synthesis"):
        convs = [m for px, b in net.synthesis.blocks.items() if px > 4 for m in (b.conv0, b.conv1)]  # type: ignore[operator, union-attr]
        return [("g", m, ("weight",)) for m in convs] + [("styles", m.affine, ("weight", "bias")) for m in convs]
    blocks = net.blocks.values()  # type: ignore[operator, union-attr]
    return [("d", m, ("weight", "bias") if m.act else ("weight",)) for b in blocks for m in (b.conv0, b.conv1, b.skip)]
