"""run_job(): the straight line from a job to its records.

source, domain -> train (or a stored checkpoint) -> the weights that count -> for each control: finalize -> samples ->
scores -> record
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmark.api import Control
from benchmark.api.returned import noise_of
from benchmark.domains import Domain
from benchmark.errors import DataError, MethodError
from benchmark.metrics import Samples, list_metrics
from benchmark.metrics.base import NO_PICTURES, PICTURED, Answers, TranslatedPictures
from benchmark.metrics.real import OF_SETS, real_scores
from benchmark.metrics.sampling import Sampler, right_answers
from benchmark.results import RunRecord, Timing
from benchmark.results.reals import RealScores, find_reals, reals_path, write_reals
from benchmark.running.make_record import ZeroStep, make_record
from benchmark.running.plan import Job, uses_training_of_another
from benchmark.running.selection import Counted, counted, curve_config, finalized, portable, selection_digest
from benchmark.running.setup import Run
from benchmark.running.shortages import come_since
from benchmark.running.weights import are_there, trained
from benchmark.sources.inverted import PICTURES, Inverted, Seeker
from benchmark.stylegan2 import Generator
from benchmark.stylegan2.weights import left_alone
from benchmark.system.files import clear_temporaries, key, new_file
from benchmark.system.hardware import circumstances, environment

STRIP = 8
"""Images in a row of samples beside a record."""


def run_job(job: Job, run: Run) -> list[RunRecord]:
    """Records of all the job's controls; those that are stored already, or that another process makes, are not made."""
    store, keys = run.store, job.record_keys.values()
    if any(finished(job, key, run) is None for key in keys):
        with run.owned(next(iter(keys)), f"{job.label}: another process is running it; waiting"):
            for folder, key in ((folder, key) for folder in (store.records, store.samples) for key in keys):
                clear_temporaries(folder, key)
            make_missing(job, run)
    return [r for r in map(store.has, keys) if r is not None]


def make_missing(job: Job, run: Run) -> None:
    """Make and store the records that are not stored yet, or lack what can be measured now."""
    todo = [control for control, key in job.record_keys.items() if finished(job, key, run) is None]
    if not todo:
        return
    run = replace(run, environment={**(run.environment or environment(run.device)), **circumstances(run.device)})
    keep_shared(job, run)
    if job.method is None:
        weights, cost = Counted(run.nets.g_ema), {}
    else:
        found = trained(job, run)
        run = replace(run, remarks=(*run.remarks, *divided(job, found.accumulate)))
        weights, cost = counted(job, found, run), found.cost
    for control in todo:
        try:
            evaluate(job, control, weights, cost, run)
        except (DataError, MethodError) as error:
            raise type(error)(f"{error} [{title(job, control)}]") from error


def finished(job: Job, key: str, run: Run) -> RunRecord | None:
    """The stored record `key`, unless it lacks what can be measured now, with weights that are there."""
    record = run.store.has(key)
    return None if record and lacks(record, run) and are_there(job, run) else record


def lacks(record: RunRecord, run: Run) -> list[str]:
    """Metrics that a record has no value of for want of a file or package, which is there now."""
    found = come_since(record.metrics, run.evaluator)
    if run.curve_evaluator is not None:
        for point in record.curve:
            found += come_since(point.metrics, run.curve_evaluator)
    return [*dict.fromkeys(found)]


def divided(job: Job, accumulate: int) -> list[str]:
    """That batches were trained in more parts than planned, as the device was too small."""
    planned = job.suite.train.accumulate
    said = f"out of memory: train.accumulate={accumulate} instead of the planned value"
    return [] if accumulate == planned else [said]


def keep_shared(job: Job, run: Run) -> None:
    """Make what other jobs get from the cache or from this process, before any hook of the method can change how."""
    domain = run.domains[job.domain]
    run.evaluator.keep_real(domain.test, domain.digest, domain.train)
    run.sampler_for(job, job.suite.eval)
    if run.curve_evaluator is not None:
        run.curve_evaluator.keep_real(domain.test, domain.digest, domain.train)
        run.sampler_for(job, curve_config(job.suite.eval))
        if job.suite.eval.snapshot == "selected":
            run.curve_evaluator.keep_real(domain.selection, selection_digest(domain), domain.train)
    if wants_pictures(job):
        pictures(job, run)


def title(job: Job, control: Control) -> str:
    """What is evaluated, in words."""
    method = job.method or ZeroStep()
    return f"evaluate {method.name}{'' if control is None else f' at {method.control_name} {control}'} on {job.domain}"


