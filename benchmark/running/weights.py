"""Weights of a job: trained now, or read from the files of an earlier run.

<out>/checkpoints/<train_key>.safetensors            all networks at the end of the training
<out>/checkpoints/<train_key>-0.5kimg.safetensors    the weight average at one of train.snapshot_kimg
<out>/checkpoints/<train_key>.progress               an interrupted training, to resume from (resume.py)
<out>/logs/<train_key>.jsonl                         its ticks
<out>/hashes/<train_key>.sha256                      hashes of the weights
<out>/locks/<train_key>-0                            claim of the process that trains
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.api import Method
from benchmark.api.needed import given
from benchmark.config import NetConfig
from benchmark.errors import ConfigError, WeightsError
from benchmark.results.hashes import hash_file, hash_lines, hashes_of, read_hashes, set_aside
from benchmark.running.plan import Job
from benchmark.running.resume import (
    MISSING,
    Progress,
    Repeated,
    UnusableState,
    fault,
    remove_states,
    set_states_aside,
    snapshot_files,
    weights_path,
)
from benchmark.running.setup import Run
from benchmark.stylegan2 import Generator
from benchmark.stylegan2.weights import load, load_generator, read_header, save
from benchmark.system.files import clear_temporaries, write_atomic
from benchmark.system.hardware import peak_memory_mb, reset_peak_memory
from benchmark.system.signals import finishing_steps
from benchmark.training import dist
from benchmark.training.kernels import held
from benchmark.training.log import TrainingLog
from benchmark.training.state import State
from benchmark.training.train import train

MOST_TICKS = 10_000
"""That the header of weights tells."""


@dataclass(frozen=True)
class Trained:
    """What a training left behind: its last weight average, earlier ones by kimg, and what it cost."""

    last: Generator
    cost: dict[str, Any]
    snapshots: dict[float, Path]
    seconds: dict[float, float]
    """Seconds of training up to each snapshot."""
    accumulate: int
    """In how many parts each batch was trained."""


def trained(job: Job, run: Run) -> Trained:
    """The job's weights; trains where a file is missing or not what was stored, or waits for the process that does."""
    path = weights_path(run.store.out, job.train_key)
    files = snapshot_files(job, path)
    if faults(job, run, path):
        with run.owned(job.train_key, f"{job.label}: another process is training it; waiting"):
            clear_temporaries(path.parent, job.train_key)
            found = faults(job, run, path)
            for file, why in found.items():
                if why != MISSING:
                    run.bars.say(f"{job.label}: {file.name} {why}; it is now {set_aside(file)}, and is made again")
            if again := to_repeat(job, run, path):
                lengths = ", ".join(f"{kimg:g}" for kimg in again)
                run.bars.say(
                    f"{job.label}: its training is finished, and its weights at {lengths} kimg are not there: they are "
                    "made by repeating it up to there; the finished weights stay"
                )
            if found:
                start_training(job, run)
    noted = read_hashes(hash_file(run.store.out, job.train_key)) or {}
    if not noted.keys() >= names(run.store.out, (path, *files.values())):  # killed right after they were written
        note_hashes(job, run, path)
    remove_states(path, job.training.ranks)  # likewise
    g = load(path).g_ema.to(run.device).eval().requires_grad_(False)
    header = read_header(path)
    cost, ticks, parts = header["cost"], header["ticks"], header.get("accumulate", job.suite.train.accumulate)
    assert isinstance(cost, dict) and isinstance(ticks, list) and isinstance(parts, int)
    return Trained(g, cost, files, dict(zip(files, seconds_at(ticks, [*files]), strict=True)), parts)


def faults(job: Job, run: Run, path: Path) -> dict[Path, str]:
    """Why files of the job's weights cannot be used, by file: MISSING, or what is wrong with it."""
    files = (path, *snapshot_files(job, path).values())
    found = {file: stored_fault(run.store.out, file, job.train_key, run.nets.cfg) for file in files}
    return {file: why for file, why in found.items() if why}


def to_repeat(job: Job, run: Run, path: Path) -> dict[float, Path]:
    """Snapshots that are missing, by kimg, of a training whose last weights are there; none where they are not."""
    found = faults(job, run, path)
    return {} if path in found else {k: file for k, file in snapshot_files(job, path).items() if file in found}


def are_there(job: Job, run: Run) -> bool:
    """Whether the job has all weights that it needs, so that nothing has to be trained; they are not looked into."""
    path = weights_path(run.store.out, job.train_key)
    return job.method is None or all(file.is_file() for file in (path, *snapshot_files(job, path).values()))


def stored_generator(out: Path, train_key: str, cfg: NetConfig, kimg: float | None = None) -> Generator:
    """The weight average that a training left in the folder `out` (of its snapshot at `kimg`), float32 on the CPU.

    `cfg` is the architecture of the source. WeightsError where the file is missing, or not what was stored.
    """
    path = weights_path(out, train_key, kimg)
    if why := stored_fault(out, path, train_key, cfg):
        raise WeightsError(f"{path} {why}. Run the suite again: it makes missing and damaged weights anew.")
    return (load(path).g_ema if kimg is None else load_generator(path)).eval().requires_grad_(False)


def stored_fault(out: Path, file: Path, train_key: str, cfg: NetConfig) -> str | None:
    """`fault` of a file in the folder `out`, with the hash that was noted of it there."""
    noted = read_hashes(hash_file(out, train_key)) or {}
    return fault(file, noted.get(file.relative_to(out).as_posix()), train_key, cfg)


