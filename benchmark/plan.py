"""suite x methods x domains x seeds -> [Job, ...], each with the keys under which its weights and its records are stored."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.api import Control, Method
from benchmark.config import NetConfig, Suite
from benchmark.domains import Domain
from benchmark.errors import ConfigError
from benchmark.metrics import list_metrics

PROTOCOL = 1
"""Raise it when the loop, the backbone, the sampler or the meaning of a setting changes: nothing stored is re-used then."""

NO_EFFECT = {"tick_kimg"}
"""Training settings that change the log but not the weights."""


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

    @property
    def label(self) -> str:
        """For progress bars and messages."""
        return f"{self.method.name if self.method else 'source (zero-step)'} on {self.domain}, seed {self.seed}"


def plan(
    suite: Suite, methods: Sequence[Method], domains: Mapping[str, Domain], source_sha256: str, nets: NetConfig
) -> list[Job]:
    """All jobs, grouped by domain and seed so that what they share is made once; the zero-step row comes first in each group.

    Raises ConfigError where the source, the suite and the methods do not fit each other, before anything runs.
    """
    if nets.resolution != suite.resolution:
        raise ConfigError(
            f"suite {suite.name} has resolution {suite.resolution}, its source {suite.source} {nets.resolution}: choose another source."
        )
    group = min(nets.mbstd_group, suite.train.batch // suite.train.accumulate)
    if suite.train.batch % (suite.train.accumulate * max(group, 1)):
        raise ConfigError(
            f"train.batch={suite.train.batch} must be a multiple of train.accumulate ({suite.train.accumulate}) x the minibatch-std group ({group})."
        )
    if suite.eval.pairs > suite.eval.samples:
        raise ConfigError(
            f"eval.pairs={suite.eval.pairs} must not exceed eval.samples={suite.eval.samples}: pairs are the first samples."
        )
    facts = {"resolution": nets.resolution, "d_layers": 1 + 3 * (len(nets.block_resolutions) - 1)}
    for method in methods:
        method.check(facts)
    return [
        make_job(suite, method, domain, seed, source_sha256)
        for domain in domains.values()
        for seed in suite.seeds
        for method in (None, *methods)
    ]


def make_job(suite: Suite, method: Method | None, domain: Domain, seed: int, source_sha256: str) -> Job:
    """A job with its keys; no paths, hosts or dates enter them."""
    common = [PROTOCOL, source_sha256, domain.digest, suite.name, Path(domain.name).name, seed]
    train_key = key(
        common,
        described(method.training()) if method else None,
        suite.train.model_dump(exclude=NO_EFFECT) if method else None,
    )
    versions = {name: list_metrics()[name].version for name in suite.eval.metrics}
    controls: tuple[Control, ...] = method.controls if method else (None,)
    keys = {
        c: key(train_key, described(method) if method else None, c, suite.eval.model_dump(), versions) for c in controls
    }
    return Job(suite, method, domain.name, domain.digest, seed, source_sha256, train_key, keys)


def described(method: Method) -> dict[str, Any]:
    """What identifies a method: name, version and every field."""
    return {"name": method.name, "version": method.version, "fields": method.model_dump(mode="json")}


def key(*parts: object) -> str:
    """sha256 (hex, 32 characters) of the parts as canonical JSON."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def uses_training_of_another(job: Job) -> bool:
    """True where the checkpoint belongs to another method (layer swapping evaluates fine-tuning's)."""
    return job.method is not None and described(job.method.training()) != described(job.method)
