"""JoJoGAN's fine-tuning: a few training images are inverted, and the generator learns to draw them from mixed styles.

Chong and Forsyth, "JoJoGAN: One Shot Face Stylization" (ECCV 2022, arXiv 2112.11641), section 3. Each reference has a
w+; its fine layers are replaced by those of a random latent, so that many codes are to give the one style; the loss is
the L1 distance of the source discriminator's features to the reference's. There is no adversarial term: D is held.
From the authors' code: all of G but the mapping network trained, no average, no path length, random noise, the finest
five of nine resolutions replaced, D's features after its first, third, fourth and fifth block from the image.

Unlike there: no encoder belongs to a source, so each reference's w+ is found before the training (beside train.kimg) by
`inversion_steps` of Adam on the same loss from w_avg, at the anchor noise; a sample takes one of them at random
(theirs: all of 1 to 4 in each step); the length is the suite's (theirs: 200 steps of 4, 0.8 kimg); colour is not kept
apart (`preserve_color`). G starts from the source's average.
"""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.api import Adam, Discriminator, Extra, Field, GeneratorStep, Method, Nets, TrainConfig

BLOCKS = (0, 2, 3, 4)  # of D, counted from the image, whose outputs are compared; a small D has not all of them


class JoJoGAN(Method):
    """Fine-tuning on inverted references, without an adversary."""

    name, title = "jojogan", "JoJoGAN (fine-tuning)"
    paper = "Chong and Forsyth, JoJoGAN: One Shot Face Stylization, ECCV 2022"
    code_licence, version, adversarial, needs_pretrained_d = "MIT", 3, False, True
    toy_fields = (("references", 2), ("inversion_steps", 2))
    references: int = Field(10, ge=1, description="training images that are inverted, drawn once; all of a small set")
    inversion_steps: int = Field(200, ge=0, description="steps of the inversion of each reference")
    inversion_lr: float = Field(0.05, gt=0, description="learning rate of the inversion")
    mixed_share: float = Field(5 / 9, gt=0, le=1, description="share of resolutions, the finest, whose w is replaced")

    def settings(self, train: TrainConfig) -> TrainConfig:
        return train.model_copy(update={"pl_weight": 0.0, "ema_kimg": 1e-6})

    def prepare(self, nets: Nets, reals: Tensor, rng: torch.Generator) -> Extra:
        nets.g.load_state_dict(nets.g_ema.state_dict())
        chosen = torch.randperm(len(reals), generator=rng, device=rng.device)[: self.references].to(reals.device)
        images, extra = reals[chosen].to(rng.device) / 127.5 - 1, Extra()
        nets.g.requires_grad_(False), nets.d.requires_grad_(False)
        codes = []
        for some in images.split(nets.cfg.mbstd_group):
            target = features(nets.d, some)
            w = nets.g.mapping.w_avg.repeat(len(some), nets.g.synthesis.num_ws, 1).requires_grad_(True)
            optimiser = Adam([w], lr=self.inversion_lr)
            for _ in range(self.inversion_steps):
                optimiser.zero_grad()
                distance(nets.d, nets.g.synthesis(w, "const")[0], target).backward()
                optimiser.step()
            codes.append(w.detach())
        extra.register_buffer("codes", torch.cat(codes))
        extra.register_buffer("images", images)
        return extra

    def frozen(self, nets: Nets) -> Iterable[nn.Parameter]:
        return [*nets.g.mapping.parameters(), *nets.d.parameters()]

    def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
        g, images = step.nets.g, step.extra.get_buffer("images")
        which = torch.randint(len(images), (len(step.z),), generator=step.rng, device=images.device)
        mixed = max(1, round(self.mixed_share * len(g.synthesis.blocks)))
        coarse = sum(len(block.layers) for block in [*g.synthesis.blocks.values()][: len(g.synthesis.blocks) - mixed])
        own, others = step.extra.get_buffer("codes")[which], g.mapping(step.z, step.c)
        image, _ = g.synthesis(torch.cat([own[:, :coarse], others[:, coarse:]], dim=1), "random", rng=step.rng)
        return {self.name: distance(step.nets.d, image, features(step.nets.d, images[which]))}


def features(d: Discriminator, images: Tensor) -> list[Tensor]:
    """What D's `BLOCKS` make of the images, float32 [N, C, px, px] each."""
    return [x for i, x in enumerate(d.features(images)[1].values()) if i in BLOCKS]


def distance(d: Discriminator, images: Tensor, target: list[Tensor]) -> Tensor:
    """Mean L1 distance of D's features of the images to `target`, mean over the blocks."""
    return torch.stack([F.l1_loss(a, b) for a, b in zip(features(d, images), target, strict=True)]).mean()
