"""What a training leaves on its way: its log, the weight averages asked for, and states to resume from.

<out>/checkpoints/<train_key>.progress               the state of an interrupted training
<out>/checkpoints/<train_key>-rank1.progress         that of a further rank, where several train together
<out>/checkpoints/<train_key>-rank1.progress.next    one that counts only if all ranks have stored theirs
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from benchmark.api.reparametrise import baked
from benchmark.config import NetConfig, images_of
from benchmark.errors import WeightsError
from benchmark.results.hashes import CHANGED, MAX_HASHED, set_aside
from benchmark.running.plan import Job
from benchmark.stylegan2.weights import architecture_of, read_tensors, save_generator
from benchmark.system.folder import Folder
from benchmark.system.progress import Advance
from benchmark.system.signals import Stopped
from benchmark.training import dist
from benchmark.training.log import TrainingLog
from benchmark.training.state import OtherDevice, State, restore_state
from benchmark.training.together import next_of, save_together, stored

MISSING = "is missing"
SAVE = 1
"""What ranks tell each other where a state is due; a larger number is the signal that told one of them to end."""


class UnusableState(WeightsError):
    """A training state that is damaged or not of this training."""


class Repeated(Exception):
    """A finished training that is repeated has come as far as it is wanted."""


class Progress:
    """What this rank has to keep, and what it resumes from. Rank 0 writes the log (`log` None: nobody, or another rank
    does) and the weight averages; each rank its own state. `again`: those averages alone are wanted of a training that
    is finished; `on_step` raises Repeated when it has passed the last of them.
    """

    def __init__(
        self,
        job: Job,
        path: Path,
        again: dict[float, Path],
        log: TrainingLog | None,
        advance: Advance,
        told: Callable[[], int | None],
    ) -> None:
        self.cfg, self.key, self.log, self.advance, self.told = job.suite.train, job.train_key, log, advance, told
        self.path, _ = state_files(path, dist.rank())
        self.files, self.kept = again or snapshot_files(job, path), set[float]()
        self.end = max(map(images_of, again), default=math.inf)
        self.saved = time.monotonic()

    def restore(self, state: State) -> None:
        """Resume from the last state that all ranks have stored, if the weight averages of before are there too.

        UnusableState, on all ranks, where one of them cannot use its own; then `state` may be spoilt. OtherDevice where
        the states stay for another kind of device.
        """
        found, why = dict[int, Path](), ""
        try:
            found = stored(self.path)
        except WeightsError as error:
            why = str(error)
        if common := dist.in_all(found):
            try:
                self._resume(state, found[max(common)], max(common))
            except UnusableState as error:
                why = str(error)
        if dist.largest(int(bool(why))):
            raise UnusableState(why or "Another rank's training state cannot be used.")

    def _resume(self, state: State, path: Path, images: int) -> None:
        passed = {kimg for kimg in self.files if images_of(kimg) <= images}
        gone = [f"{kimg:g}" for kimg in sorted(passed) if fault(self.files[kimg], None, self.key, state.nets.cfg)]
        if gone:
            raise UnusableState(
                f"{path.name} is beyond {gone[0]} kimg, and the weights of that moment were not kept. (To go on from "
                f"it instead: stop, give it its name back, and leave {', '.join(gone)} out of train.snapshot_kimg.)"
            )
        try:
            restore_state(path, state, self.key)
        except OtherDevice:
            raise
        except WeightsError as error:
            raise UnusableState(str(error)) from error
        self.kept |= passed
        if self.log:
            self.log.extend(state.ticks)
        self.advance(state.images)

    def on_tick(self, state: State) -> None:
        """A line of the log."""
        if self.log:
            self.log.extend(state.ticks[-1:])

    def on_step(self, state: State) -> None:
        """Save what is due; Stopped if this process, or that of another rank, was told to end. Repeated at `end`."""
        # before the state: a training that resumes from it does not pass here again
        for kimg, file in self.files.items() if dist.rank() == 0 else ():
            if kimg not in self.kept and images_of(kimg) <= state.images:
                save_generator(file, baked(state.nets.g_ema), {"train_key": self.key, "kimg": state.images / 1000})
                self.kept.add(kimg)
        self.advance(self.cfg.batch)
        due = dist.rank() == 0 and time.monotonic() - self.saved >= self.cfg.checkpoint_minutes * 60
        told = dist.largest(self.told() or (SAVE if due else 0))
        if told:
            save_together(self.path, state, self.key)
            self.saved = time.monotonic()
        if told > SAVE:
            raise Stopped(told)
        if state.images >= self.end:
            raise Repeated


def weights_path(out: Path, train_key: str, kimg: float | None = None) -> Path:
    """Where a training leaves its networks; with `kimg` its weight average at that length."""
    name = train_key if kimg is None else f"{train_key}-{kimg:g}kimg"
    return out / "checkpoints" / f"{name}.safetensors"


def state_files(path: Path, rank: int) -> tuple[Path, Path]:
    """Where a rank's state lies, and the next one until all ranks have theirs; `path` is that of the weights."""
    state = path.with_name(f"{path.stem}{f'-rank{rank}' if rank else ''}.progress")
    return state, next_of(state)


def remove_states(path: Path, ranks: int) -> None:
    """Remove the states of a training that is finished."""
    for file in (file for rank in range(ranks) for file in state_files(path, rank)):
        with suppress(OSError):
            file.unlink(missing_ok=True)


def set_states_aside(path: Path, rank: int) -> list[str]:
    """Give a rank's states other names; those names."""
    return [set_aside(file) for file in state_files(path, rank) if os.path.lexists(file)]


def snapshot_files(job: Job, path: Path) -> dict[float, Path]:
    """Where the weights at train.snapshot_kimg lie, for all lengths below that of the training."""
    cfg = job.suite.train
    lengths = sorted(kimg for kimg in set(cfg.snapshot_kimg) if kimg < cfg.kimg)
    return {kimg: weights_path(path.parents[1], job.train_key, kimg) for kimg in lengths}


def fault(file: Path, sha256: str | None, train_key: str, cfg: NetConfig) -> str | None:
    """Why a file of weights cannot be used, None where it can. The hash that was noted and its own digest are tried.

    `cfg` is the architecture of the source, to which a method may have added a miner.
    """
    if file.is_symlink() or not file.is_file():
        return MISSING
    try:
        if sha256 is not None and Folder(file.parent).sha256(file.name, MAX_HASHED) != sha256:
            return CHANGED
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    try:
        _, header = read_tensors(file)
        found = architecture_of(file).model_copy(update={"miner_layers": cfg.miner_layers})
        if header.get("train_key") != train_key or found != cfg:
            return "belongs to something else"
    except WeightsError as error:
        return f"cannot be used ({error})"
    return None
