"""Vision-aided training: beside the discriminator a second one, a small head on a pretrained network's features.

Kumari, Zhang, Shechtman and Zhu, "Ensembling Off-the-shelf Models for GAN Training" (CVPR 2022, arXiv 2112.09130),
section 3: the network is held, its head trains, and its adversarial loss is added to the usual one in both updates. The
head is the authors' code's for convolutional networks: a strided 3 x 3 convolution to 256 channels, a dense layer of
256, one to the logit, with spectral norm and leaky ReLU.

Unlike there: one network, EfficientNet-Lite0, since no other is at hand offline (theirs are chosen from CLIP, DINO,
VGG, Swin and others by how well they tell fakes, and added one after the other); the loss without smoothed labels; the
second discriminator sees what the first one sees, with the loop's augmentation.
Scores by EfficientNet-Lite0 flatter this row: reports say so and rank it by others only.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from benchmark.api import (
    STAGE_CHANNELS,
    DiscriminatorStep,
    EfficientNetLite0,
    Extra,
    Field,
    GeneratorStep,
    Method,
    Nets,
    build,
)


def head(places: int) -> nn.Module:
    """Features [N, C, H, W] of the coarsest scale, `places` on a side after the convolution -> logits [N, 1]."""
    return nn.Sequential(
        spectral_norm(nn.Conv2d(STAGE_CHANNELS[-1], 256, 3, stride=2, padding=1)),
        nn.LeakyReLU(0.2),
        nn.Flatten(),
        spectral_norm(nn.Linear(256 * places**2, 256)),
        nn.LeakyReLU(0.2),
        spectral_norm(nn.Linear(256, 1)),
    )


class VisionAided(Method):
    """Fine-tuning against two discriminators, one of them on features of ImageNet."""

    name = "vision_aided"
    title = "Vision-aided"
    paper = "Kumari et al., Ensembling Off-the-shelf Models for GAN Training, CVPR 2022"
    code_licence = "MIT"
    needs = ("effnetlite0",)
    toy_fields = (("px", 64),)
    weight: float = Field(1.0, ge=0, description="weight of the second discriminator's loss in both updates")
    px: int = Field(224, ge=32, multiple_of=32, description="side to which images are resized for the network")

    def prepare(self, nets: Nets, reals: Tensor, rng: torch.Generator) -> Extra:
        extra = Extra()
        extra.network = EfficientNetLite0(self.px)
        extra.d = build(lambda: head((self.px // 32 + 1) // 2), rng)
        return extra

    def logits(self, extra: Extra, images: Tensor) -> Tensor:
        """Of the second discriminator, [N, 1]."""
        return extra.d(extra.get_submodule("network")(images)[-1])

    def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
        images = step.images if step.judged is None else step.judged
        return {"g_vision": self.weight * F.softplus(-self.logits(step.extra, images)).mean()}

    def discriminator_loss(self, step: DiscriminatorStep) -> dict[str, Tensor]:
        fake, real = self.logits(step.extra, torch.cat([step.fakes, step.reals])).chunk(2)
        return {"d_vision": self.weight * (F.softplus(fake) + F.softplus(-real)).mean()}
