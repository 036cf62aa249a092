"""A job's weights: trained now, or read from the files of an earlier run.

<out>/checkpoints/<train_key>.safetensors            all networks at the end of the training
<out>/checkpoints/<train_key>-0.5kimg.safetensors    the weight average at one of train.snapshot_kimg
<out>/checkpoints/<train_key>.progress               a training that was interrupted
<out>/logs/<train_key>.jsonl                         its ticks
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.hardware import peak_memory_mb, reset_peak_memory
from benchmark.plan import Job
from benchmark.reparametrise import baked
from benchmark.run import Run
from benchmark.state_file import restore_state, save_state
from benchmark.stylegan2 import Generator
from benchmark.stylegan2.weights import load, load_generator, read_header, save, save_generator
from benchmark.train import train
from benchmark.training_log import TrainingLog
from benchmark.training_state import State

SAVE_SECONDS = 60.0
"""How much training an interruption may cost."""


@dataclass(frozen=True)
class Trained:
    """What a training left behind: its last weight average, earlier ones by kimg, and what it cost."""

    last: Generator
    cost: dict[str, Any]
    snapshots: dict[float, Path]
    seconds: dict[float, float]
    """Seconds of training up to each snapshot."""


def trained(job: Job, run: Run) -> Trained:
    """The job's weights; trains where a file is missing."""
    path = run.store.out / "checkpoints" / f"{job.train_key}.safetensors"
    files = snapshot_files(job, path)
    if not all(file.is_file() for file in (path, *files.values())):
        train_checkpoint(job, run, path)
    g = load(path).g_ema.to(run.device).eval().requires_grad_(False)
    header = read_header(path)
    cost, ticks = header["cost"], header["ticks"]
    assert isinstance(cost, dict) and isinstance(ticks, list)
    return Trained(g, cost, files, dict(zip(files, seconds_at(ticks, [*files]), strict=True)))


def snapshot_files(job: Job, path: Path) -> dict[float, Path]:
    """Where the weights at train.snapshot_kimg lie, for all lengths below that of the training."""
    cfg = job.suite.train
    lengths = sorted(kimg for kimg in set(cfg.snapshot_kimg) if kimg < cfg.kimg)
    return {kimg: path.with_name(f"{path.stem}-{kimg:g}kimg.safetensors") for kimg in lengths}


def snapshot(file: Path, device: str) -> Generator:
    """The generator in the file of a snapshot."""
    return load_generator(file).to(device)


def train_checkpoint(job: Job, run: Run, path: Path) -> None:
    """Train and write `path`; a training state beside it lets the same command go on after an interruption."""
    assert job.method is not None
    method = job.method.training()
    cfg, reals = job.suite.train, run.domains[job.domain].train
    files, kept = snapshot_files(job, path), set[float]()
    progress_path, logs = path.with_suffix(".progress"), run.store.out / "logs"
    board = logs / "tensorboard" / f"{method.name}-{job.domain}-seed{job.seed}-{job.train_key[:8]}"
    log = TrainingLog(logs / f"{job.train_key}.jsonl", board if run.tensorboard else None)
    nets = run.source.copy()
    saved = time.monotonic()
    reset_peak_memory(run.device)
    with run.bars.stage(f"train {method.name} on {job.domain}, seed {job.seed}", cfg.kimg * 1000) as advance:

        def restore(state: State) -> None:
            restore_state(progress_path, state, job.train_key)
            kept.update(kimg for kimg in files if kimg * 1000 <= state.images)
            log.extend(state.ticks)
            advance(state.images)

        def keep(state: State) -> None:
            for kimg, file in files.items():
                if kimg not in kept and kimg * 1000 <= state.images:
                    save_generator(
                        file, baked(state.nets.g_ema), {"train_key": job.train_key, "kimg": state.images / 1000}
                    )
                    kept.add(kimg)

        def on_tick(state: State) -> None:
            nonlocal saved
            keep(state)  # before the state: what goes on from it does not come by here again
            log.extend(state.ticks[-1:])
            if time.monotonic() - saved > SAVE_SECONDS:
                save_state(progress_path, state, job.train_key)
                saved = time.monotonic()

        def on_step(state: State) -> None:
            keep(state)
            advance(cfg.batch)

        state = train(nets, reals, method, cfg, (job.suite.name, job.domain, job.seed), restore, on_tick, on_step)
    log.close()
    rates = [tick.seconds_per_kimg for tick in state.ticks]
    cost = {
        "train_seconds": state.seconds,
        "seconds_per_kimg": statistics.median(rates[1:] or rates),
        "peak_mem_mb": peak_memory_mb(run.device),
        "trainable_params": sum(p.numel() for opt in (state.opt_g, state.opt_d) for p in opt.param_groups[0]["params"]),
        "kimg": state.images / 1000,
    }
    ticks = [[tick.images, tick.seconds] for tick in state.ticks]
    save(path, nets, {"train_key": job.train_key, "method": method.name, "cost": cost, "ticks": ticks})
    progress_path.unlink(missing_ok=True)


def seconds_at(ticks: Sequence[tuple[int, float]], kimg: Sequence[float]) -> list[float]:
    """Seconds of training at which each length was reached, in a straight line between ticks (images, seconds)."""
    images = [0, *(tick[0] for tick in ticks)]
    seconds = np.cumsum([0.0, *(tick[1] for tick in ticks)])
    return [float(s) for s in np.interp([k * 1000 for k in kimg], images, seconds)]
