"""Weights of a job: trained now, or read from the files of an earlier run.

<out>/checkpoints/<train_key>.safetensors            all networks at the end of the training
<out>/checkpoints/<train_key>-0.5kimg.safetensors    the weight average at one of train.snapshot_kimg
<out>/checkpoints/<train_key>.progress               an interrupted training, to resume from
<out>/logs/<train_key>.jsonl                         its ticks
<out>/hashes/<train_key>.sha256                      hashes of the weights
<out>/locks/<train_key>-0                            claim of the process that trains
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
from benchmark.config import NetConfig
from benchmark.errors import WeightsError
from benchmark.results.hashes import hash_file, hash_lines, hashes_of, read_hashes
from benchmark.running.plan import Job
from benchmark.running.setup import Run
from benchmark.stylegan2 import Generator
from benchmark.stylegan2.weights import (
    architecture_of,
    load,
    load_generator,
    read_header,
    read_tensors,
    save,
    save_generator,
)
from benchmark.system.claims import claimed
from benchmark.system.files import clear_temporaries, sha256_or_none, write_atomic
from benchmark.system.hardware import peak_memory_mb, reset_peak_memory
from benchmark.system.progress import Advance
from benchmark.system.signals import Stopped, finishing_steps
from benchmark.training.log import TrainingLog
from benchmark.training.state import State, restore_state, save_state
from benchmark.training.train import train

MISSING = "is missing"


class UnusableState(WeightsError):
    """A training state that is damaged or not of this training."""


@dataclass(frozen=True)
class Trained:
    """What a training left behind: its last weight average, earlier ones by kimg, and what it cost."""

    last: Generator
    cost: dict[str, Any]
    snapshots: dict[float, Path]
    seconds: dict[float, float]
    """Seconds of training up to each snapshot."""


def trained(job: Job, run: Run) -> Trained:
    """The job's weights; trains where a file is missing or not what was stored, or waits for the process that does."""
    path = run.store.out / "checkpoints" / f"{job.train_key}.safetensors"
    files = snapshot_files(job, path)
    if faults(job, run, path):
        claim = run.store.out / "locks" / job.train_key
        with claimed(claim, lambda: run.bars.say(f"{job.label}: another process trains it, waiting for that")):
            clear_temporaries(path.parent, job.train_key)
            found = faults(job, run, path)
            for file, why in found.items():
                if why != MISSING:
                    run.bars.say(f"{job.label}: {file.name} {why}; it is now {set_aside(file)}, and is made again")
            if found:
                train_checkpoint(job, run, path)
    if read_hashes(hash_file(run.store.out, job.train_key)) is None:  # killed right after the weights were written
        note_hashes(job, run, path)
    with suppress(OSError):  # likewise
        path.with_suffix(".progress").unlink(missing_ok=True)
    g = load(path).g_ema.to(run.device).eval().requires_grad_(False)
    header = read_header(path)
    cost, ticks = header["cost"], header["ticks"]
    assert isinstance(cost, dict) and isinstance(ticks, list)
    return Trained(g, cost, files, dict(zip(files, seconds_at(ticks, [*files]), strict=True)))


def faults(job: Job, run: Run, path: Path) -> dict[Path, str]:
    """Why files of the job's weights cannot be used, by file: MISSING, or what is wrong with it."""
    noted = read_hashes(hash_file(run.store.out, job.train_key)) or {}
    found = {}
    for file in (path, *snapshot_files(job, path).values()):
        if why := fault(file, noted.get(file.relative_to(run.store.out).as_posix()), job.train_key, run.nets.cfg):
            found[file] = why
    return found


def fault(file: Path, sha256: str | None, train_key: str, cfg: NetConfig) -> str | None:
    """Why a file of weights cannot be used, None where it can. The hash that was noted and its own digest are tried."""
    if file.is_symlink() or not file.is_file():
        return MISSING
    if sha256 is not None and sha256_or_none(file) != sha256:
        return "is not what was stored (another sha256)"
    try:
        _, header = read_tensors(file)
        if header.get("train_key") != train_key or architecture_of(file) != cfg:
            return "belongs to something else"
    except WeightsError as error:
        return f"cannot be used ({error})"
    return None


def set_aside(file: Path) -> str:
    """Give a file that cannot be used another name, beside it, and tell that."""
    aside = file.with_name(f"{file.name}.unusable")
    file.replace(aside)
    return aside.name


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
        """Resume from the stored state, if there is one and the weight averages of before are there too.

        UnusableState where it cannot be used; then `state` may be spoilt.
        """
        if self.path.is_symlink() or not self.path.is_file():
            return
        try:
            done = read_header(self.path).get("images")
        except WeightsError as error:
            raise UnusableState(str(error)) from error
        passed = {kimg for kimg in self.files if isinstance(done, int) and kimg * 1000 <= done}
        if any(fault(self.files[kimg], None, self.key, state.nets.cfg) for kimg in passed):
            return
        try:
            restore_state(self.path, state, self.key)
        except WeightsError as error:
            raise UnusableState(str(error)) from error
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
    hash_file(run.store.out, job.train_key).unlink(missing_ok=True)  # of files that are replaced now
    files = handed(method, run)
    nets = run.nets.copy()
    reset_peak_memory(run.device)
    text = f"train {method.name} on {job.domain}, seed {job.seed}"
    with run.bars.stage(text, cfg.kimg * 1000) as advance, finishing_steps() as told, given(files):
        progress = Progress(job, path, log, advance, told)
        try:
            state = train(nets, reals, method, cfg, job.streams, progress.restore, progress.on_tick, progress.on_step)
        except UnusableState as why:
            aside = set_aside(progress.path)
            run.bars.say(f"{job.label}: {why} It is now {aside}, and the training begins again.")
            state = None
    log.close()
    if state is None:
        train_checkpoint(job, run, path)
        return
    rates = [tick.seconds_per_kimg for tick in state.ticks]
    cost = {
        "train_seconds": state.seconds,
        "seconds_per_kimg": statistics.median(rates[1:] or rates),
        "peak_mem_mb": peak_memory_mb(run.device),
        "trainable_params": sum(p.numel() for opt in (state.opt_g, state.opt_d) for p in opt.parameters),
        "kimg": state.images / 1000,
    }
    ticks = [[tick.images, tick.seconds] for tick in state.ticks]
    save(path, nets, {"train_key": job.train_key, "method": method.name, "cost": cost, "ticks": ticks})
    note_hashes(job, run, path)


def note_hashes(job: Job, run: Run, path: Path) -> None:
    """Store the hashes of the job's weights."""
    found = hashes_of(run.store.out, [path, *snapshot_files(job, path).values()])
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
