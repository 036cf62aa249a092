"""The state of a training: its log and its file, so that the same command resumes it."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmark.api.extra import Extra, load_extra
from benchmark.api.optimiser import Adam
from benchmark.config import TrainConfig, images_of
from benchmark.errors import MethodError, WeightsError
from benchmark.stylegan2 import Nets
from benchmark.stylegan2.ada import Ada
from benchmark.stylegan2.weights import not_finite, read_tensors, write_tensors
from benchmark.system.random_streams import Streams
from benchmark.training import dist

OF_D = "d/"
"""Before the name of a method's loss of D, where it has one of G by that name, too."""
CUDA_STATE = 16
"""Bytes of the state of a random generator of CUDA; that of a CPU has thousands."""


class OtherDevice(WeightsError):
    """A training state of another kind of device, on which the training could go on."""


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
    """All that a training consists of at a moment; `save_state` stores it, `restore_state` brings it back."""

    nets: Nets
    opt_g: Adam
    opt_d: Adam
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
        done = self.state.images >= images_of(self.cfg.kimg)
        return done or self.state.images - self.state.interval.images >= images_of(self.cfg.tick_kimg)

    def close(self) -> None:
        """Turn the interval into a Tick; a loss or weight that is not finite ends the training."""
        terms = dist.means({name: torch.stack(values).float() for name, values in self.state.interval.terms.items()})
        plain = {name: name.removeprefix(OF_D) for name in terms}
        means = {name if plain[name] in terms else plain[name]: value for name, value in terms.items()}
        bad = [f"{name} = {value}" for name, value in means.items() if not np.isfinite(value)]
        nets, extra = self.state.nets, self.state.extra
        parts = {"generator": nets.g, "generator's average": nets.g_ema, "discriminator": nets.d, "method's own": extra}
        bad += [f"{what} weights not finite: {name}" for what, net in parts.items() if (name := not_finite(net))]
        optimisers = {"generator": self.state.opt_g, "discriminator": self.state.opt_d}
        for what, optimiser in optimisers.items():  # a weight whose second moment is infinite never moves again
            if not all(t.isfinite().all() for t in _moments(optimiser, what).values()):
                bad.append(f"{what}: moments of Adam not finite, gradients were too large")
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


def _moments(optimiser: Adam, prefix: str) -> dict[str, Tensor]:
    entries = optimiser.state_dict().items()
    return {f"{prefix}.{i}.{name}": value for i, entry in entries for name, value in entry.items()}


def _load_moments(optimiser: Adam, tensors: dict[str, Tensor], prefix: str) -> None:
    entries: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        head, *rest = key.split(".")
        if head == prefix:
            entries.setdefault(int(rest[0]), {})[rest[1]] = value
    optimiser.load_state_dict(entries)


def save_state(path: Path, state: State, key: str) -> None:
    """Write everything that `train` needs to resume; `key` names the run that it belongs to."""
    tensors = {f"nets.{k}": t for k, t in state.nets.state_dict().items()}
    tensors |= {f"extra.{k}": t for k, t in state.extra.state_dict().items()}
    tensors |= _moments(state.opt_g, "opt_g") | _moments(state.opt_d, "opt_d")
    tensors |= {f"streams.{k}": t for k, t in state.streams.state_dict().items()}
    tensors |= {f"interval.{k}": torch.stack(values) for k, values in state.interval.terms.items()}
    tensors["pl_mean"] = state.pl_mean
    ticks = json.dumps([asdict(t) for t in state.ticks])  # no part of the header, whose size is limited
    tensors["ticks"] = torch.frombuffer(bytearray(ticks, "ascii"), dtype=torch.uint8)
    meta = {
        "key": key,
        "device": state.streams.device,
        "images": state.images,
        "step": state.step,
        "seconds": state.seconds,
        "ada": state.ada.state_dict(),
        "interval": {"images": state.interval.images, "seconds": state.interval.elapsed()},
    }
    write_tensors(path, tensors, meta)


def restore_state(path: Path, state: State, key: str) -> bool:
    """Put a stored state back; False where there is none.

    WeightsError where the file is damaged, belongs to another run or is no such state; `state` may be spoilt then.
    OtherDevice where it could only go on on another kind of device.
    """
    if not path.is_file():
        return False
    tensors, meta = read_tensors(path)
    if meta.get("key") != key:
        raise WeightsError(
            f"{path} belongs to another training (other settings or data). Move it away or choose another folder."
        )
    try:
        _require_device(path, tensors, meta, state.streams.device)
        _restore(state, tensors, meta, f"training state {path}")
    except WeightsError:
        raise
    except Exception as error:  # what is not as `save_state` writes it can fail anywhere
        raise WeightsError(f"{path} is no training state: {type(error).__name__}: {error}") from error
    return True


def _require_device(path: Path, tensors: dict[str, Tensor], meta: dict[str, Any], here: str) -> None:
    """OtherDevice where this kind of device cannot continue the random streams. Earlier versions did not store it."""
    there = meta.get("device") or ("cuda" if tensors["streams.noise"].numel() == CUDA_STATE else "cpu")
    if there != here:
        raise OtherDevice(
            f"{path} was left by a training on {there}, whose random numbers {here} cannot continue. Run the same "
            f"command where there is such a device (--device {there}), or remove the file to begin again on {here}."
        )


def _restore(state: State, tensors: dict[str, Tensor], meta: dict[str, Any], where: str) -> None:
    def part(prefix: str) -> dict[str, Tensor]:
        return {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}

    state.nets.load_state_dict(part("nets."), where=where)
    load_extra(state.extra, part("extra."), where=where)
    _load_moments(state.opt_g, tensors, "opt_g")
    _load_moments(state.opt_d, tensors, "opt_d")
    state.streams.load_state_dict(part("streams."))
    state.pl_mean.copy_(tensors["pl_mean"])
    state.images, state.step, state.seconds = int(meta["images"]), int(meta["step"]), float(meta["seconds"])
    state.ada.load_state_dict(meta["ada"])
    # those of earlier versions are in the header
    ticks = json.loads(tensors["ticks"].numpy().tobytes()) if "ticks" in tensors else meta["ticks"]
    state.ticks[:] = [Tick(**t) for t in ticks]
    terms = {name: [*values.to(state.pl_mean.device)] for name, values in part("interval.").items()}
    begun = meta.get("interval", {"images": state.images})  # states of earlier versions end with a tick
    state.interval = Interval(**begun, terms=terms)
