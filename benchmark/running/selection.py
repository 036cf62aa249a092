"""Metrics over the training, and which weights count.

By default the last weights count. `eval.snapshot=selected` takes those of the snapshots (the last included) that are
best in the first of eval.metrics on the selection split, which nothing is reported on. `legacy_best_on_test` takes
those best on the test split itself, as many published tables do; its numbers are optimistic.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmark.api import Control, Method
from benchmark.api.returned import noise_of
from benchmark.config import EvalConfig
from benchmark.domains import Domain
from benchmark.errors import DataError, MethodError
from benchmark.metrics import Score, list_metrics
from benchmark.results import CurvePoint
from benchmark.running.plan import Job
from benchmark.running.setup import Run
from benchmark.running.weights import Trained, snapshot
from benchmark.stylegan2 import Generator
from benchmark.stylegan2.weights import left_alone, not_finite


@dataclass(frozen=True)
class Counted:
    """The weights that count, how long they trained, and the training's curve."""

    adapted: Generator
    kimg: float | None = None
    curve: tuple[CurvePoint, ...] = ()
    choice: str | None = None
    """How they were chosen, in words; None for the last."""


def counted(job: Job, weights: Trained, run: Run) -> Counted:
    """Measure the snapshots of a training at the method's default control, and choose."""
    end = float(weights.cost["kimg"])
    files = {**weights.snapshots, end: None}
    if run.curve_evaluator is None:
        return Counted(weights.last, end)
    cfg = job.suite.eval
    points, scores = [], {}
    text = f"training curve of {job.method.name if job.method else 'source'} on {job.domain}, seed {job.seed}"
    with run.bars.stage(text, len(files)) as advance:
        for kimg, file in files.items():
            found = measure(job, weights.last if file is None else snapshot(file, run.device), run, cfg)
            seconds = weights.seconds.get(kimg, weights.cost["train_seconds"])
            points.append(point(kimg, seconds, found.curve, run.request.cache))
            scores[kimg] = found.choice
            advance(1)
    curve = tuple(points) if cfg.curve_metrics else ()
    if cfg.snapshot == "last":
        return Counted(weights.last, end, curve)
    best = best_of(scores, cfg)
    adapted = weights.last if files[best] is None else snapshot(weights.snapshots[best], run.device)
    where = "the test split: optimistic" if cfg.snapshot == "legacy_best_on_test" else "the selection split"
    choice = f"Weights that count: best {cfg.metrics[0]} of {len(files)} moments of the training, on {where}."
    return Counted(adapted, best, curve, choice)


@dataclass(frozen=True)
class Measured:
    """Scores of one moment: those of the curve (test split), and the one that chooses."""

    curve: dict[str, Score]
    choice: Score | None


def measure(job: Job, adapted: Generator, run: Run, cfg: EvalConfig) -> Measured:
    """Samples at the default control, scored."""
    assert job.method is not None and run.curve_evaluator is not None
    method, domain = job.method, run.domains[job.domain]
    few = curve_config(cfg)
    given = {"the source": run.nets.g_ema, "the adapted generator": adapted}
    with left_alone(f"{method.name}: finalize or noise", given):
        g = finalized(method, run.nets.g_ema, adapted, method.default_control)
        samples, _ = run.sampler_for(job, few)(g, lambda n, rng: noise_of(method, g, n, method.default_control, rng))
    scores = run.curve_evaluator(samples, domain.test, domain.digest, training=domain.train).scores
    curve = {name: scores[name] for name in cfg.curve_metrics}
    if cfg.snapshot != "selected":
        return Measured(curve, scores.get(cfg.metrics[0]))
    chosen = run.curve_evaluator(samples, domain.selection, selection_digest(domain), training=domain.train).scores
    return Measured(curve, chosen[cfg.metrics[0]])


def selection_digest(domain: Domain) -> str:
    """What stands for the images of the selection split in the cache."""
    return f"{domain.digest} selection"


def finalized(method: Method, source: Generator, adapted: Generator, control: Control) -> Generator:
    """The generator to evaluate; MethodError where its weights are not finite."""
    g = method.finalize(source, adapted, control).eval()
    if name := not_finite(g):
        raise MethodError(f"{method.name}.finalize gave weights that are not finite (NaN or infinite): {name}.")
    return g


def curve_config(cfg: EvalConfig) -> EvalConfig:
    """The settings of the samples at one moment of the training."""
    return cfg.model_copy(
        update={"samples": cfg.curve_samples, "pairs": min(cfg.pairs, cfg.curve_samples), "metrics": cfg.moment_metrics}
    )


def best_of(scores: dict[float, Score | None], cfg: EvalConfig) -> float:
    """The length with the best score, the longest of equals; DataError where the metric has no values."""
    values = {kimg: s.value for kimg, s in scores.items() if s is not None and s.value is not None}
    if len(values) < len(scores):
        raise DataError(
            f"eval.snapshot={cfg.snapshot} chooses by {cfg.metrics[0]}, which could not be measured here "
            f"({next((s.reason for s in scores.values() if s is not None and s.reason), 'no value')}). "
            "Put another metric first."
        )
    sign = 1 if list_metrics()[cfg.metrics[0]].better == "lower" else -1
    return min(values, key=lambda kimg: (sign * values[kimg], -kimg))


def portable(score: Score, cache: Path) -> Score:
    """The score, with CACHE for the path of the cache in its reason: people publish records."""
    return score.model_copy(update={"reason": score.reason and score.reason.replace(str(cache.absolute()), "CACHE")})


def point(kimg: float, seconds: float, scores: dict[str, Score], cache: Path) -> CurvePoint:
    """A point of a record's curve."""
    infos = list_metrics()
    values = {name: infos[name].value_of(portable(score, cache)) for name, score in scores.items()}
    return CurvePoint(kimg=kimg, seconds=seconds, metrics=values)
