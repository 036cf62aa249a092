"""All that a method file imports.

A method is one frozen, typed class in one file. Its fields are its hyper-parameters: they are validated, become
`--set name.field=value`, enter the hash of a job and appear in the results. Its hooks are no-ops here; override those
in which the paper differs from fine-tuning.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal, NoReturn

import torch
from pydantic import Field
from torch import Tensor, nn

from benchmark.config import Frozen
from benchmark.errors import ConfigError, MethodError
from benchmark.extra import Extra, build
from benchmark.losses import feature_matching
from benchmark.reparametrise import added, all_but, baked, reparametrise
from benchmark.stylegan2 import Discriminator, Generator, Nets, Noise
from benchmark.stylegan2.networks import ConvLayer, Miner

__all__ = [
    "Control",
    "Discriminator",
    "DiscriminatorStep",
    "Extra",
    "Field",
    "Generator",
    "GeneratorStep",
    "MatchesSource",
    "Method",
    "MethodError",
    "Miner",
    "Nets",
    "Noise",
    "RelaxedRealism",
    "Turn",
    "added",
    "all_but",
    "baked",
    "build",
    "copy_of",
    "feature_matching",
    "refuse",
    "reparametrise",
]

Control = float | int | str | None
"""The value of an inference-time knob; None for methods without one."""


@dataclass(frozen=True)
class GeneratorStep:
    """What the main generator update hands to `Method.generator_loss`."""

    nets: Nets
    source: Generator
    """Frozen copy of the source's averaged generator."""
    z: Tensor
    """float32 [N, z_dim], the latents of this update's adversarial loss."""
    c: Tensor | None
    """One-hot labels float32 [N, c_dim], or None."""
    images: Tensor
    """float32 [N, 3, R, R], the update's fakes (style mixing, random noise), with gradient."""
    rng: torch.Generator
    """The method's own random stream."""
    images_seen: int
    """Real images shown so far."""
    extra: Extra = field(default_factory=Extra)
    """What the method's `prepare` returned."""


@dataclass(frozen=True)
class DiscriminatorStep:
    """What the main discriminator update hands to `Method.discriminator_loss`."""

    nets: Nets
    source: Generator
    reals: Tensor
    """float32 [N, 3, R, R] in [-1, 1], as the discriminator saw them (augmented if augmentation is on)."""
    fakes: Tensor
    """float32 [N, 3, R, R], likewise, without gradient."""
    real_logits: Tensor
    """float32 [N, P], as `Method.judge` gave them; P = 1 as a rule."""
    fake_logits: Tensor
    rng: torch.Generator
    images_seen: int
    z: Tensor
    """float32 [N, z_dim], the latents of `fakes`."""
    extra: Extra = field(default_factory=Extra)


@dataclass(frozen=True)
class Turn:
    """Where a training stands when the loop asks `Method.latents` or `Method.judge`."""

    nets: Nets
    extra: Extra
    rng: torch.Generator
    """The method's own random stream."""
    index: int
    """Steps done so far; the same in all phases of a step."""
    images_seen: int = 0
    """Real images shown so far."""


