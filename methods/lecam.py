"""LeCam: the discriminator's logits are held near moving averages of the opposite kind.

Tseng, Jiang, Liu, Yang and Yang, "Regularizing Generative Adversarial Networks under Limited Data" (CVPR 2021, arXiv
2104.03310), eq. 3: E|D(x) - a_fake|^2 + E|D(G(z)) - a_real|^2, with moving averages a of the logits. As in the
authors' StyleGAN2 code, which the equation does not tell: only logits on the far side count (reals above a_fake, fakes
below a_real), the averages are corrected for their start at zero, decay by 0.99 a step and hold the step's own logits.
Where memory is short, each part of a divided batch counts as a step. The default weight is that code's for FFHQ, small
against a logistic loss of order 1; its BigGAN code has 0.3.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark.api import DiscriminatorStep, Extra, Field, Method, Nets


class LeCam(Method):
    """Fine-tuning with a bound on the discriminator's confidence."""

    name = "lecam"
    title = "LeCam"
    paper = "Tseng et al., Regularizing GANs under Limited Data, CVPR 2021"
    toy_fields = (("weight", 0.3),)  # in two steps the default's effect is below float32's precision
    weight: float = Field(3e-7, ge=0, description="weight of the regulariser")
    decay: float = Field(0.99, ge=0, lt=1, description="of the moving averages, a discriminator step")

    def prepare(self, nets: Nets, reals: Tensor, rng: torch.Generator) -> Extra:
        extra = Extra()
        extra.register_buffer("real_and_fake", torch.zeros(2))
        extra.register_buffer("mass", torch.zeros([]))
        return extra

    def discriminator_loss(self, step: DiscriminatorStep) -> dict[str, Tensor]:
        averages, mass = step.extra.get_buffer("real_and_fake"), step.extra.get_buffer("mass")
        with torch.no_grad():
            averages.lerp_(torch.stack([step.real_logits.mean(), step.fake_logits.mean()]), 1 - self.decay)
            mass.lerp_(torch.ones_like(mass), 1 - self.decay)
            real, fake = averages / mass
        penalty = F.relu(step.real_logits - fake).square().mean() + F.relu(real - step.fake_logits).square().mean()
        return {self.name: self.weight * penalty}
