"""Typed, frozen settings: a suite's YAML and every ``--set`` become these objects exactly once."""

from __future__ import annotations

import math
import re
from collections.abc import Collection as Names
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)


class Frozen(BaseModel):
    """A value object: immutable, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())


class Settings(Frozen):
    """A value object that people write: no text or truth value is silently read as another number."""

    @field_validator("*", mode="wrap")
    @classmethod
    def _as_written(cls, value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        """Pydantic reads "0-4" as -4 and true as 1; ValueError for these, alone and in lists."""
        made = handler(value)
        if info.field_name == "seeds":  # reads its texts itself
            return made
        listed = isinstance(made, tuple) and isinstance(value, list)
        for given, number in zip(value, made, strict=True) if listed else [(value, made)]:
            if type(number) in (int, float) and (isinstance(given, bool) or _other_number(given)):
                raise ValueError(f"{given!r} is no number")
        return made


def _other_number(text: object) -> bool:
    """Whether a text is no number as Python writes it."""
    try:
        return isinstance(text, str) and float(text) is None
    except ValueError:
        return True


MOST_SEEDS = 1000
"""In one range."""


def _seeds(value: Any) -> Any:
    """ "0-4", "0-2,5" or a list of numbers and such texts -> a list of numbers; anything else as it is."""
    if isinstance(value, str):
        value = [part for part in value.split(",") if part.strip()]
    if type(value) is int:
        return [value]
    if not isinstance(value, list | tuple):
        return value
    if any(isinstance(item, bool) for item in value):
        raise ValueError("a truth value is no seed")
    return [seed for item in value for seed in (seed_range(item) if isinstance(item, str) else [item])]


def seed_range(text: str, most: int = MOST_SEEDS) -> list[int]:
    """The whole numbers of "7" or "0-4", both ends included; ValueError for any other text, and for more than `most`.

    All seeds that people write, after --seeds and in suites, are read here.
    """
    found = re.fullmatch(r"(-?[0-9]{1,18})|([0-9]{1,18})-([0-9]{1,18})", text.strip())
    if not found:
        raise ValueError(f"{text.strip()!r} is no seed; write numbers and ranges such as 0-4 or 0-2,5")
    if found[1]:
        return [int(found[1])]
    first, last = int(found[2]), int(found[3])
    if not 0 <= last - first < most:
        raise ValueError(f"the range {text.strip()} is empty or has more than {most} seeds")
    return list(range(first, last + 1))


def _power_of_two(px: int) -> int:
    if px.bit_count() != 1:
        raise ValueError("must be a power of two")
    return px


Filter = Literal["lanczos", "box", "squash_bilinear"]
Augmentation = Literal["none", "ada", "apa", "diffaug"]
Resolution = Annotated[int, Field(ge=8, le=1024), AfterValidator(_power_of_two)]


MAX_WIDTH = 2**13
"""Of latents, labels and feature maps: a file can declare any, and no StyleGAN2 comes near."""
MAX_LAYERS = 100


class NetConfig(Settings):
    """Shape of a StyleGAN2 generator and discriminator (Karras et al. 2020, config f family)."""

    resolution: Resolution = Field(64, description="image side in px, a power of two")
    z_dim: int = Field(512, ge=1, le=MAX_WIDTH)
    w_dim: int = Field(512, ge=1, le=MAX_WIDTH)
    c_dim: int = Field(0, ge=0, le=MAX_WIDTH, description="number of classes; 0 = unconditional")
    mapping_layers: int = Field(8, ge=1, le=MAX_LAYERS)
    channel_base: int = Field(2048, ge=1, le=MAX_WIDTH * 1024, description="channels at resolution r: channel_base / r")
    channel_max: int = Field(128, ge=1, le=MAX_WIDTH, description="but never more than this")
    conv_clamp: float | None = Field(256.0, gt=0, description="clamp of convolution outputs; None = off")
    mbstd_group: int = Field(4, ge=1, le=2**20, description="minibatch-std group size")
    miner_layers: int = Field(
        0, ge=0, le=MAX_LAYERS, description="layers of a miner in front of z; 0 = none, the usual case"
    )

    @model_validator(mode="after")
    def _maps_everywhere(self) -> NetConfig:
        if self.channel_base < self.resolution:
            raise ValueError(f"channel_base {self.channel_base} leaves no feature maps at {self.resolution} px")
        return self

    def channels(self, px: int) -> int:
        """Feature maps at resolution ``px``."""
        return min(self.channel_base // px, self.channel_max)

    @property
    def block_resolutions(self) -> tuple[int, ...]:
        """4, 8, ..., resolution."""
        return tuple(2**i for i in range(2, self.resolution.bit_length()))


def images_of(kimg: float) -> int:
    """The least whole number of images that make a length; 16.1 kimg are 16,100 images, whatever 16.1 is in binary."""
    return math.ceil(round(kimg * 1000, 6))


class TrainConfig(Settings):
    """The one training loop's settings. Lengths are in thousands of real images (kimg)."""

    kimg: float = Field(4.0, gt=0, description="length of training, thousands of real images")
    batch: int = Field(16, ge=1, description="images per step, over all ranks and accumulation rounds")
    accumulate: int = Field(1, ge=1, description="gradient-accumulation rounds per step")
    lr_g: float = Field(0.0025, gt=0)
    lr_d: float = Field(0.0025, gt=0)
    r1_gamma: float = Field(4.0, ge=0)
    r1_every: int = Field(16, ge=1, description="lazy regularisation interval of D, steps")
    pl_weight: float = Field(0.0, ge=0, description="path-length weight; 0 = off")
    pl_every: int = Field(4, ge=1, description="lazy regularisation interval of G, steps")
    style_mixing: float = Field(0.9, ge=0, le=1)
    ema_kimg: float = Field(2.0, gt=0, description="half-life of the weight average")
    ema_rampup: float | None = Field(
        None, gt=0, description="limit the half-life to this share of the progress; None = off"
    )
    augment: Augmentation = Field(
        "none",
        description="of what D sees: adaptive (ADA), fakes among the reals, adaptively too (APA), or colour, "
        "translation and cutout always (DiffAugment)",
    )
    ada_target: float = Field(0.6, ge=0, le=1)
    ada_kimg: float = Field(100.0, gt=0, description="kimg in which p can go from 0 to 1")
    mirror: bool = Field(False, description="flip reals at random; drawings with parted hair do not want it")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="auto: bf16 where the hardware multiplies it natively"
    )
    tf32: bool = Field(
        False,
        description="on NVIDIA GPUs: float32 products by tensor cores, factors rounded to 10 bits",
    )
    cudnn_benchmark: bool = Field(
        True, description="on NVIDIA GPUs: try which convolution is fastest; last digits may differ between runs"
    )
    compile: bool = Field(
        False, description="compile the main phases: takes minutes first, for trainings of hours; other last digits"
    )
    ranks: int = Field(
        1,
        ge=1,
        description="processes that train together, each on a GPU of its own or a share of the CPU's threads, with its "
        "part of the batch and random streams of its own",
    )
    deterministic: bool = Field(
        False,
        description="the same bits on every x86-64 processor with AVX2: fp32, one thread, no code chosen by the "
        "processor; takes several times as long",
    )
    tick_kimg: float = Field(0.25, gt=0, description="log interval")
    checkpoint_minutes: float = Field(
        10.0, ge=0, description="how much training a killed process may cost; 0 saves after every step"
    )
    snapshot_kimg: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        (), description="lengths at which the weight average is kept, for eval.curve_metrics and eval.snapshot"
    )

    @model_validator(mode="after")
    def _one_arithmetic(self) -> TrainConfig:
        if self.deterministic and (self.precision == "bf16" or self.compile):
            raise ValueError("deterministic is for precision fp32 (or auto) without compile")
        return self

    def content(self, without: Names[str] = ()) -> dict[str, Any]:
        """The settings for a hash; those that came later only where they are not at their default."""
        usual = {name for name in LATER if getattr(self, name) == type(self).model_fields[name].default}
        return self.model_dump(exclude=usual.union(without))


