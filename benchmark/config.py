"""Typed, frozen settings: a suite's YAML and every ``--set`` become these objects exactly once."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


class Frozen(BaseModel):
    """A value object: immutable, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())


def _power_of_two(px: int) -> int:
    if px.bit_count() != 1:
        raise ValueError("must be a power of two")
    return px


Filter = Literal["lanczos", "box", "squash_bilinear"]
Augmentation = Literal["none", "ada", "apa", "diffaug"]
Resolution = Annotated[int, Field(ge=8, le=1024), AfterValidator(_power_of_two)]


class NetConfig(Frozen):
    """Shape of a StyleGAN2 generator and discriminator (Karras et al. 2020, config f family)."""

    resolution: Resolution = Field(64, description="image side in px, a power of two")
    z_dim: int = Field(512, ge=1)
    w_dim: int = Field(512, ge=1)
    c_dim: int = Field(0, ge=0, description="number of classes; 0 = unconditional")
    mapping_layers: int = Field(8, ge=1)
    channel_base: int = Field(2048, ge=1, description="channels at resolution r are channel_base / r")
    channel_max: int = Field(128, ge=1, description="but never more than this")
    conv_clamp: float | None = Field(256.0, description="clamp of convolution outputs; None = off")
    mbstd_group: int = Field(4, ge=1, description="minibatch-std group size")
    miner_layers: int = Field(0, ge=0, description="layers of a miner in front of z; 0 = none, the usual case")

    def channels(self, px: int) -> int:
        """Feature maps at resolution ``px``."""
        return min(self.channel_base // px, self.channel_max)

    @property
    def block_resolutions(self) -> tuple[int, ...]:
        """4, 8, ..., resolution."""
        return tuple(2**i for i in range(2, self.resolution.bit_length()))


class TrainConfig(Frozen):
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
    ema_rampup: float | None = Field(None, description="limit the half-life to this share of the progress; None = off")
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
    tick_kimg: float = Field(0.25, gt=0, description="log interval")
    checkpoint_minutes: float = Field(
        10.0, ge=0, description="how much training a killed process may cost; 0 saves after every step"
    )
    snapshot_kimg: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        (), description="lengths at which the weight average is kept, for eval.curve_metrics and eval.snapshot"
    )


class EvalConfig(Frozen):
    """What is measured and on how many images."""

    metrics: tuple[str, ...] = ()
    samples: int = Field(1000, ge=2, description="generated images for distribution metrics")
    pairs: int = Field(500, ge=2, description="latents for the source/adapted consistency")
    batch: int = Field(50, ge=1)
    psi: float = Field(1.0, ge=0, le=1, description="truncation")
    curve_metrics: tuple[str, ...] = Field((), description="measured at each of train.snapshot_kimg and at the end")
    curve_samples: int = Field(500, ge=2, description="generated images of a point of the training curve")
    snapshot: Literal["last", "selected", "legacy_best_on_test"] = Field(
        "last",
        description="which weights count: the last, those best in the first of metrics on the selection split, or "
        "(as in many published tables, optimistic) those best on the test split itself",
    )

    @property
    def moment_metrics(self) -> tuple[str, ...]:
        """What is measured at moments of the training: for its curve, and to choose the weights that count."""
        chooses = self.metrics[:1] if self.snapshot != "last" else ()
        return tuple(dict.fromkeys((*self.curve_metrics, *chooses)))


class DomainConfig(Frozen):
    """Sizes of the splits, and how images were resized."""

    train: int = Field(2000, ge=1)
    test: int = Field(1000, ge=0, description="0: the training images are the reference, as in many published tables")
    selection: int = Field(0, ge=0, description="further held-out images that choose the snapshot")
    filter: Filter = Field(
        "lanczos", description="of prepared targets; for published numbers: box (FFHQ 256), squash_bilinear (paper)"
    )


class Suite(Frozen):
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
    scale: float = Field(1, gt=0, le=1, description="below 1 a rehearsal: lengths, samples and pairs are this share")
    seeds: tuple[int, ...] = (0,)
    medium: str = Field("", description="draw your own folders and ZIPs of images in this medium, such as charcoal")
    split: DomainConfig = DomainConfig()
    train: TrainConfig = TrainConfig()
    eval: EvalConfig = EvalConfig()

    @property
    def is_rehearsal(self) -> bool:
        """Whether lengths and numbers of samples are a share of what they should be."""
        return self.scale < 1


class Collection(Frozen):
    """Suites that run one after the other and are reported together, since a suite has a single source and length."""

    schema_version: Literal[1] = Field(1, alias="schema")
    name: str
    description: str = ""
    members: tuple[str, ...] = Field(min_length=1, description="suites that come with the package")
    settings: tuple[str, ...] = Field((), description="as after --set, for each member")
    suffix: str = Field("", description="of the members' names, where settings make other suites of them")