def evaluate(job: Job, control: Control, weights: Counted, cost: dict[str, Any], run: Run) -> RunRecord:
    """Samples, scores and record of one control."""
    method, domain, adapted = job.method or ZeroStep(), run.domains[job.domain], weights.adapted
    count = job.suite.eval.samples
    with run.bars.stage(title(job, control), count) as advance:  # sampling is about two fifths of the work
        sampler = run.sampler_for(job, job.suite.eval)
        given = {"the source": run.nets.g_ema, "the adapted generator": adapted}
        with left_alone(f"{method.name}: finalize or noise", given):
            before = images_before(job, control, adapted, run, sampler)  # first: `finalize` may re-use one object
            g = finalized(method, run.nets.g_ema, adapted, control)
            samples, ms = sampler(
                g, lambda n, rng: noise_of(method, g, n, control, rng), lambda n: advance(0.4 * n), before
            )
        done = 0.0

        def tick(seen: int, total: int) -> None:
            nonlocal done
            advance(0.6 * count * (seen - done) / max(total, 1))
            done = seen

        shown, further = translated(job, control, g, run, sampler)
        samples = replace(samples, pictures=shown)
        found = run.evaluator(samples, domain.test, domain.digest, tick, training=domain.train)
    held = dict(run.nets.g_ema.named_parameters())
    shipped = sum(p.numel() for name, p in g.named_parameters() if name not in held or not p.equal(held[name]))
    timing = Timing.model_validate(
        {
            **cost,
            **further,
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
        keep_reals(job, run)
    run.store.write(record)
    return record


def translated(
    job: Job, control: Control, g: Generator, run: Run, sampler: Sampler
) -> tuple[TranslatedPictures | str, dict[str, float]]:
    """Pictures of the source's domain, inverted, as `g` draws them, and what an inversion took; where asked for."""
    if not wants_pictures(job):
        return NO_PICTURES, {}
    found, method = pictures(job, run), job.method or ZeroStep()
    if isinstance(found, str):
        return found, {}
    with torch.inference_mode():
        ws = found.code.ws(g)
    drawn, averaged = sampler.at(g, ws, lambda n, rng: noise_of(method, g, n, control, rng))
    known = sampler.answer
    answers: Answers | str
    if isinstance(known, str):
        answers = known
    else:
        clean = found.clean if known.source_medium else found.pictures / 255
        answers = right_answers(known, clean, (*job.streams, "eval", "grain of pictures"))
    return TranslatedPictures(found.pictures, drawn, averaged, answers), {"inversion_seconds": found.seconds}


def wants_pictures(job: Job) -> bool:
    """Whether a metric asks for translated pictures."""
    return any(list_metrics()[name].kind in PICTURED for name in job.suite.eval.metrics)


def pictures(job: Job, run: Run) -> Inverted | str:
    """Held-out pictures of the source's domain with their codes, the same for all jobs; or why there are none."""
    if not run.inverted:
        seeker = Seeker(job.suite.source, job.source_sha256, run.card.domain, run.nets.g_ema, run.request.cache)
        run.inverted.append(seeker.held_out(min(PICTURES, job.suite.eval.pairs), run.bars))
    return run.inverted[0]


def keep_reals(job: Job, run: Run) -> None:
    """Store what the domain's training images score against its held-out ones, unless it is stored already and lacks
    nothing that can be measured now.
    """
    domain, cfg, infos = run.domains[job.domain], job.suite.eval, list_metrics()
    if not domain.held_out:
        return
    versions = {name: infos[name].version for name in cfg.metrics if infos[name].kind in OF_SETS}
    name = key("reals", domain.digest, len(domain.selection), cfg.samples, versions)
    if not versions:
        return
    stored = find_reals(run.store.out, name)
    if reals_path(run.store.out, name).is_file() and not (stored and come_since(stored.metrics, run.evaluator)):
        return
    scores = real_scores(run.evaluator, domain.train, domain.test, domain.digest, cfg.samples)
    values = {metric: infos[metric].value_of(portable(score, run.request.cache)) for metric, score in scores.items()}
    found = {"schema": 1, "key": name, "domain": domain.name, "domain_digest": domain.digest}
    write_reals(run.store.out, RealScores.model_validate({**found, "metrics": values, "versions": versions}))


def write_references(path: Path, samples: Samples, domain: Domain) -> dict[str, str]:
    """Reference strips for the samples of all methods, written beside `path`: {what they show: file}."""
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
    g = finalized(method, run.nets.g_ema, adapted, value)
    return sampler.pairs(g, lambda n, rng: noise_of(method, g, n, value, rng))


def write_rows(path: Path, *rows: np.ndarray) -> None:
    """The first images of each row, uint8 [N, 3, R, R], side by side; rows below each other."""
    tiles = [np.concatenate([image.transpose(1, 2, 0) for image in row[:STRIP]], axis=1) for row in rows]
    with new_file(path) as temporary:
        Image.fromarray(np.concatenate(tiles)).save(temporary, "PNG")