class Method(Frozen):
    """Plain fine-tuning, with a hook wherever methods differ from it."""

    name: ClassVar[str]
    """Registered name; equals the file's name."""
    title: ClassVar[str] = ""
    paper: ClassVar[str] = ""
    code_licence: ClassVar[str] = ""
    """Licence of the authors' published code, if there is any; ours is written from the paper."""
    version: ClassVar[int] = 1
    """Raise it when a change alters results: it enters the job's key."""
    control_name: ClassVar[str | None] = None
    """What the control is called in tables, with its unit."""

    generators_kept: ClassVar[int] = 1
    """How many sets of generator weights a user has to keep to move the control freely."""

    toy_fields: ClassVar[tuple[tuple[str, object], ...]] = ()
    """Fields, (name, value) each, with which `conform` tries the method, where defaults take long or do too little."""

    @property
    def controls(self) -> tuple[Control, ...]:
        """The grid for control curves; a class constant where it does not depend on fields."""
        return (None,)

    @property
    def default_control(self) -> Control:
        """The value for tables."""
        return None

    def check(self, source: Mapping[str, int]) -> None:
        """Refuse (ConfigError) hyper-parameters that do not fit `source`, {"resolution": px, "d_layers": n}.

        Called at planning, before anything is trained; `d_layers` counts the discriminator's layers above its epilogue.
        """

    def prepare(self, nets: Nets, reals: Tensor, rng: torch.Generator) -> Extra | None:
        """Once, before the optimisers exist: collect statistics, add modules, reparametrise weights of g and d.

        `reals` is the train split, uint8 [N, 3, R, R] on the CPU. What it returns comes back as `step.extra`; its
        modules may be built on the CPU. All processes of a training must get the same, so draw from `rng` alone.
        """
        return None

    def frozen(self, nets: Nets) -> Iterable[nn.Parameter]:
        """Parameters of nets.g and nets.d that stay at their source values (also in the average); after `prepare`."""
        return ()

    def lr_scale(self) -> tuple[float, float]:
        """Factors of the learning rates of G and of D."""
        return 1.0, 1.0

    def resting(self, turn: Turn) -> Iterable[nn.Parameter]:
        """Trainable parameters of nets.g and nets.d that this step leaves alone, for methods that train in stages."""
        return ()

    def latents(self, turn: Turn, z: Tensor) -> Tensor:
        """Latents float32 [N, z_dim] of an update's fakes; `z` is as usual, any other tensor goes without style mixing.

        In both adversarial updates, but not in path length; w_avg leaves out latents that are not as usual.
        """
        return z

    def judge(self, turn: Turn, images: Tensor, c: Tensor | None) -> Tensor:
        """Logits float32 [N, P] of images [N, 3, R, R], by which G and D train and R1 is measured; P = 1 as a rule."""
        return turn.nets.d(images, c)

    def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
        """{name: scalar} added to every main generator loss, logged by name."""
        return {}

    def discriminator_loss(self, step: DiscriminatorStep) -> dict[str, Tensor]:
        """{name: scalar} added to every main discriminator loss, logged by name."""
        return {}

    def training(self) -> Method:
        """The method whose training this one evaluates; itself by default."""
        return self

    def finalize(self, source: Generator, adapted: Generator, control: Control) -> Generator:
        """The generator to evaluate at `control`; must not change its arguments."""
        return adapted

    def noise(self, g: Generator, n: int, control: Control, rng: torch.Generator) -> Noise:
        """Noise for a batch of n evaluated images; random by default. `g.synthesis.anchor_noise()` has the anchor."""
        return g.synthesis.random_noise(n, rng)

    def noise_statement(self) -> str:
        """The noise of the evaluated images in words, for the record."""
        return "random noise"


