"""One row of results, and the plain sentences that belong to its numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmark.api import Control, Method
from benchmark.config import TrainConfig
from benchmark.domains import Domain
from benchmark.metrics import Score, list_metrics
from benchmark.registry.composition import fields_of, overrides
from benchmark.results import RunRecord, Timing
from benchmark.running.plan import PROTOCOL, Job
from benchmark.running.selection import Counted, portable
from benchmark.running.setup import Run
from benchmark.sources import SourceCard
from benchmark.sources.noise import LEAST_SHARE
from benchmark.system.hardware import environment, now
from benchmark.training.start import settings_of


class ZeroStep(Method):
    """The zero-step row: the untouched source, measured like any method."""

    name = "source"
    title = "Source"


def make_record(
    job: Job,
    control: Control,
    method: Method,
    run: Run,
    scores: dict[str, Score],
    timing: Timing,
    weights: Counted | None = None,
    failure: tuple[str, str] | None = None,
) -> RunRecord:
    """One row of results; `failure` is (status, reason) of a job that did not end well."""
    domain, infos = run.domains[job.domain], list_metrics()
    record_key = job.record_keys[control]
    return RunRecord.model_validate(
        {
            "schema": 1,
            "record_key": record_key,
            "train_key": job.train_key,
            "status": failure[0] if failure else "done",
            "reason": failure[1] if failure else None,
            "suite": job.suite.name,
            "method": method.name,
            "method_label": method.title or method.name,
            "fields": {} if job.outside else fields_of(method),
            "domain": job.domain,
            "domain_digest": job.domain_digest,
            "standard_set": domain.standard_set,
            "source": job.suite.source,
            "source_sha256": job.source_sha256,
            "source_origin_sha256": run.card.origin.sha256 if run.card.origin else None,
            "architecture": run.nets.cfg.model_dump(),
            "seed": job.seed,
            "control": control,
            "control_name": method.control_name,
            "is_default_control": control == method.default_control,
            "zero_step": job.method is None,
            "metrics": {
                name: infos[name].value_of(portable(score, run.request.cache)) for name, score in scores.items()
            },
            "timing": timing,
            "environment": {**(run.environment or environment(run.device)), "ended": now()},
            "settings": settings(job, domain),
            "notes": [
                *notes(method, domain, run.card, pictures=bool(job.outside) and weights is None),
                *noise_notes(method, run.noise_shares, run.noise_moves),
                *([] if job.outside else changed_settings(method, job.suite.train)),
                *rank_notes(job),
                *([weights.choice] if weights and weights.choice else []),
                *run.remarks,
            ],
            "outside": job.outside,
            "trained_on": job.trained_on,
            "weights_kimg": weights.kimg if weights else None,
            "curve": weights.curve if weights and control == method.default_control else (),
            "doctor": run.doctor,
            "grid": None if failure else f"samples/{record_key}.png",
        }
    )


def settings(job: Job, domain: Domain) -> dict[str, Any]:
    """What a record's numbers depend on, beside the method's own fields."""
    suite, infos = job.suite, list_metrics()
    return {
        "protocol": PROTOCOL,
        "metric_versions": {name: infos[name].version for name in suite.eval.metrics},
        "resolution": suite.resolution,
        **({} if job.outside else {"train": suite.train.model_dump()}),
        "eval": suite.eval.content(),
        **({"budgets": suite.budgets} if suite.budgets and not job.outside else {}),
        **({"scale": suite.scale} if suite.is_rehearsal else {}),
        "reals": reals(domain),
    }


def reals(domain: Domain) -> dict[str, int]:
    """How many images each split has."""
    reference = "reference (held out)" if domain.held_out else "reference (the training images)"
    sizes = {"train": len(domain.train), reference: len(domain.test), "selection": len(domain.selection)}
    return {name: n for name, n in sizes.items() if n}


def changed_settings(method: Method, train: TrainConfig) -> list[str]:
    """Where the method trains otherwise than its suite says; the settings of its record are the suite's."""
    own = settings_of(method.training(), train).model_dump()
    said = [f"train.{name}={own[name]} ({value})" for name, value in train.model_dump().items() if own[name] != value]
    who = method.title or method.name
    return [f"{who} trains with {', '.join(said)} by itself; in brackets, the suite's."] if said else []


def rank_notes(job: Job) -> list[str]:
    """That several processes trained together, which changes the numbers."""
    ranks = job.training.ranks if job.method else 1
    each = "each with its part of the batch and random streams of its own"
    return [f"Trained by {ranks} ranks together, {each}."] if ranks > 1 else []


def noise_notes(method: Method, shares: Mapping[str, float], moves: tuple[float, float] | None = None) -> list[str]:
    """How much each layer of the source listens to its noise, how far two noises move an image (`noise_distances`), and
    whether a control that acts on noise can do anything.
    """
    layers = ", ".join(f"{name} {share:.2g}" for name, share in shares.items())
    said = [f"Noise of the source's layers, as a share of their features: {layers}."]
    if moves:
        told = f"Two noises of the source differ by {moves[0]:.3f} in ST-LPIPS"
        said.append(f"{told}, another latent and noise by {moves[1]:.3f}.")
    if overrides(method, "noise") and max(shares.values(), default=0.0) < LEAST_SHARE:
        said.append(
            f"{method.title or method.name}: the control acts on noise, to which this source hardly listens; its rows "
            "can only differ by chance or by what training adds."
        )
    return said


def notes(method: Method, domain: Domain, source: SourceCard, pictures: bool = False) -> list[str]:
    """The plain sentences that belong to the numbers; `pictures` of somebody else may have pairs of their own."""
    pairs = "" if pictures else "; source images of the pairs: anchor noise"
    said = [f"adapted images: {method.noise_statement()}{pairs}."]
    kinds = {
        "dicebear": "drawings put together from an artist's parts (DiceBear), not photographs",
        "toy": "coloured shapes, for tests only",
    }
    if domain.card.kind in kinds:
        said.append(f"The images of {domain.name} are {kinds[domain.card.kind]}.")
    if domain.card.medium:
        said.append(f"{domain.name} is drawn in {domain.card.medium} by this suite, with synthetic grain.")
        if domain.card.kind in ("folder", "zip"):
            said.append("The right answers take it that the source draws images like those of the folder.")
    said += [f"{domain.name}: {remark}." for remark in domain.card.remarks]
    said.append(f"Source GAN: {source.title}.")
    said += [f"Source GAN: {caveat}." for caveat in source.origin.caveats] if source.origin else []
    return said