LATER = ("tf32", "compile", "ranks", "deterministic")
"""Training settings added after the first results: at their defaults they enter no key."""


class EvalConfig(Settings):
    """What is measured and on how many images."""

    metrics: tuple[str, ...] = ()
    samples: int = Field(1000, ge=2, description="generated images for distribution metrics")
    pairs: int = Field(500, ge=2, description="latents for the source/adapted consistency")
    batch: int = Field(50, ge=1, description="images drawn at once; another number draws other random noise")
    psi: float = Field(1.0, ge=0, le=1, description="truncation")
    curve_metrics: tuple[str, ...] = Field((), description="measured at each of train.snapshot_kimg and at the end")
    curve_samples: int = Field(500, ge=2, description="generated images of a point of the training curve")
    snapshot: Literal["last", "selected", "legacy_best_on_test"] = Field(
        "last",
        description="which weights count: the last, those best in the first of metrics on the selection split, or "
        "(as in many published tables, optimistic) those best on the test split itself",
    )
    translate: bool = Field(
        False, description="also put held-out pictures of the source's domain, inverted, through each generator"
    )

    def content(self) -> dict[str, Any]:
        """The settings for keys and records; those that came later only where they are not at their default."""
        return self.model_dump(exclude=set() if self.translate else {"translate"})

    @property
    def moment_metrics(self) -> tuple[str, ...]:
        """What is measured at moments of the training: for its curve, and to choose the weights that count."""
        chooses = self.metrics[:1] if self.snapshot != "last" else ()
        return tuple(dict.fromkeys((*self.curve_metrics, *chooses)))


