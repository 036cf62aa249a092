"""What several processes of a training must have in common: what a method makes, and the step that they resume from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmark.api import Method, Turn
from benchmark.config import TrainConfig
from benchmark.stylegan2.weights import read_header
from benchmark.training import dist
from benchmark.training.kernels import kernels
from benchmark.training.state import State, save_state


def tensors_of(*networks: nn.Module) -> list[Tensor]:
    """All parameters and buffers, in one order on all processes."""
    return [t for net in networks for t in (*net.parameters(), *net.buffers())]


def after_step(method: Method, turn: Turn, cfg: TrainConfig) -> None:
    """The method's `after_step`. What it changed, all processes take from rank 0: each has drawn from its own stream.

    Other buffers, such as the mean of W, stay each process's own.
    """
    networks = (turn.nets.g, turn.nets.g_ema, turn.nets.d, turn.extra)
    before = [(t, t._version) for t in tensors_of(*networks)] if dist.world() > 1 else []
    with kernels(cfg):
        method.after_step(turn)
    if dist.world() > 1:
        share_changed(before, tensors_of(*networks))


def share_changed(before: Sequence[tuple[Tensor, int]], after: Sequence[Tensor]) -> None:
    """Take from rank 0 those tensors that were written to, or replaced, on any process."""
    known = {id(t): version for t, version in before}
    written = torch.tensor([known.get(id(t)) != t._version for t in after])
    dist.share_([t for t, somewhere in zip(after, dist.anywhere(written), strict=True) if somewhere])


def next_of(path: Path) -> Path:
    """The state that counts only once all processes have stored theirs."""
    return path.with_name(f"{path.name}.next")


def save_together(path: Path, state: State, key: str) -> None:
    """Store this process's state in `path`. With several it replaces the one before once all have stored theirs."""
    if dist.world() == 1:
        save_state(path, state, key)
        return
    save_state(next_of(path), state, key)
    dist.largest(0)  # all are here
    next_of(path).replace(path)


def stored(path: Path) -> dict[int, Path]:
    """This process's states, {images that it has seen: file}; WeightsError for a damaged one."""
    found = {}
    for file in (path, next_of(path)):
        if file.is_file() and not file.is_symlink():
            images = read_header(file).get("images")
            found[images if isinstance(images, int) else 0] = file
    return found
