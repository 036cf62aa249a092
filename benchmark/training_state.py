"""What a training consists of at a moment, and its log."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from benchmark.config import TrainConfig
from benchmark.errors import MethodError
from benchmark.extra import Extra
from benchmark.streams import Streams
from benchmark.stylegan2 import Nets
from benchmark.stylegan2.augment import Ada


@dataclass(frozen=True)
class Tick:
    """One interval of the log."""

    images: int
    seconds: float
    """Wall time of the interval."""
    seconds_per_kimg: float
    losses: dict[str, float]
    """Mean of each named loss over the interval."""
    ada_p: float


@dataclass
class Interval:
    """What was logged since the last tick."""

    images: int = 0
    """Of the training when it began."""
    seconds: float = 0.0
    """Spent in it by processes that were interrupted."""
    terms: dict[str, list[Tensor]] = field(default_factory=dict)
    begun: float = field(default_factory=time.perf_counter)

    def elapsed(self) -> float:
        """Seconds of training in it until now."""
        return self.seconds + time.perf_counter() - self.begun


@dataclass
class State:
    """All that a training consists of at a moment; `state_file.py` stores and restores it."""

    nets: Nets
    opt_g: torch.optim.Adam
    opt_d: torch.optim.Adam
    streams: Streams
    ada: Ada
    pl_mean: Tensor
    images: int = 0
    step: int = 0
    seconds: float = 0.0
    ticks: list[Tick] = field(default_factory=list)
    extra: Extra = field(default_factory=Extra)
    interval: Interval = field(default_factory=Interval)


class Log:
    """Running means of named losses; a tick every `tick_kimg`."""

    def __init__(self, state: State, cfg: TrainConfig) -> None:
        self.state, self.cfg = state, cfg
        state.interval.begun = time.perf_counter()

    def add(self, terms: dict[str, Tensor]) -> None:
        for name, value in terms.items():
            self.state.interval.terms.setdefault(name, []).append(value.detach())

    def due(self) -> bool:
        done = self.state.images >= self.cfg.kimg * 1000
        return done or self.state.images - self.state.interval.images >= self.cfg.tick_kimg * 1000

    def close(self) -> None:
        """Turn the interval into a Tick; a loss or weight that is not finite ends the training."""
        means = {name: torch.stack(values).float().mean().item() for name, values in self.state.interval.terms.items()}
        bad = [f"{name} = {value}" for name, value in means.items() if not np.isfinite(value)]
        nets, extra = self.state.nets, self.state.extra
        for name, net in (("generator", nets.g), ("discriminator", nets.d), ("method's own", extra)):
            if not all(p.isfinite().all() for p in net.parameters()):
                bad.append(f"{name} weights not finite")
        if bad:
            raise MethodError(
                f"training diverged before {self.state.images} images: {', '.join(bad)}. "
                "Lower the learning rate, raise r1_gamma or use precision=fp32."
            )
        seconds = self.state.interval.elapsed()
        kimg = (self.state.images - self.state.interval.images) / 1000
        self.state.seconds += seconds
        self.state.ticks.append(Tick(self.state.images, seconds, seconds / kimg, means, float(self.state.ada.p)))
        self.state.interval = Interval(self.state.images)
