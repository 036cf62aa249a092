"""Weights of a job: trained now, or read from the files of an earlier run.

<out>/checkpoints/<train_key>.safetensors            all networks at the end of the training
<out>/checkpoints/<train_key>-0.5kimg.safetensors    the weight average at one of train.snapshot_kimg
<out>/checkpoints/<train_key>.progress               an interrupted training, to resume from
<out>/logs/<train_key>.jsonl                         its ticks
<out>/hashes/<train_key>.sha256                      hashes of the weights
<out>/locks/<train_key>.lock                         held by the process that trains
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.api import Method
from benchmark.api.needed import given
from benchmark.api.reparametrise import baked
from benchmark.errors import WeightsError
from benchmark.results.hashes import hash_file, hash_lines, hashes_of
from benchmark.running.plan import Job
from benchmark.running.setup import Run
from benchmark.stylegan2 import Generator
from benchmark.stylegan2.weights import load, load_generator, read_header, save, save_generator
from benchmark.system.files import clear_temporaries, write_atomic
from benchmark.system.hardware import peak_memory_mb, reset_peak_memory
from benchmark.system.locks import alone
from benchmark.system.progress import Advance
from benchmark.system.signals import Stopped, finishing_steps
from benchmark.training.log import TrainingLog
from benchmark.training.state import State, restore_state, save_state
from benchmark.training.train import train


@dataclass(frozen=True)
class Trained:
    """What a training left behind: its last weight average, earlier ones by kimg, and what it cost."""

    last: Generator
    cost: dict[str, Any]
    snapshots: dict[float, Path]
    seconds: dict[float, float]
    """Seconds of training up to each snapshot."""


def trained(job: Job, run: Run) -> Trained:
    """The job's weights; trains where a file is missing or damaged, or waits for the process that does."""
    path = run.store.out / "checkpoints" / f"{job.train_key}.safetensors"
    files = snapshot_files(job, path)
    if not all(map(whole, (path, *files.values()))):
        lock = run.store.out / "locks" / f"{job.train_key}.lock"
        with alone(lock, lambda: run.bars.say(f"{job.label}: another process trains it, waiting for that")):
            clear_temporaries(path.parent, job.train_key)
            if not all(map(whole, (path, *files.values()))):
                train_checkpoint(job, run, path)
    with suppress(OSError):  # left where a process was killed right after the weights were written
        path.with_suffix(".progress").unlink(missing_ok=True)
    g = load(path).g_ema.to(run.device).eval().requires_grad_(False)
    header = read_header(path)
    cost, ticks = header["cost"], header["ticks"]
    assert isinstance(cost, dict) and isinstance(ticks, list)
    return Trained(g, cost, files, dict(zip(files, seconds_at(ticks, [*files]), strict=True)))


def whole(file: Path) -> bool:
    """Whether a file of weights is there and has the length that its header says."""
    try:
        read_header(file)
    except WeightsError:
        return False
    return True


def snapshot_files(job: Job, path: Path) -> dict[float, Path]:
    """Where the weights at train.snapshot_kimg lie, for all lengths below that of the training."""
    cfg = job.suite.train
    lengths = sorted(kimg for kimg in set(cfg.snapshot_kimg) if kimg < cfg.kimg)
    return {kimg: path.with_name(f"{path.stem}-{kimg:g}kimg.safetensors") for kimg in lengths}


def snapshot(file: Path, device: str) -> Generator:
    """The generator in the file of a snapshot."""
    return load_generator(file).to(device)


class Progress:
    """What a training leaves on its way: its log, the weight averages asked for, and a state to resume from."""

    def __init__(
        self, job: Job, path: Path, log: TrainingLog, advance: Advance, told: Callable[[], int | None]
    ) -> None:
        self.cfg, self.key, self.log, self.advance, self.told = job.suite.train, job.train_key, log, advance, told
        self.path = path.with_suffix(".progress")
        self.files, self.kept = snapshot_files(job, path), set[float]()
        self.saved = time.monotonic()

    def restore(self, state: State) -> None:
        """Go on from the stored state, if there is one and the weight averages of before are there too."""
        if not whole(self.path):
            return  # none yet, or damaged by more than this suite: then from the beginning
        done = read_header(self.path)["images"]
        assert isinstance(done, int)
        passed = {kimg for kimg in self.files if kimg * 1000 <= done}
        if all(whole(self.files[kimg]) for kimg in passed):
            restore_state(self.path, state, self.key)
            self.kept |= passed
            self.log.extend(state.ticks)
            self.advance(state.images)

    def on_tick(self, state: State) -> None:
        """A line of the log."""
        self.log.extend(state.ticks[-1:])

    def on_step(self, state: State) -> None:
        """Save what is due; Stopped if this process was told to end."""
        for (
            kimg,
            file,
        ) in self.files.items():  # before the state: a training that resumes from it does not pass here again
            if kimg not in self.kept and kimg * 1000 <= state.images:
                save_generator(file, baked(state.nets.g_ema), {"train_key": self.key, "kimg": state.images / 1000})
                self.kept.add(kimg)
        self.advance(self.cfg.batch)
        told = self.told()
        if told is not None or time.monotonic() - self.saved >= self.cfg.checkpoint_minutes * 60:
            save_state(self.path, state, self.key)
            self.saved = time.monotonic()
        if told is not None:
            raise Stopped(told)


def train_checkpoint(job: Job, run: Run, path: Path) -> None:
    """Train and write `path`; a training state beside it lets the same command resume after an interruption."""
    assert job.method is not None
    method = job.method.training()
    cfg, reals = job.training, run.domains[job.domain].train
    logs = run.store.out / "logs"
    board = logs / "tensorboard" / f"{method.name}-{job.domain[:40]}-seed{job.seed}-{job.train_key[:8]}"
    log = TrainingLog(logs / f"{job.train_key}.jsonl", board if run.tensorboard else None)
    files = handed(method, run)
    nets = run.nets.copy()
    reset_peak_memory(run.device)
    text = f"train {method.name} on {job.domain}, seed {job.seed}"
    with run.bars.stage(text, cfg.kimg * 1000) as advance, finishing_steps() as told, given(files):
        progress = Progress(job, path, log, advance, told)
        state = train(nets, reals, method, cfg, job.streams, progress.restore, progress.on_tick, progress.on_step)
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
    found = hashes_of(run.store.out, [path, *progress.files.values()])
    write_atomic(hash_file(run.store.out, job.train_key), hash_lines(found))


def handed(method: Method, run: Run) -> dict[str, Path]:
    """The files that a method needs; WeightsError where one is not there."""
    places = {key: run.files[key].place for key in method.needs}
    for place in places.values():
        if place.path is None:
            raise WeightsError(f"method {method.name}: {place.reason}")
    return {key: place.path for key, place in places.items() if place.path}


def seconds_at(ticks: Sequence[tuple[int, float]], kimg: Sequence[float]) -> list[float]:
    """Seconds of training at which each length was reached, in a straight line between ticks (images, seconds)."""
    images = [0, *(tick[0] for tick in ticks)]
    seconds = np.cumsum([0.0, *(tick[1] for tick in ticks)])
    return [float(s) for s in np.interp([k * 1000 for k in kimg], images, seconds)]
