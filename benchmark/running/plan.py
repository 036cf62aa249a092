"""suite x methods x domains x seeds -> [Job, ...], each with the keys of its weights and of its records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from benchmark.api import Control, Method
from benchmark.config import NetConfig, Suite, TrainConfig
from benchmark.errors import ConfigError
from benchmark.metrics import list_metrics
from benchmark.metrics.base import STAND_IN
from benchmark.metrics.catalogue import find_metric
from benchmark.metrics.pooled import MEMORISATION
from benchmark.registry.composition import described, part_kinds
from benchmark.registry.variants import base_name
from benchmark.system.files import key
from benchmark.training.batches import images_per_round

PROTOCOL = 2
"""Raise it when the loop, backbone, sampler or the meaning of a setting changes: nothing stored is re-used then."""

NO_EFFECT = {"tick_kimg", "snapshot_kimg", "checkpoint_minutes", "cudnn_benchmark"}
"""Training settings that change the log, what is kept on the way or the choice of equal kernels, not the weights."""
LEAST_TO_CHOOSE_BY = 10
"""Images of a selection split."""


class Place(Protocol):
    """What a plan needs to know about a domain; the images themselves are not needed before a job starts."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def digest(self) -> str:
        """Hash of its images."""

    @property
    def selection(self) -> Sized:
        """The images set apart to choose weights by: the digest knows them, but they are not trained on."""


@dataclass(frozen=True)
class Job:
    """One method on one domain with one seed; `method` None is the zero-step row, the untouched source."""

    suite: Suite
    method: Method | None
    domain: str
    domain_digest: str
    seed: int
    source_sha256: str
    train_key: str
    record_keys: Mapping[Control, str]
    trained_on: tuple[str, ...] = ()
    """Keys of the weight files that the training reads, those of stand-ins marked as such."""
    outside: str | None = None
    """Where the network or the pictures came from, if nothing is trained here and only measured."""
    parts: int = 1
    """Into how many times more parts than planned a batch is divided, where the device was too small."""

    @property
    def streams(self) -> tuple[str, str, int]:
        """What all random streams of training and evaluation derive from: the same in every suite and folder."""
        return self.source_sha256, self.domain_digest, self.seed

    @property
    def training(self) -> TrainConfig:
        """The settings to train with."""
        cfg = self.suite.train
        return cfg.model_copy(update={"accumulate": self.parts * cfg.accumulate})

    @property
    def label(self) -> str:
        """For progress bars and messages."""
        return f"{self.method.name if self.method else 'source (zero-step)'} on {self.domain}, seed {self.seed}"


def check(
    suite: Suite,
    methods: Sequence[Method],
    nets: NetConfig,
    networks: Sequence[str] = ("g", "g_ema", "d"),
    new_discriminator: bool = False,
) -> None:
    """Raise ConfigError where the source's networks, the suite and the methods do not fit each other.

    `networks` are those that the source's file held; `new_discriminator`: that one, or a part of it, is random.
    """
    if nets.resolution != suite.resolution:
        raise ConfigError(
            f"suite {suite.name} has resolution {suite.resolution}, its source {suite.source} {nets.resolution}: "
            f"choose another source, or add --set resolution={nets.resolution}."
        )
    if "d" not in networks:
        raise ConfigError(
            f"source {suite.source} has no discriminator (its file held {', '.join(networks)}), and all methods train "
            "against the source's own. Import a file that has one, or accept a new one: sources import --allow 'd.*'"
        )
    if nets.c_dim:
        raise ConfigError(
            f"source {suite.source} is conditional on {nets.c_dim} classes; the domains have no labels. It can be "
            "verified and exported, not adapted."
        )
    held = [m.name for m in methods for part in part_kinds(type(m.training())).values() if part.needs_pretrained_d]
    if new_discriminator and held:
        raise ConfigError(
            f"{held[0]} relies on the source's discriminator, and that of {suite.source} is not its file's: it "
            "was allowed to start new at import. Leave the method out, or import a file that has a discriminator."
        )
    images_per_round(suite.train, nets.mbstd_group, suite.train.ranks)
    if suite.eval.pairs > suite.eval.samples:
        raise ConfigError(
            f"eval.pairs={suite.eval.pairs} must not exceed eval.samples={suite.eval.samples}: pairs are the first "
            "samples. Lower eval.pairs or raise eval.samples."
        )
    if suite.eval.snapshot != "last" and not suite.train.snapshot_kimg:
        raise ConfigError(
            f"eval.snapshot={suite.eval.snapshot} chooses among snapshots, and train.snapshot_kimg names none. "
            "Add for instance --set train.snapshot_kimg=[1,2]"
        )
    if suite.eval.snapshot == "selected" and suite.split.selection < LEAST_TO_CHOOSE_BY:
        raise ConfigError(
            f"eval.snapshot=selected needs held-out images to choose by: split.selection is {suite.split.selection}, "
            f"it must be {LEAST_TO_CHOOSE_BY} or more."
        )
    compared = [name for name in suite.eval.metrics if find_metric(name).kind in MEMORISATION]
    if compared and not suite.split.test:
        raise ConfigError(
            f"{compared[0]} compares training images with held-out ones, and split.test=0 holds out none. Leave the "
            "metric out, or set split.test."
        )
    facts = {"resolution": nets.resolution, "d_layers": 1 + 3 * (len(nets.block_resolutions) - 1)}
    for method in methods:
        for one in (method, method.training()):
            one.check(facts)


