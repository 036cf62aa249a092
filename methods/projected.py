"""Projected discriminators: fakes are judged in random projections of a pretrained network's features.

Sauer, Chitta, Mueller and Geiger, "Projected GANs Converge Faster" (NeurIPS 2021, arXiv 2111.01007), sections 3 and 4:
EfficientNet-Lite0 is held; its features at four scales are mixed over channels and scales by random convolutions, held
too; each scale has a discriminator of its own, and all their logits count. As in the authors' code: images resized to
224 px, 64 channels to begin with, doubled a scale; mixing from coarse to fine, each step upsampled; discriminators of
strided 4 x 4 convolutions with spectral norm down to 8 px or less and 512 channels, then one to logits.

Unlike there: a logistic loss with the suite's R1 and augmentation (theirs: hinge, no R1, DiffAugment always), no batch
normalisation, and the generator is a source that is adapted, at the suite's learning rate (theirs with these
discriminators: 0.0002). The source's own is held and not used: other parts of a composition change nothing with it.
Scores by EfficientNet-Lite0 flatter this row: reports say so and rank it by others only.
"""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from benchmark.api import STAGE_CHANNELS, EfficientNetLite0, Extra, Field, Method, Nets, Turn, build, held


class Projection(nn.Module):
    """Features at four scales, fine to coarse, mixed at random over channels and scales."""

    def __init__(self, width: int) -> None:
        super().__init__()
        wide = [width * 2**i for i in range(4)]
        self.across = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in zip(STAGE_CHANNELS, wide, strict=True))
        self.down = nn.ModuleList(nn.Conv2d(b, max(b // 2, width), 1) for b in wide)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """[N, C, px / s, px / s] each -> [N, width ..., 2 px / s, 2 px / s]."""
        mixed: list[Tensor] = []
        for across, down, x in reversed([*zip(self.across, self.down, maps, strict=True)]):
            x = across(x) + mixed[-1] if mixed else across(x)
            mixed.append(down(F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)))
        return mixed[::-1]


def discriminator(channels: int, px: int, width: int) -> nn.Module:
    """[N, channels, px, px] -> logits [N, 1, ...]; the last maps have 8 times `width`, finer ones half, at least it."""
    layers: list[nn.Module] = []
    halvings = next(n for n in range(px) if px >> n <= 8)
    for left in reversed(range(halvings)):
        wider = max(8 * width >> left, width)
        layers += [spectral_norm(nn.Conv2d(channels, wider, 4, stride=2, padding=1)), nn.LeakyReLU(0.2)]
        channels = wider
    return nn.Sequential(*layers, spectral_norm(nn.Conv2d(channels, 1, 4)))


class Projected(Method):
    """Fine-tuning against discriminators in projected features."""

    name = "projected"
    title = "Projected discriminators"
    paper = "Sauer et al., Projected GANs Converge Faster, NeurIPS 2021"
    code_licence = "MIT"
    version = 2
    needs = ("effnetlite0",)
    toy_fields = (("px", 64), ("width", 4))
    px: int = Field(224, ge=64, multiple_of=32, description="side to which images are resized for the network")
    width: int = Field(64, ge=1, description="channels of the finest projection")

    def prepare(self, nets: Nets, reals: Tensor, rng: torch.Generator) -> Extra:
        extra, width, sides = Extra(), self.width, [self.px // 2**i for i in range(1, 5)]
        extra.network = EfficientNetLite0(self.px)
        extra.projection = held(build(lambda: Projection(width), rng))
        heads = zip((width, width, 2 * width, 4 * width), sides, strict=True)
        extra.d = build(lambda: nn.ModuleList(discriminator(c, px, width) for c, px in heads), rng)
        return extra

    def frozen(self, nets: Nets) -> Iterable[nn.Parameter]:
        return nets.d.parameters()

    def judge(self, turn: Turn, images: Tensor, c: Tensor | None) -> Tensor:
        maps = turn.extra.get_submodule("projection")(turn.extra.get_submodule("network")(images))
        return torch.cat([head(x).flatten(1) for head, x in zip(turn.extra.d.children(), maps, strict=True)], dim=1)
