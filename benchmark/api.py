"""All that a method file imports.

A method is one frozen, typed class in one file. Its fields are its hyper-parameters: they are validated, become
`--set name.field=value`, enter the hash of a job and appear in the results. Its hooks are no-ops here; override those
in which the paper differs from fine-tuning.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, NoReturn

import torch
from pydantic import Field
from torch import Tensor, nn

from benchmark.config import Frozen
from benchmark.errors import ConfigError
from benchmark.losses import feature_matching
from benchmark.stylegan2 import Discriminator, Generator, Nets, Noise

__all__ = [
    "Control",
    "Discriminator",
    "DiscriminatorStep",
    "Field",
    "Generator",
    "GeneratorStep",
    "Method",
    "Nets",
    "Noise",
    "copy_of",
    "feature_matching",
    "refuse",
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
    fake_logits: Tensor
    rng: torch.Generator
    images_seen: int


class Method(Frozen):
    """Plain fine-tuning, with a hook wherever methods differ from it."""

    name: ClassVar[str]
    """Registered name; equals the file's name."""
    title: ClassVar[str] = ""
    paper: ClassVar[str] = ""
    version: ClassVar[int] = 1
    """Raise it when a change alters results: it enters the job's key."""
    control_name: ClassVar[str | None] = None
    """What the control is called in tables, with its unit."""

    generators_kept: ClassVar[int] = 1
    """How many sets of generator weights a user has to keep to move the control freely."""

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

    def prepare(self, nets: Nets, reals: Tensor, rng: torch.Generator) -> None:
        """Once, before the optimisers exist: collect statistics. `reals` is the train split, uint8 [N, 3, R, R]."""

    def frozen(self, nets: Nets) -> Iterable[nn.Parameter]:
        """Parameters of nets.g and nets.d that stay at their source values (also in the average)."""
        return ()

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


def copy_of(network: Generator) -> Generator:
    """A deep copy for `finalize` to change."""
    return copy.deepcopy(network)


def refuse(method: Method, field: str, value: object, why: str) -> NoReturn:
    """Raise the ConfigError that says why a hyper-parameter does not fit the source."""
    raise ConfigError(f"--set {method.name}.{field}={value}: {why}. Choose another value.")
