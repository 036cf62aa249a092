"""run_job(): the straight line from a job to its records.

source, domain -> train (or a stored checkpoint) -> for each control: finalize -> samples -> scores -> record
"""

from __future__ import annotations

import json
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmark.api import Control, Method
from benchmark.composition import fields_of
from benchmark.domains import Domain
from benchmark.hardware import environment, peak_memory_mb, reset_peak_memory
from benchmark.metrics import Evaluator, Samples, Score, list_metrics
from benchmark.plan import Job, uses_training_of_another
from benchmark.progress import Bars
from benchmark.results import MetricValue, ResultStore, RunRecord, Timing
from benchmark.sampling import Sampler
from benchmark.sources import SourceCard
from benchmark.state_file import restore_state, save_state
from benchmark.stylegan2 import Generator, Nets
from benchmark.stylegan2.weights import load, read_header, save
from benchmark.train import train
from benchmark.training_state import State

STRIP = 8
"""Images in a record's strip of samples."""
SAVE_SECONDS = 60.0
"""How much training an interruption may cost."""


@dataclass
class Run:
    """What all jobs of one command share."""

    store: ResultStore
    card: SourceCard
    source: Nets
    domains: dict[str, Domain]
    evaluator: Evaluator
    device: str
    bars: Bars
    sampler: Sampler | None = None
    environment: dict[str, Any] = field(default_factory=dict)

    def sampler_for(self, job: Job) -> Sampler:
        """The sampler of the job's (domain, seed); jobs come grouped, so the last one is kept."""
        seed = (job.suite.name, job.domain, job.seed)
        if self.sampler is None or self.sampler.seed != seed:
            self.sampler = Sampler(self.source.g_ema, job.suite.eval, seed)
        return self.sampler


def run_job(job: Job, run: Run) -> list[RunRecord]:
    """Records of all the job's controls; those that are stored already are not made again."""
    stored = {control: run.store.has(key) for control, key in job.record_keys.items()}
    todo = [control for control, record in stored.items() if record is None]
    if not todo:
        return [r for r in stored.values() if r is not None]
    adapted, cost = (run.source.g_ema, {}) if job.method is None else trained(job, run)
    for control in todo:
        stored[control] = evaluate(job, control, adapted, cost, run)
    return [r for r in stored.values() if r is not None]


def trained(job: Job, run: Run) -> tuple[Generator, dict[str, Any]]:
    """The adapted, averaged generator and what its training cost; from the checkpoint where there is one."""
    path = run.store.out / "checkpoints" / f"{job.train_key}.safetensors"
    if not path.is_file():
        train_checkpoint(job, run, path)
    nets = load(path).to(run.device)
    nets.g_ema.eval().requires_grad_(False)
    cost = read_header(path)["cost"]
    return nets.g_ema, cost if isinstance(cost, dict) else {}


def train_checkpoint(job: Job, run: Run, path: Path) -> None:
    """Train and write `path`; a training state beside it lets the same command go on after an interruption."""
    assert job.method is not None
    method = job.method.training()
    cfg, reals = job.suite.train, run.domains[job.domain].train
    progress_path = path.with_suffix(".progress")
    log = run.store.out / "logs" / f"{job.train_key}.jsonl"
    log.parent.mkdir(parents=True, exist_ok=True)
    nets = run.source.copy()
    saved = time.monotonic()
    reset_peak_memory(run.device)
    with run.bars.stage(f"train {method.name} on {job.domain}, seed {job.seed}", cfg.kimg * 1000) as advance:

        def restore(state: State) -> None:
            restore_state(progress_path, state, job.train_key)
            log.write_text("".join(json.dumps(vars(tick)) + "\n" for tick in state.ticks))
            advance(state.images)

        def on_tick(state: State) -> None:
            nonlocal saved
            with log.open("a") as file:
                file.write(json.dumps(vars(state.ticks[-1])) + "\n")
            if time.monotonic() - saved > SAVE_SECONDS:
                save_state(progress_path, state, job.train_key)
                saved = time.monotonic()

        seed = (job.suite.name, job.domain, job.seed)
        state = train(nets, reals, method, cfg, seed, restore, on_tick, on_step=lambda s: advance(cfg.batch))
    ticks = [tick.seconds_per_kimg for tick in state.ticks]
    cost = {
        "train_seconds": state.seconds,
        "seconds_per_kimg": statistics.median(ticks[1:] or ticks),
        "peak_mem_mb": peak_memory_mb(run.device),
        "trainable_params": sum(p.numel() for opt in (state.opt_g, state.opt_d) for p in opt.param_groups[0]["params"]),
        "kimg": state.images / 1000,
    }
    save(path, nets, {"train_key": job.train_key, "method": method.name, "cost": cost})
    progress_path.unlink(missing_ok=True)