def plan(
    suite: Suite,
    methods: Sequence[Method],
    domains: Mapping[str, Place],
    source_sha256: str,
    stand_ins: Mapping[str, str] = MappingProxyType({}),
) -> list[Job]:
    """All jobs, grouped by domain and seed so that what they share is made once; the zero-step row comes first.

    `stand_ins`: {key: sha256} of files that stand in for those that methods need.
    """
    return [
        make_job(suite, method, domain, seed, source_sha256, stand_ins)
        for domain in domains.values()
        for seed in suite.seeds
        for method in (None, *methods)
    ]


def make_job(
    suite: Suite,
    method: Method | None,
    domain: Place,
    seed: int,
    source_sha256: str,
    stand_ins: Mapping[str, str] = MappingProxyType({}),
) -> Job:
    """A job with its keys; no paths, hosts or dates enter them."""
    apart = len(domain.selection)
    suite = budgeted(suite, method)
    needs = method.training().needs if method else ()
    others = {name: stand_ins[name] for name in needs if name in stand_ins}
    train_key = key(
        [PROTOCOL, source_sha256, domain.digest, apart, seed],
        described(method.training()) if method else None,
        method.training().settings(suite.train).content(NO_EFFECT) if method else None,
        *([others] if others else []),
    )
    names = (*suite.eval.metrics, *suite.eval.curve_metrics)
    versions = {name: list_metrics()[name].version for name in names}
    controls: tuple[Control, ...] = method.controls if method else (None,)
    who, measured = described(method) if method else None, suite.eval.content()
    del measured["metrics"]
    moments = suite.eval.moment_metrics
    kept: list[object] = [suite.train.snapshot_kimg, moments] if method and moments else []
    if kept and suite.eval.snapshot != "last":
        kept.append(suite.eval.metrics[:1])  # it chooses, and `moments` does not tell it from one of the curve's
    shown = [suite.name, domain.name, method.name if method else None]  # what the record's row is called
    keys = {c: key(train_key, shown, who, c, measured, versions, kept) for c in controls}
    trained_on = tuple(STAND_IN + name if name in others else name for name in needs)
    return Job(suite, method, domain.name, domain.digest, seed, source_sha256, train_key, keys, trained_on)


def budgeted(suite: Suite, method: Method | None) -> Suite:
    """The suite with the length of this method's training as `train.kimg`."""
    kimg = suite.budgets.get(base_name(method.training().name)) if method else None
    return suite if kimg is None else suite.model_copy(update={"train": suite.train.model_copy(update={"kimg": kimg})})


def trainings(jobs: Sequence[Job]) -> dict[str, Job]:
    """{train_key: a job that trains it}: each training once, however many jobs use its weights."""
    found: dict[str, Job] = {}
    for job in jobs:
        if job.method is not None:
            found.setdefault(job.train_key, job)
    return found


def uses_training_of_another(job: Job) -> bool:
    """True where the checkpoint belongs to another method (layer swapping evaluates fine-tuning's)."""
    return job.method is not None and described(job.method.training()) != described(job.method)
