"""EWC: weights that matter to the source are held, each as firmly as its Fisher information says.

Li, Zhang, Lu and Shechtman, "Few-shot Image Generation with Elastic Weight Consolidation" (NeurIPS 2020, arXiv
2012.02780), section 3: weight * sum of F (theta - theta_source)^2 over all weights of the generator. F is estimated
from source samples, with the source discriminator's log sigmoid D(G(z)) for their log-likelihood. No official code
exists. Ours, in full: F is the mean over samples of the squared gradient of ONE sample's log-likelihood (not the square
of a batch's mean gradient, which is smaller by about the batch), without further normalisation; a sample is judged in a
minibatch-std group of other, constant samples, as in training, without augmentation, mixing or truncation, at random
noise; G is the source's average, and so is theta_source, towards which the raw generator is pulled from the start. With
this F the paper's weight pins small generators to the source (docs/deviations.md): a suite should set its own.
"""

import copy
from operator import attrgetter

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark.api import Extra, Field, GeneratorStep, Method, Nets, baked


class EWC(Method):
    """Fine-tuning with a quadratic penalty, weighted by Fisher information."""

    name = "ewc"
    needs_pretrained_d = True
    title = "EWC"
    paper = "Li et al., Elastic Weight Consolidation, NeurIPS 2020"
    code_licence = "no code published"
    toy_fields = (("samples", 4),)
    weight: float = Field(5e8, ge=0, description="weight of the penalty")
    samples: int = Field(64, ge=1, description="source samples for the Fisher information")

    def prepare(self, nets: Nets, reals: Tensor, rng: torch.Generator) -> Extra:
        g, d = baked(nets.g_ema).requires_grad_(True), copy.deepcopy(nets.d).requires_grad_(False)
        weights = dict(g.named_parameters())
        fisher = [torch.zeros_like(p) for p in weights.values()]
        for _ in range(self.samples):
            z = torch.randn(min(g.cfg.mbstd_group, 64), g.cfg.z_dim, generator=rng, device=rng.device)
            with torch.no_grad():
                others = g(z[1:], rng=rng)
            logit = d(torch.cat([g(z[:1], rng=rng), others]))[0]
            gradients = torch.autograd.grad(F.logsigmoid(logit).sum(), list(weights.values()))
            torch._foreach_addcmul_(fisher, gradients, gradients, value=1 / self.samples)
        extra = Extra()
        for name, value in zip(weights, fisher, strict=True):
            extra.register_buffer(name.replace(".", "/"), value)  # a buffer's name cannot have dots
        return extra

    def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
        terms = [
            (step.extra.get_buffer(name.replace(".", "/")) * (attrgetter(name)(step.nets.g) - theirs).square()).sum()
            for name, theirs in step.source.named_parameters()
        ]
        return {self.name: self.weight * torch.stack(terms).sum()}
