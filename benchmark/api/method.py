"""The class `Method` with its hooks, and what the hooks receive.

A method is one frozen, typed class in one file. Its fields are its hyper-parameters: they are validated, become
`--set name.field=value`, enter the hash of a job and appear in the results. Its hooks are no-ops here; override those
in which the paper differs from fine-tuning.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, NoReturn

import torch
from torch import Tensor, nn

from benchmark.api.extra import Extra
from benchmark.config import Augmentation, Settings, TrainConfig
from benchmark.errors import ConfigError, MethodError
from benchmark.stylegan2 import Generator, Nets, Noise

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
    index: int = 0
    """Steps done so far."""
    judged: Tensor | None = None
    """`images` as the discriminator saw them (augmented if augmentation is on); the loop always gives them."""


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
    """float32 [N, P], as `Method.judge` gave them; P is usually 1."""
    fake_logits: Tensor
    rng: torch.Generator
    images_seen: int
    z: Tensor
    """float32 [N, z_dim], the latents of `fakes`."""
    extra: Extra = field(default_factory=Extra)
    index: int = 0
    """Steps done so far."""


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


class Method(Settings):
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

    needs_pretrained_d: ClassVar[bool] = False
    """Whether it relies on the source's discriminator, as where it holds parts of it: random ones make no sense."""
    generators_kept: ClassVar[int] = 1
    """How many sets of generator weights a user has to keep to move the control freely."""

    needs: ClassVar[tuple[str, ...]] = ()
    """Keys of the weight files that its training reads (`benchmark.api.needed`); without them it is not available.

    A property where it depends on a field."""

    adversarial: ClassVar[bool] = True
    """Whether D judges the fakes; without, only `generator_loss` trains, and the method freezes D."""

    augment: ClassVar[Augmentation | None] = None
    """What D sees, for methods that say it themselves; None: as the suite's `train.augment` says."""

    truncation: ClassVar[float] = 1.0
    """psi of the fakes in both adversarial updates, for methods that narrow the domain while they train."""

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

    def fitted(self, resolution: int) -> Method:
        """This method with those fields filled in that depend on the source's size in px where they are not given.

        Called when a suite is loaded, before `check`: keys, records and controls then state the values. A hook may also
        meet the method as it was made, and then takes the same values from the networks' size.
        """
        return self

    def settings(self, train: TrainConfig) -> TrainConfig:
        """The suite's training settings as this method trains with them: what its paper changes, and nothing else.

        Applied to settings that it was applied to already, it changes nothing.
        """
        return train

    def check(self, source: Mapping[str, int]) -> None:
        """Refuse (ConfigError) hyper-parameters that do not fit `source`, {"resolution": px, "d_layers": n}.

        Called at planning, before anything is trained; `d_layers` counts the discriminator's layers above its epilogue.
        """

    def warm_up(self) -> int:
        """Steps before `prepare`, beside train.kimg, in which the last layers of D alone train: G is the source's.

        For methods that begin by asking what D finds in the new images.
        """
        return 0

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
        """Logits float32 [N, P] of images [N, 3, R, R], by which G and D train and R1 is measured; P is usually 1."""
        return turn.nets.d(images, c)

    def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
        """{name: scalar} added to every main generator loss, logged by name."""
        return {}

    def discriminator_loss(self, step: DiscriminatorStep) -> dict[str, Tensor]:
        """{name: scalar} added to every main discriminator loss, logged by name."""
        return {}

    def after_step(self, turn: Turn) -> None:
        """Called at the end of each step, before the average is updated: may write to buffers, such as a new estimate.

        `turn` counts the step that has just ended. Gradients are off for all parameters; copies may turn them on.
        """

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


def copy_of(network: Generator) -> Generator:
    """A deep copy for `finalize` to change."""
    return copy.deepcopy(network)


def require_same_parts(method: Method, source: Generator, adapted: Generator) -> None:
    """MethodError where the adapted generator has parts that the source has not, which `finalize` cannot join."""
    theirs, ours = ({name: t.shape for name, t in g.state_dict().items()} for g in (source, adapted))
    if theirs != ours:
        raise MethodError(f"{method.name}: the adapted generator has parts that its source has not; leave it out.")


def refuse(method: Method, field: str, value: object, why: str) -> NoReturn:
    """Raise the ConfigError that says why a hyper-parameter does not fit the source."""
    raise ConfigError(f"--set {method.name}.{field}={value}: {why}. Choose another value.")
