"""A training in progress on disk, so that the same command goes on where it stopped: weights, moments, streams."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from benchmark.errors import WeightsError
from benchmark.extra import load_extra
from benchmark.stylegan2.weights import read_tensors, write_tensors
from benchmark.training_state import Interval, State, Tick


def _moments(optimiser: torch.optim.Adam, prefix: str) -> dict[str, Tensor]:
    return {
        f"{prefix}.{i}.{name}": torch.as_tensor(value)
        for i, entry in optimiser.state_dict()["state"].items()
        for name, value in entry.items()
    }


def _load_moments(optimiser: torch.optim.Adam, tensors: dict[str, Tensor], prefix: str) -> None:
    entries: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        head, *rest = key.split(".")
        if head == prefix:
            entries.setdefault(int(rest[0]), {})[rest[1]] = value
    optimiser.load_state_dict({"state": entries, "param_groups": optimiser.state_dict()["param_groups"]})
    # Fused Adam walks through memory side by side: moments must lie in it as their parameter does (channels_last).
    for parameter, entry in optimiser.state.items():
        for name in ("exp_avg", "exp_avg_sq"):
            entry[name] = torch.empty_like(parameter).copy_(entry[name])


def save_state(path: Path, state: State, key: str) -> None:
    """Write everything that `train` needs to go on; `key` names the run that it belongs to."""
    tensors = {f"nets.{k}": t for k, t in state.nets.state_dict().items()}
    tensors |= {f"extra.{k}": t for k, t in state.extra.state_dict().items()}
    tensors |= _moments(state.opt_g, "opt_g") | _moments(state.opt_d, "opt_d")
    tensors |= {f"streams.{k}": t for k, t in state.streams.state_dict().items()}
    tensors |= {f"interval.{k}": torch.stack(values) for k, values in state.interval.terms.items()}
    tensors["pl_mean"] = state.pl_mean
    meta = {
        "key": key,
        "images": state.images,
        "step": state.step,
        "seconds": state.seconds,
        "ada": state.ada.state_dict(),
        "ticks": [asdict(t) for t in state.ticks],
        "interval": {"images": state.interval.images, "seconds": state.interval.elapsed()},
    }
    write_tensors(path, tensors, meta)


def restore_state(path: Path, state: State, key: str) -> bool:
    """Put a stored state back; False where there is none. WeightsError where the file belongs to another run."""
    if not path.is_file():
        return False
    tensors, meta = read_tensors(path)
    if meta.get("key") != key:
        raise WeightsError(
            f"{path} belongs to another training (other settings or data). Move it away or choose another folder."
        )

    def part(prefix: str) -> dict[str, Tensor]:
        return {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}

    state.nets.load_state_dict(part("nets."), where=f"training state {path}")
    load_extra(state.extra, part("extra."), where=f"training state {path}")
    _load_moments(state.opt_g, tensors, "opt_g")
    _load_moments(state.opt_d, tensors, "opt_d")
    state.streams.load_state_dict(part("streams."))
    state.pl_mean.copy_(tensors["pl_mean"])
    state.images, state.step, state.seconds = meta["images"], meta["step"], meta["seconds"]  # type: ignore[assignment]
    state.ada.load_state_dict(meta["ada"])  # type: ignore[arg-type]
    state.ticks[:] = [Tick(**t) for t in meta["ticks"]]  # type: ignore[attr-defined]
    terms = {name: [*values.to(state.pl_mean.device)] for name, values in part("interval.").items()}
    begun = meta.get("interval", {"images": state.images})  # states of earlier versions end with a tick
    state.interval = Interval(**begun, terms=terms)  # type: ignore[arg-type]
    return True
