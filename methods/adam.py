"""AdAM: kernels that matter for the adaptation are only modulated, all others are fine-tuned.

Zhao, Chandrasegaran, Abdollahzadeh and Cheung, "Few-shot Image Generation via Adaptation-aware Kernel Modulation"
(NeurIPS 2022, arXiv 2210.16559). A copy of the source is probed: it adapts by rank-1 modulation of its kernels alone, W
(1 + rows columns^T), and the Fisher information of `rows`, a value a kernel, tells how much the adaptation needs it.
Then kernels above the quantile keep the source's weights and are modulated; all else trains. In the authors' code 500
steps and 1000 samples probe; here 100 and 50, beyond train.kimg, unregularised, and only for 3 x 3 convolutions.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.api import Adam, Field, Method, Nets, added, reparametrise


class AdAM(Method):
    """Fine-tuning around modulated, important kernels."""

    name = "adam"
    needs_pretrained_d = True
    title = "AdAM"
    paper = "Zhao et al., Adaptation-aware Kernel Modulation, NeurIPS 2022"
    code_licence = "MIT"
    toy_fields = (("probe_steps", 2), ("fisher_samples", 2))
    quantile: float = Field(0.5, ge=0, le=1, description="share of kernels that are fine-tuned, the least important")
    probe_steps: int = Field(100, ge=0, description="steps of the importance probing, of 4 images each")
    probe_lr: float = Field(0.002, gt=0, description="learning rate of the probing")
    fisher_samples: int = Field(50, ge=1, description="samples for the Fisher information, one by one")

    def prepare(self, nets: Nets, reals: Tensor, rng: torch.Generator) -> None:
        fisher = self.probe(nets.copy(), reals, rng)
        masks = iter([f > torch.cat(part).quantile(self.quantile) for part in fisher for f in part])
        reparametrise(nets, kernels(nets), lambda weight: Modulation(weight, next(masks)))

    def probe(self, nets: Nets, reals: Tensor, rng: torch.Generator) -> tuple[list[Tensor], list[Tensor]]:
        """Fisher information [O, 1, 1, 1] of the kernels of each convolution, in G and in D; adapts `nets` for it."""
        nets.g.load_state_dict(nets.g_ema.state_dict())
        reparametrise(nets, kernels(nets), lambda w: Modulation(w, torch.ones_like(w[:, :1, :1, :1]).bool()))
        nets.g.requires_grad_(False), nets.d.requires_grad_(False)
        trained = added(nets.g), [*added(nets.d), *nets.d.b4.parameters()]
        every = [p.requires_grad_(True) for part in trained for p in part]
        optimiser = Adam(every, lr=self.probe_lr, betas=(0.0, 0.99))
        for _ in range(self.probe_steps):
            for p, gradient in zip(every, gradients(nets, trained, reals, 4, rng), strict=True):
                p.grad = gradient
            optimiser.step()
        rows = added(nets.g)[::2], added(nets.d)[::2]  # each Modulation has rows, then columns
        fisher = [torch.zeros_like(r) for part in rows for r in part]
        for found in (gradients(nets, rows, reals, 1, rng) for _ in range(self.fisher_samples)):
            torch._foreach_addcmul_(fisher, found, found, value=1 / self.fisher_samples)
        return fisher[: len(rows[0])], fisher[len(rows[0]) :]


class Modulation(nn.Module):
    """Kernels of `important`, bool [O, 1, 1, 1], are held and modulated; the others stay as they are."""

    def __init__(self, weight: Tensor, important: Tensor) -> None:
        super().__init__()
        self.rows = nn.Parameter(weight.new_zeros(len(weight), 1, 1, 1))
        self.columns = nn.Parameter(weight.new_ones(1, weight.shape[1], 1, 1))
        self.register_buffer("important", important)

    def forward(self, weight: Tensor) -> Tensor:
        return torch.where(self.get_buffer("important"), weight.detach() * (1 + self.rows * self.columns), weight)


def kernels(nets: Nets) -> list[tuple[nn.Module, str]]:
    """The 3 x 3 convolutions of G, and those of D without its epilogue."""
    g = [(block.get_submodule(name), "weight") for block in nets.g.synthesis.blocks.values() for name in block.layers]
    return g + [(layer, "weight") for block in nets.d.blocks.values() for layer in (block.conv0, block.conv1)]


def gradients(nets: Nets, inputs: tuple, reals: Tensor, n: int, rng: torch.Generator) -> list[Tensor]:
    """Of G's adversarial loss by inputs[0] and of D's by inputs[1], on n new latents and n reals."""
    z = torch.randn(n, nets.cfg.z_dim, generator=rng, device=rng.device)
    chosen = torch.randint(len(reals), (n,), generator=rng, device=rng.device).to(reals.device)
    fake, real = nets.d(nets.g(z, rng=rng)), nets.d(reals[chosen].to(z.device) / 127.5 - 1)
    by_g = torch.autograd.grad(F.softplus(-fake).mean(), inputs[0], retain_graph=True)
    return [*by_g, *torch.autograd.grad((F.softplus(fake) + F.softplus(-real)).mean(), inputs[1])]