class DomainConfig(Settings):
    """Sizes of the splits, and how images were resized."""

    train: int = Field(2000, ge=1)
    test: int = Field(1000, ge=0, description="0: the training images are the reference, as in many published tables")
    selection: int = Field(0, ge=0, description="further held-out images that choose the snapshot")
    filter: Filter = Field(
        "lanczos", description="of prepared targets; for published numbers: box (FFHQ 256), squash_bilinear (paper)"
    )


class Suite(Settings):
    """Scope and size of a run."""

    schema_version: Literal[1] = Field(1, alias="schema")
    name: str
    description: str = ""
    resolution: Resolution = Field(64, description="px; a power of two")
    source: str
    domains: tuple[str, ...]
    methods: tuple[str, ...]
    fields: dict[str, dict[str, Any]] = Field({}, description="the suite's own values of methods' fields, by method")
    budgets: dict[str, Annotated[float, Field(gt=0)]] = Field(
        {}, description="train.kimg of those trainings whose papers state another, by method; without, all are equal"
    )
    derived: Literal["own", "fewshot"] | None = Field(
        None, description="lengths and the like follow from the source and the number of images, many or few"
    )
    narrow_fields: dict[str, dict[str, Any]] = Field(
        {}, description="where derived, as `fields`, for sources of fewer channels than the papers' 512"
    )
    step_shares: dict[str, dict[str, Annotated[float, Field(gt=0, le=1)]]] = Field(
        {}, description="where derived, fields that count steps, by method: at most this share of the training's"
    )
    scale: float = Field(1, gt=0, le=1, description="below 1 a rehearsal: lengths, samples and pairs are this share")
    seeds: Annotated[tuple[int, ...], BeforeValidator(_seeds)] = Field((0,), description="numbers and ranges: 0-2,5")
    medium: str = Field("", description="draw your own folders and ZIPs of images in this medium, such as charcoal")
    split: DomainConfig = DomainConfig()
    train: TrainConfig = TrainConfig()
    eval: EvalConfig = EvalConfig()

    @property
    def is_rehearsal(self) -> bool:
        """Whether lengths and numbers of samples are a share of what they should be."""
        return self.scale < 1


class Collection(Settings):
    """Suites that run one after the other and are reported together, since a suite has a single source and length."""

    schema_version: Literal[1] = Field(1, alias="schema")
    name: str
    description: str = ""
    members: tuple[str, ...] = Field(min_length=1, description="suites that come with the package")
    settings: tuple[str, ...] = Field((), description="as after --set, for each member")
    suffix: str = Field("", description="of the members' names, where settings make other suites of them")
