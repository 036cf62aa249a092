"""Run: what all jobs of one command share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from benchmark.config import EvalConfig
from benchmark.domains import Domain
from benchmark.metrics import Evaluator
from benchmark.plan import Job
from benchmark.progress import Stages
from benchmark.results import Doctor, ResultStore
from benchmark.sampling import Sampler
from benchmark.sources import SourceCard
from benchmark.stylegan2 import Nets


@dataclass
class Run:
    """Where results go, what is adapted to what, and how it is measured."""

    store: ResultStore
    card: SourceCard
    source: Nets
    domains: dict[str, Domain]
    evaluator: Evaluator
    device: str
    bars: Stages
    curve_evaluator: Evaluator | None = None
    """Of the points of training curves; None where nothing asks for them."""
    tensorboard: bool = False
    doctor: Doctor | None = None
    environment: dict[str, Any] = field(default_factory=dict)
    samplers: dict[EvalConfig, Sampler] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    """What else the records have to say."""

    def sampler_for(self, job: Job, cfg: EvalConfig) -> Sampler:
        """The sampler of the job's (domain, seed); jobs come grouped, so those of the last one are kept."""
        seed = (job.suite.name, job.domain, job.seed)
        if any(sampler.seed != seed for sampler in self.samplers.values()):
            self.samplers.clear()
        if cfg not in self.samplers:
            self.samplers[cfg] = Sampler(self.source.g_ema, cfg, seed)
        return self.samplers[cfg]
