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
        return self.name.rpartition(".")[2][:1].isupper()

    def instance(self, *_: Any) -> Foreign:
        """An object of the class."""
        return Foreign(self.name)

    def set_state(self, state: Any) -> None:
        """Nothing of it is kept."""


FUNCTIONS = ("torch.nn.functional", "torch._C._nn")
"""Modules whose functions layers have for attributes; they may be named, not called."""


def is_foreign(module: str, name: str) -> bool:
    """Whether this names an ordinary class of other code, by its spelling. What comes with Python never does."""
    parts = [*module.split("."), name]
    if parts[0] in sys.stdlib_module_names or not all(re.fullmatch(r"[A-Za-z_]\w{0,60}", part) for part in parts):
        return False
    return name[0].isupper() or (module in FUNCTIONS and not name.startswith("_"))
