"""NVIDIA's network pickles: records of modules -> tensors by name, and the settings that the modules recorded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from benchmark.checkpoints.damage import shown
from benchmark.checkpoints.foreign import Foreign
from benchmark.checkpoints.inert import Record
from benchmark.checkpoints.tensors import LazyTensor, read_all
from benchmark.errors import WeightsError

KINDS = ("_parameters", "_buffers", "_modules")
MAX_DEPTH = 12
MAX_MODULES = 1_000
MAX_ENTRIES = 50_000
"""Parameters, buffers and attributes of one network; that of 1024 px has about 4,000."""
MAX_NAME = 100
MAX_INTEGER = 2**63

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
        self.tensors: dict[str, LazyTensor] = {}
        self.settings: Settings = {}
        self.modules = self.entries = 0

    def read(self, module: Any) -> Network:
        """All parameters, persistent buffers and plain attributes of a network."""
        self.walk(module, "", 0)
        return Network(read_all(self.tensors, self.where), self.settings)

    def walk(self, module: Any, path: str, depth: int) -> None:
        """Find them below `module`; the same module may be there any number of times."""
        if isinstance(module, Foreign):
            raise WeightsError(
                f"{self.where}: {shown(path.rstrip('.')) or 'a network'} is a {module.name}, a class of other code: no "
                "network of a plain StyleGAN2. Nothing in it was run."
            )
        if not isinstance(module, Record):
            raise WeightsError(f"{self.where}: {shown(path.rstrip('.')) or 'a network'} is not a module.")
        self.modules += 1
        self.entries += sum(len(module.state.get(kind) or ()) for kind in KINDS) + len(module.state)
        if depth > MAX_DEPTH or self.modules > MAX_MODULES or self.entries > MAX_ENTRIES:
            raise WeightsError(f"{self.where}: its modules contain each other or are too many; refused.")
        passing = module.state.get("_non_persistent_buffers_set") or set()
        if not isinstance(passing, set):
            raise WeightsError(f"{self.where}: {shown(path.rstrip('.')) or 'a network'} has strange buffers.")
        for kind in ("_parameters", "_buffers"):
            for name, value in items(module, kind):
                if isinstance(value, Foreign):
                    raise WeightsError(f"{self.where}: {shown(path + name)} is a {value.name} and no tensor; refused.")
                if isinstance(value, LazyTensor) and name not in passing:
                    if path + name in self.tensors:
                        raise WeightsError(f"{self.where} has {shown(path + name)} twice; which one counts?")
                    self.tensors[path + name] = value
        for name, value in items(module, ""):
            if isinstance(value, int) and abs(value) > MAX_INTEGER:
                raise WeightsError(f"{self.where}: {shown(path + name)} is an absurdly large number; refused.")
            if value is None or isinstance(value, bool | int | float | str):
                self.settings[path.rstrip("."), name] = value
        for name, child in items(module, "_modules"):
            if child is not None:
                self.walk(child, f"{path}{name}.", depth + 1)


def items(module: Record, kind: str) -> list[tuple[str, Any]]:
    """(name, value) of one of the module's dicts, or of its own attributes; nothing where it has none."""
    found = (module.state.get(kind) or {}) if kind else module.state
    if not isinstance(found, dict):
        raise WeightsError(f"a module has {kind.strip('_')} that are no dict; refused.")
    names = [shown(name) for name in found if not isinstance(name, str) or not 0 < len(name) < MAX_NAME]
    if names and kind:  # the strict loader could not report them
        raise WeightsError(f"a module has {names[0]} among its {kind.strip('_')}; refused: that is no name.")
    return [(name, value) for name, value in found.items() if isinstance(name, str)]
