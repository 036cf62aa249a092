"""Classes of foreign code that a pickle names: kept as names, so that entries without weights can be left out."""

from __future__ import annotations

import re
import sys
from typing import Any


class Stateful:
    """Inert data that takes a state after it was made."""

    def set_state(self, state: Any) -> None:
        """Take the state over; TypeError or ValueError where it does not fit."""
        raise TypeError("no state expected")


class Foreign(Stateful):
    """A class of other code, or what a file makes of it: its name alone. Arguments, state and items are dropped."""

    def __init__(self, name: str) -> None:
        self.name = name[:120]

    @property
    def is_class(self) -> bool:
        """By its name; a function's is never called."""
        return self.name in DATA or self.name.rpartition(".")[2][:1].isupper()

    def instance(self, *_: Any) -> Foreign:
        """An object of the class."""
        return Foreign(self.name)

    def set_state(self, state: Any) -> None:
        """Nothing of it is kept."""


DATA = frozenset(
    {
        *(f"collections.{name}" for name in ("defaultdict", "Counter", "deque")),
        *(f"datetime.{name}" for name in ("date", "datetime", "time", "timedelta", "timezone")),
        *(f"pathlib.{name}" for name in ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")),
        *("decimal.Decimal", "fractions.Fraction", "uuid.UUID", "types.SimpleNamespace"),
        *(f"builtins.{name}" for name in ("complex", "range", "slice", "bytearray", "frozenset")),
        *(f"builtins.{name}" for name in ("int", "float", "str", "bool", "list", "dict")),
        *(f"__builtin__.{name}" for name in ("complex", "xrange", "slice", "bytearray", "frozenset")),
        *(f"__builtin__.{name}" for name in ("int", "long", "float", "unicode", "str", "bool", "list", "dict")),
        *(f"torch.{name}" for name in ("float64", "float32", "float16", "bfloat16", "int64", "int32", "uint8", "bool")),
    }
)
"""Classes of Python and PyTorch that options and schedulers hold, and that are data alone: left out as others are."""

FUNCTIONS = ("torch.nn.functional", "torch._C._nn")
"""Modules whose functions layers have for attributes; they may be named, not called."""


MAX_NAME = 1_000
"""Letters of a module and a name; a file may have made them of any length, and of millions of parts."""


def is_foreign(module: str, name: str) -> bool:
    """Whether this names an ordinary class of other code, by its spelling. Of what comes with Python only `DATA` is."""
    if len(module) + len(name) > MAX_NAME:
        return False
    if f"{module}.{name}" in DATA:
        return True
    parts = [*module.split("."), name]
    if parts[0] in sys.stdlib_module_names or not all(re.fullmatch(r"[A-Za-z_]\w{0,60}", part) for part in parts):
        return False
    return name[0].isupper() or (module in FUNCTIONS and not name.startswith("_"))
