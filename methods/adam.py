"""AdAM: kernels that matter for the adaptation are only modulated, all others are fine-tuned.

Zhao, Chandrasegaran, Abdollahzadeh and Cheung, "Few-shot Image Generation via Adaptation-aware Kernel Modulation"
(NeurIPS 2022, arXiv 2210.16559). A copy of the source is probed: it adapts by rank-1 modulation of its kernels alone, W
(1 + rows columns^T), both next to zero at first. A kernel's need is the Fisher information of its row plus its layer's
mean of columns, in averaged networks. Then kernels above the quantile are modulated, the others train; mapping, 4 px
and RGB layers are held. The authors probe for 500 steps and 1000 samples, regularised; here 100 and 50, plainly.
"""

import torch
from torch import Tensor, nn

from benchmark.api import Adam, Field, Method, Nets, added, adversarial_gradients, all_but, reparametrise


class AdAM(Method):
    """Fine-tuning around modulated, important kernels."""

    name = "adam"
    needs_pretrained_d, code_licence, version = True, "MIT", 4
    title = "AdAM"
    paper = "Zhao et al., Adaptation-aware Kernel Modulation, NeurIPS 2022"
    toy_fields = (("probe_steps", 2), ("fisher_samples", 2))
    quantile: float = Field(0.5, ge=0, le=1, description="share of kernels that are fine-tuned, the least important")
    probe_steps: int = Field(100, ge=0, description="steps of the importance probing, of 4 images each")
    probe_lr: float = Field(0.002, gt=0, description="learning rate of the probing")
    probe_decay: float | None = Field(None, ge=0, lt=1, description="of averages, a step; None: half in 5/8 of all")
    fisher_samples: int = Field(50, ge=1, description="samples for the Fisher information, one by one")

    def prepare(self, nets: Nets, reals: Tensor, rng: torch.Generator) -> None:
        nets.g.load_state_dict(nets.g_ema.state_dict())
        fisher = self.probe(nets.copy(), reals, rng)
        masks = iter([f > torch.cat(part).quantile(self.quantile) for part in fisher for f in part])
        reparametrise(nets, kernels(nets), lambda weight: Modulation(weight, next(masks), rng))

    def frozen(self, nets: Nets) -> list[nn.Parameter]:
        trained = [p for layer, _ in kernels(nets) for p in layer.parameters()]
        return [*all_but(nets.g, trained), *nets.d.blocks[nets.cfg.resolution].fromrgb.parameters()]

    def probe(self, nets: Nets, reals: Tensor, rng: torch.Generator) -> tuple[list[Tensor], list[Tensor]]:
        """Fisher information [O, 1, 1, 1] of the kernels of each convolution, in G and in D; adapts `nets` for it."""
        reparametrise(nets, kernels(nets), lambda w: Modulation(w, torch.ones_like(w[:, :1, :1, :1]).bool(), rng))
        nets.g.requires_grad_(False), nets.d.requires_grad_(False)
        both = added(nets.g, Modulation), added(nets.d, Modulation)  # of each rows, then columns
        trained = both[0], [*both[1], *nets.d.b4.parameters()]
        every = [p.requires_grad_(True) for part in trained for p in part]
        values, averages = [p.detach() for p in every], [p.detach().clone() for p in every]
        optimiser = Adam(every, lr=self.probe_lr, betas=(0.0, 0.99))
        decay = 0.5 ** (1.6 / max(self.probe_steps, 1)) if self.probe_decay is None else self.probe_decay
        for _ in range(self.probe_steps):
            for p, gradient in zip(every, adversarial_gradients(nets, trained, reals, 4, rng), strict=True):
                p.grad = gradient
            optimiser.step()
            torch._foreach_lerp_(averages, values, 1 - decay)
        torch._foreach_copy_(values, averages)
        fisher = [torch.zeros_like(p) for part in both for p in part]
        for _ in range(self.fisher_samples):
            found = adversarial_gradients(nets, both, reals, 1, rng)
            torch._foreach_addcmul_(fisher, found, found, value=1 / self.fisher_samples)
        of_kernels = [r + c.mean() for r, c in zip(fisher[::2], fisher[1::2], strict=True)]
        return of_kernels[: (n := len(both[0]) // 2)], of_kernels[n:]


class Modulation(nn.Module):
    """Kernels of `important`, bool [O, 1, 1, 1], are held and modulated; the others stay as they are."""

    def __init__(self, weight: Tensor, important: Tensor, rng: torch.Generator) -> None:
        super().__init__()
        self.rows = nn.Parameter(1e-7 * torch.randn(len(weight), 1, 1, 1, generator=rng, device=weight.device))
        self.columns = nn.Parameter(1e-7 * torch.randn(1, *weight.shape[1:], generator=rng, device=weight.device))
        self.register_buffer("important", important)

    def forward(self, weight: Tensor) -> Tensor:
        return torch.where(self.get_buffer("important"), weight.detach() * (1 + self.rows * self.columns), weight)


def kernels(nets: Nets) -> list[tuple[nn.Module, str]]:
    """The 3 x 3 convolutions of G above 4 px, and the convolutions of D's blocks."""
    g = [m for px, block in nets.g.synthesis.blocks.items() if px > 4 for m in (block.conv0, block.conv1)]
    return [(m, "weight") for m in (*g, *(m for b in nets.d.blocks.values() for m in (b.conv0, b.conv1, b.skip)))]