def evaluate(job: Job, control: Control, adapted: Generator, cost: dict[str, Any], run: Run) -> RunRecord:
    """Samples, scores and record of one control."""
    method, domain = job.method or ZeroStep(), run.domains[job.domain]
    text = f"evaluate {method.name}{'' if control is None else f' at {method.control_name} {control}'} on {job.domain}"
    count = job.suite.eval.samples
    with run.bars.stage(text, count) as advance:  # sampling is about two fifths of the work
        sampler = run.sampler_for(job)
        g = method.finalize(run.source.g_ema, adapted, control).eval()
        before = images_before(job, control, adapted, run, sampler)
        samples, ms = sampler(g, lambda n, rng: method.noise(g, n, control, rng), lambda n: advance(0.4 * n), before)
        done = 0.0

        def tick(seen: int, total: int) -> None:
            nonlocal done
            advance(0.6 * count * (seen - done) / max(total, 1))
            done = seen

        scores = run.evaluator(samples, domain.test, domain.digest, tick)
    shipped = sum(
        p.numel() for p, q in zip(g.parameters(), run.source.g_ema.parameters(), strict=True) if not p.equal(q)
    )
    timing = Timing.model_validate(
        {
            **cost,
            "ms_per_image": ms,
            "shipped_params": shipped,
            "generators_kept": method.generators_kept,
            "reused_training": uses_training_of_another(job),
        }
    )
    record = make_record(job, control, method, run, scores, timing)
    write_strip(run.store.samples_path(record.record_key), samples, zero_step=job.method is None)
    run.store.write(record)
    return record


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
    failure: str | None = None,
) -> RunRecord:
    """One row of results; `failure` is the reason of a failed job."""
    domain, infos = run.domains[job.domain], list_metrics()
    record_key = job.record_keys[control]
    return RunRecord.model_validate(
        {
            "schema": 1,
            "record_key": record_key,
            "train_key": job.train_key,
            "status": "failed" if failure else "done",
            "reason": failure,
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
            "environment": run.environment or environment(run.device),
            "settings": {
                "resolution": job.suite.resolution,
                "train": job.suite.train.model_dump(),
                "eval": job.suite.eval.model_dump(),
                "reals": {"train": len(domain.train), "reference (held out)": len(domain.test)},
            },
            "notes": notes(method, domain, run.card),
            "grid": None if failure else f"samples/{record_key}.png",
        }
    )


def notes(method: Method, domain: Domain, source: SourceCard) -> list[str]:
    """The plain sentences that belong to the numbers."""
    said = [f"adapted images: {method.noise_statement()}; source images of the pairs: anchor noise."]
    kinds = {
        "dicebear": "drawings put together from an artist's parts (DiceBear), not photographs",
        "toy": "coloured shapes, for tests only",
    }
    if domain.card.kind in kinds:
        said.append(f"The images of {domain.name} are {kinds[domain.card.kind]}.")
    said.append(f"Source GAN: {source.title}.")
    return said


def write_strip(path: Path, samples: Samples, zero_step: bool) -> None:
    """The first samples side by side; the zero-step record shows the source at its anchor noise."""
    images = (samples.sources if zero_step else samples.fakes)[:STRIP]
    path.parent.mkdir(parents=True, exist_ok=True)
    strip = np.concatenate([image.transpose(1, 2, 0) for image in images], axis=1)
    Image.fromarray(strip).save(path)