class RelaxedRealism(Method):
    """Whole images are judged near a few anchors only, patches everywhere else; for methods to inherit.

    Ojha et al., "Few-shot Image Generation via Cross-domain Correspondence" (CVPR 2021, arXiv 2104.06820), section 3.2.
    With a handful of training images a judge of whole images makes every sample one of them. So whole images are judged
    only around anchors, fixed latents, in every `anchor_every`-th step; all other samples have to be realistic patch by
    patch: one logit for each place of a map of the discriminator's features, instead of the usual one. Unlike in the
    authors' code the patch logits have no leaky ReLU on top, and come from a block's output, not a convolution's in it.
    """

    anchors: int = Field(10, ge=1, description="fixed latents; as many as training images in the paper, which has 10")
    anchor_std: float = Field(0.1, ge=0, description="standard deviation of the latents around an anchor")
    anchor_every: int = Field(4, ge=1, description="steps from one with whole images near the anchors to the next")
    patch_stride: int = Field(8, ge=2, description="image side in places of the patch map: 32 x 32 logits at 256 px")

    def check(self, source: Mapping[str, int]) -> None:
        allowed = [2**i for i in range(1, source["resolution"].bit_length() - 2)]
        if self.patch_stride not in allowed:
            why = f"this source's discriminator has feature maps at strides {allowed}"
            refuse(self, "patch_stride", self.patch_stride, why)

    def prepare(self, nets: Nets, reals: Tensor, rng: torch.Generator) -> Extra:
        extra = Extra()
        extra.register_buffer("anchors", torch.randn(self.anchors, nets.cfg.z_dim, generator=rng, device=rng.device))
        channels = nets.cfg.channels(nets.cfg.resolution // self.patch_stride)
        extra.d.add_module("patches", build(lambda: ConvLayer(channels, 1, 3, None, act=False), rng))
        return extra

    def whole_images(self, turn: Turn) -> bool:
        """Whether this step is one near the anchors."""
        return turn.index % self.anchor_every == 0

    def latents(self, turn: Turn, z: Tensor) -> Tensor:
        if not self.whole_images(turn):
            return z
        chosen = torch.randint(self.anchors, (len(z),), generator=turn.rng, device=z.device)
        noise = torch.randn(z.shape, generator=turn.rng, device=z.device)
        return turn.extra.get_buffer("anchors")[chosen] + self.anchor_std * noise

    def judge(self, turn: Turn, images: Tensor, c: Tensor | None) -> Tensor:
        if self.whole_images(turn):
            return turn.nets.d(images, c)
        _, maps = turn.nets.d.features(images, c)
        return turn.extra.d.get_submodule("patches")(maps[images.shape[-1] // self.patch_stride]).flatten(1)


Output = tuple[Tensor, dict[int, Tensor]]
"""What `g.synthesis` returns: image [N, 3, R, R] and {px: block features [N, C, px, px]}."""


class MatchesSource(Method):
    """What is matched, and how strongly; the subclass decides at which noise.

    Lee et al., "Fix the Noise" (CVPR 2023), match the block features, section 3.2. Their code can match the image, too.
    Block features do not contain what the RGB layers do: a change of colour alone leaves them as they are, and with
    them matched nothing holds the source's colours. `image` and `all` do.

    The image's term is the mean squared difference of images in [-1, 1]. Its weight times the mean squared distance
    between the source's images and their translations is what a full translation costs at the anchor. Measured on the
    embedded domains at 5 kimg, a cost of 2 to 13 holds the anchor at the source, 3.5 on a near domain half-way, and 0.6
    does not hold it.
    """

    code_licence: ClassVar[str] = "NVIDIA Source Code License-NC"
    weight: float = Field(0.05, ge=0, description="weight of the block features")
    match: Literal["features", "image", "all"] = Field(
        "features", description="features of all blocks as published, the image, or both"
    )
    image_weight: float = Field(10.0, ge=0, description="weight of the image, where it is matched")
    normalise: bool = Field(
        False,
        description="divide each block's distance by the energy of the source's features, so that weights carry over",
    )

    def matching(self, ours: Output, theirs: Output) -> dict[str, Tensor]:
        """The losses {name: scalar} that hold our output to theirs."""
        terms = {}
        if self.match != "image":
            terms[self.name] = self.weight * self._features(ours[1], theirs[1])
        if self.match != "features":
            terms[f"{self.name}_image"] = self.image_weight * (ours[0] - theirs[0]).square().mean()
        return terms

    def _features(self, ours: dict[int, Tensor], theirs: dict[int, Tensor]) -> Tensor:
        if not self.normalise:
            return feature_matching(ours, theirs)
        pairs = [(ours[px].float(), theirs[px].float()) for px in ours]
        return torch.stack([(a - b).square().mean() / b.square().mean() for a, b in pairs]).mean()


def copy_of(network: Generator) -> Generator:
    """A deep copy for `finalize` to change."""
    return copy.deepcopy(network)


def refuse(method: Method, field: str, value: object, why: str) -> NoReturn:
    """Raise the ConfigError that says why a hyper-parameter does not fit the source."""
    raise ConfigError(f"--set {method.name}.{field}={value}: {why}. Choose another value.")