def snapshot(file: Path, device: str) -> Generator:
    """The generator in the file of a snapshot."""
    return load_generator(file).to(device)


def start_training(job: Job, run: Run) -> None:
    """Train here, or by the ranks that the settings ask for; ConfigError where nobody can start them."""
    if job.training.ranks == 1:
        train_checkpoint(job, run)
    elif run.start_ranks is None:
        raise ConfigError(
            f"train.ranks={job.training.ranks}: such a training needs a process for each job: leave out --jobs 0."
        )
    else:
        run.start_ranks(job)


def train_checkpoint(job: Job, run: Run) -> None:
    """Train and write the weights; a training state beside them lets the same command resume after an interruption.

    Called by each of several ranks; then rank 0 writes.
    """
    assert job.method is not None
    path, method = weights_path(run.store.out, job.train_key), job.method.training()
    cfg, reals = job.training, run.domains[job.domain].train
    logs, writes, again = run.store.out / "logs", dist.rank() == 0, to_repeat(job, run, path)
    board = logs / "tensorboard" / f"{method.name}-{job.domain[:40]}-seed{job.seed}-{job.train_key[:8]}"
    whole = writes and not again  # the log of a finished training stays, too
    log = TrainingLog(logs / f"{job.train_key}.jsonl", board if run.tensorboard else None) if whole else None
    if writes:
        forget_hashes(job, run, again.values() or (path, *snapshot_files(job, path).values()))
    files = handed(method, run)
    nets = run.nets.copy()
    reset_peak_memory(run.device)
    text, kimg = f"train {method.name} on {job.domain}, seed {job.seed}", max(again, default=cfg.kimg)
    state, anew = None, False
    with run.bars.stage(text, kimg * 1000) as advance, finishing_steps() as told, given(files), held(cfg, nets):
        progress = Progress(job, path, again, log, advance, told)
        try:
            state = train(nets, reals, method, cfg, job.streams, progress.restore, progress.on_tick, progress.on_step)
        except Repeated:
            pass
        except UnusableState as why:
            anew, aside = True, ", ".join(set_states_aside(path, dist.rank()))
            run.bars.say(f"{job.label}: {why} It is now {aside}, and the training begins again.")
    if log:
        log.close()
    if anew:
        train_checkpoint(job, run)
    elif state and writes:
        write_weights(job, run, state)
    elif writes:
        note_hashes(job, run, path)


def write_weights(job: Job, run: Run, state: State) -> None:
    """Store the networks of a training that is finished, what it cost, and the hashes of its files."""
    assert job.method is not None
    path = weights_path(run.store.out, job.train_key)
    rates = [tick.seconds_per_kimg for tick in state.ticks]
    cost = {
        "train_seconds": state.seconds,
        "seconds_per_kimg": statistics.median(rates[1:] or rates),
        "peak_mem_mb": peak_memory_mb(run.device),
        "trainable_params": sum(p.numel() for opt in (state.opt_g, state.opt_d) for p in opt.parameters),
        "kimg": state.images / 1000,
    }
    header: dict[str, object] = {
        "train_key": job.train_key,
        "method": job.method.training().name,
        "cost": cost,
        "ticks": thinned([(tick.images, tick.seconds) for tick in state.ticks]),
        "accumulate": job.training.accumulate,
    }
    save(path, state.nets, header)
    note_hashes(job, run, path)


def note_hashes(job: Job, run: Run, path: Path) -> None:
    """Store the hashes of the job's weights, beside those of snapshots that others of its training asked for."""
    file = hash_file(run.store.out, job.train_key)
    found = hashes_of(run.store.out, [path, *snapshot_files(job, path).values()])
    write_atomic(file, hash_lines((read_hashes(file) or {}) | found))


def forget_hashes(job: Job, run: Run, files: Iterable[Path]) -> None:
    """Of files that are replaced now: whoever is killed meanwhile must not leave them beside the hashes of others."""
    file, gone = hash_file(run.store.out, job.train_key), names(run.store.out, files)
    left = {name: digest for name, digest in (read_hashes(file) or {}).items() if name not in gone}
    if left:
        write_atomic(file, hash_lines(left))
    else:
        file.unlink(missing_ok=True)


def names(out: Path, files: Iterable[Path]) -> set[str]:
    """Of the files, as hashes are noted of them."""
    return {file.relative_to(out).as_posix() for file in files}


def handed(method: Method, run: Run) -> dict[str, Path]:
    """The files that a method needs; WeightsError where one is not there."""
    places = {key: run.files[key].place for key in method.needs}
    for place in places.values():
        if place.path is None:
            raise WeightsError(f"method {method.name}: {place.reason}")
    return {key: place.path for key, place in places.items() if place.path}


def thinned(ticks: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """At most `MOST_TICKS` (images, seconds), neighbours taken together: a header must not grow with a training."""
    step = -(-len(ticks) // MOST_TICKS) or 1
    groups = [ticks[at : at + step] for at in range(0, len(ticks), step)]
    return [(group[-1][0], math.fsum(seconds for _, seconds in group)) for group in groups]


def seconds_at(ticks: Sequence[tuple[int, float]], kimg: Sequence[float]) -> list[float]:
    """Seconds of training at which each length was reached, in a straight line between ticks (images, seconds)."""
    images = [0, *(tick[0] for tick in ticks)]
    seconds = np.cumsum([0.0, *(tick[1] for tick in ticks)])
    return [float(s) for s in np.interp([k * 1000 for k in kimg], images, seconds)]
