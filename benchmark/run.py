"""Run: what all jobs of one command share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from benchmark.answers import KnownAnswer, known_answer
from benchmark.cards import list_cards
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
        if any(sampler.seed != job.streams for sampler in self.samplers.values()):
            self.samplers.clear()
        if cfg not in self.samplers:
            self.samplers[cfg] = Sampler(self.source.g_ema, cfg, job.streams, self._answer(job))
        return self.samplers[cfg]

    def _answer(self, job: Job) -> KnownAnswer | str:
        """The right translation to the job's domain, or why it is not known."""
        return known_answer(list_cards().get(self.card.domain), self.domains[job.domain].card)
