"""run_job(): the straight line from a job to its records.

source, domain -> train (or a stored checkpoint) -> the weights that count -> for each control: finalize -> samples ->
scores -> record
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmark.api import Control, Method
from benchmark.composition import fields_of
from benchmark.domains import Domain
from benchmark.files import clear_temporaries, new_file
from benchmark.hardware import circumstances, environment, now
from benchmark.locks import alone
from benchmark.metrics import Samples, Score, list_metrics
from benchmark.moments import Counted, counted
from benchmark.plan import PROTOCOL, Job, uses_training_of_another
from benchmark.results import MetricValue, RunRecord, Timing
from benchmark.run import Run
from benchmark.sampling import Sampler
from benchmark.sources import SourceCard
from benchmark.stylegan2 import Generator
from benchmark.training_job import trained

STRIP = 8
"""Images in a row of samples beside a record."""


def run_job(job: Job, run: Run) -> list[RunRecord]:
    """Records of all the job's controls; those that are stored already, or that another process makes, are not made."""
    store, keys = run.store, job.record_keys.values()
    if any(store.has(key) is None for key in keys):
        lock = store.out / "locks" / f"{next(iter(keys))}.lock"
        with alone(lock, lambda: run.bars.say(f"{job.label}: another process is at it, waiting for that")):
            for folder, key in ((folder, key) for folder in (store.records, store.samples) for key in keys):
                clear_temporaries(folder, key)
            make_missing(job, run)
    return [r for r in map(store.has, keys) if r is not None]


def make_missing(job: Job, run: Run) -> None:
    """Make and store the records that are not stored yet."""
    todo = [control for control, key in job.record_keys.items() if run.store.has(key) is None]
    if not todo:
        return
    run = replace(run, environment=(run.environment or environment(run.device)) | circumstances(run.device))
    if job.method is None:
        weights, cost = Counted(run.source.g_ema), {}
    else:
        found = trained(job, run)
        weights, cost = counted(job, found, run), found.cost
    for control in todo:
        evaluate(job, control, weights, cost, run)


def evaluate(job: Job, control: Control, weights: Counted, cost: dict[str, Any], run: Run) -> RunRecord:
    """Samples, scores and record of one control."""
    method, domain, adapted = job.method or ZeroStep(), run.domains[job.domain], weights.adapted
    text = f"evaluate {method.name}{'' if control is None else f' at {method.control_name} {control}'} on {job.domain}"
    count = job.suite.eval.samples
    with run.bars.stage(text, count) as advance:  # sampling is about two fifths of the work
        sampler = run.sampler_for(job, job.suite.eval)
        g = method.finalize(run.source.g_ema, adapted, control).eval()
        before = images_before(job, control, adapted, run, sampler)
        samples, ms = sampler(g, lambda n, rng: method.noise(g, n, control, rng), lambda n: advance(0.4 * n), before)
        done = 0.0

        def tick(seen: int, total: int) -> None:
            nonlocal done
            advance(0.6 * count * (seen - done) / max(total, 1))
            done = seen

        found = run.evaluator(samples, domain.test, domain.digest, tick, training=domain.train)
    held = dict(run.source.g_ema.named_parameters())
    shipped = sum(p.numel() for name, p in g.named_parameters() if name not in held or not p.equal(held[name]))
    timing = Timing.model_validate(
        {
            **cost,
            "ms_per_image": ms,
            "shipped_params": shipped,
            "generators_kept": method.generators_kept,
            "reused_training": uses_training_of_another(job),
        }
    )
    record = make_record(job, control, method, run, found.scores, timing, weights)
    path = run.store.samples_path(record.record_key)
    write_rows(path, samples.sources if job.method is None else samples.fakes)
    if record.is_default_control and found.order is not None:
        ends = found.order[:STRIP], found.order[::-1][:STRIP]
        extremes = path.with_name(f"{path.stem}-extremes.png")
        write_rows(extremes, *(samples.fakes[end] for end in ends))
        record = record.model_copy(update={"extremes": f"samples/{extremes.name}"})
    if job.method is None:
        record = record.model_copy(update={"references": write_references(path, samples, domain)})
    run.store.write(record)
    return record


def write_references(path: Path, samples: Samples, domain: Domain) -> dict[str, str]:
    """Strips that belong beside everybody's samples, written beside `path`: {what they show: file}."""
    rows = {}
    if samples.translations is not None and not isinstance(samples.translations.answers, str):
        rows["right answer"] = samples.translations.answers.drawn
    rows["real images"] = domain.test
    files = {what: path.with_name(f"{path.stem}-{what.replace(' ', '-')}.png") for what in rows}
    for what, images in rows.items():
        write_rows(files[what], images)
    return {what: f"samples/{file.name}" for what, file in files.items()}


def images_before(job: Job, control: Control, adapted: Generator, run: Run, sampler: Sampler) -> np.ndarray | None:
    """The pairs' images at the control's value before this one, if there is one and a metric asks for them."""
    method = job.method
    if method is None or not any(list_metrics()[name].kind == "step" for name in job.suite.eval.metrics):
        return None
    at = method.controls.index(control)
    if at == 0:
        return None
    value = method.controls[at - 1]
    g = method.finalize(run.source.g_ema, adapted, value).eval()
    return sampler.pairs(g, lambda n, rng: method.noise(g, n, value, rng))


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
            "fields": fields_of(method),
            "domain": job.domain,
            "domain_digest": job.domain_digest,
            "source": job.suite.source,
            "source_sha256": job.source_sha256,
            "source_origin_sha256": run.card.origin.sha256 if run.card.origin else None,
            "architecture": run.source.cfg.model_dump(),
            "seed": job.seed,
            "control": control,
            "control_name": method.control_name,
            "is_default_control": control == method.default_control,
            "zero_step": job.method is None,
            "metrics": {
                name: MetricValue(**score.model_dump(), better=infos[name].better, title=infos[name].title)
                for name, score in scores.items()
            },
            "timing": timing,
            "environment": (run.environment or environment(run.device)) | {"ended": now()},
            "settings": settings(job, domain),
            "notes": [
                *notes(method, domain, run.card),
                *([weights.choice] if weights and weights.choice else []),
                *run.remarks,
            ],
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
        "train": suite.train.model_dump(),
        "eval": suite.eval.model_dump(),
        **({"budgets": suite.budgets} if suite.budgets else {}),
        **({"scale": suite.scale} if suite.is_rehearsal else {}),
        "reals": reals(domain),
    }


def reals(domain: Domain) -> dict[str, int]:
    """How many images each split has."""
    reference = "reference (held out)" if domain.held_out else "reference (the training images)"
    sizes = {"train": len(domain.train), reference: len(domain.test), "selection": len(domain.selection)}
    return {name: n for name, n in sizes.items() if n}


def notes(method: Method, domain: Domain, source: SourceCard) -> list[str]:
    """The plain sentences that belong to the numbers."""
    said = [f"adapted images: {method.noise_statement()}; source images of the pairs: anchor noise."]
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
    said.append(f"Source GAN: {source.title}.")
    return said


def write_rows(path: Path, *rows: np.ndarray) -> None:
    """The first images of each row, uint8 [N, 3, R, R], side by side; rows below each other."""
    tiles = [np.concatenate([image.transpose(1, 2, 0) for image in row[:STRIP]], axis=1) for row in rows]
    with new_file(path) as temporary:
        Image.fromarray(np.concatenate(tiles)).save(temporary, "PNG")
