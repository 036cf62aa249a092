"""NVIDIA's network pickles: records of modules -> tensors by name, and the settings that the modules recorded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from benchmark.checkpoints.inert import Record
from benchmark.checkpoints.tensors import LazyTensor
from benchmark.errors import WeightsError

MAX_DEPTH = 12
MAX_MODULES = 10_000

Settings = dict[tuple[str, str], Any]
"""{(module's path, attribute): number, text, truth value or None}."""


@dataclass
class Network:
    """One network as a file has it, under NVIDIA's names."""

    tensors: dict[str, Tensor] = field(default_factory=dict)
    settings: Settings = field(default_factory=dict)


class Reader:
    """Walks the records of one network; a file may have made them cyclic or huge."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.network = Network()
        self.modules = 0

    def read(self, module: Any, path: str = "", depth: int = 0) -> Network:
        """All parameters, persistent buffers and plain attributes below `module`."""
        self.modules += 1
        if depth > MAX_DEPTH or self.modules > MAX_MODULES:
            raise WeightsError(f"{self.where}: its modules contain each other or are too many; refused.")
        if not isinstance(module, Record):
            raise WeightsError(f"{self.where}: {path.rstrip('.') or 'a network'} is not a module.")
        passing = module.state.get("_non_persistent_buffers_set") or ()
        for kind in ("_parameters", "_buffers"):
            for name, value in items(module, kind):
                if isinstance(value, LazyTensor) and name not in passing:
                    self.network.tensors[path + name] = value.read()
        for name, value in items(module, ""):
            if value is None or isinstance(value, bool | int | float | str):
                self.network.settings[path.rstrip("."), name] = value
        for name, child in items(module, "_modules"):
            if child is not None:
                self.read(child, f"{path}{name}.", depth + 1)
        return self.network


def items(module: Record, kind: str) -> list[tuple[str, Any]]:
    """(name, value) of one of the module's dicts, or of its own attributes; nothing where it has none."""
    found = module.state.get(kind, {}) if kind else module.state
    if not isinstance(found, dict):
        return []
    return [(name, value) for name, value in found.items() if isinstance(name, str) and len(name) < 100]
