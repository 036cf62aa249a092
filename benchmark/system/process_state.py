"""The state of a process that all of its jobs share: working folder, environment, PyTorch's settings and functions."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

MODULES = ("torch", "torch.nn", "torch.nn.functional", "torch.linalg", "torch.fft", "torch.autograd", "math", "random")
HEARD = (signal.SIGINT, signal.SIGTERM)
"""Signals that end a command."""
OWN = "benchmark."
"""Functions of modules whose names begin so are watched too."""

SETTINGS: dict[str, tuple[Callable[[], Any], Callable[[Any], object]]] = {
    "torch.set_default_dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "torch.set_num_threads": (torch.get_num_threads, torch.set_num_threads),
    "torch.set_grad_enabled": (torch.is_grad_enabled, torch.set_grad_enabled),
    "torch.use_deterministic_algorithms": (
        torch.are_deterministic_algorithms_enabled,
        torch.use_deterministic_algorithms,
    ),
    "torch.set_float32_matmul_precision": (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    "torch.set_flush_denormal": (lambda: _flushes(), torch.set_flush_denormal),
    "torch.set_default_device": (
        torch.get_default_device,
        lambda device: torch.set_default_device(None if device.type == "cpu" else device),
    ),
    "torch.set_autocast_enabled": (
        lambda: torch.is_autocast_enabled("cpu"),
        lambda enabled: torch.set_autocast_enabled("cpu", enabled),
    ),
    "os.umask": (lambda: _umask(), lambda mask: os.umask(mask)),
    "signal.signal": (lambda: {n: signal.getsignal(n) for n in HEARD}, lambda known: _listen(known)),
    "numpy.seterr": (np.geterr, lambda modes: np.seterr(**modes)),
}
"""What can be read and put back, under the name of what changes it."""


class ProcessState:
    """What a process was when this was made: `changed` names what differs since, `restore` puts it back."""

    def __init__(self) -> None:
        self.folder = os.getcwd()
        self.variables = dict(os.environ)
        self.settings = {name: read() for name, (read, _) in SETTINGS.items()}
        self.functions = [(shelf, _functions(shelf)) for shelf in _shelves()]

    def changed(self) -> list[str]:
        """Names of what is no longer as it was."""
        found = ["os.chdir"] if _folder() != self.folder else []
        found += ["os.environ"] if self._other_variables() else []
        found += [name for name, (read, _) in SETTINGS.items() if read() != self.settings[name]]
        return found + [f"{shelf.__name__}.{name}" for shelf, name, _ in self._replaced()]

    def restore(self) -> list[str]:
        """Put everything back; the names of what had changed."""
        found = self.changed()
        for shelf, name, function in self._replaced():
            setattr(shelf, name, function)
        os.environ.update(self._other_variables())
        if _folder() != self.folder:
            os.chdir(self.folder)
        for name, (read, put) in SETTINGS.items():
            if read() != self.settings[name]:
                put(self.settings[name])
        return found

    def _other_variables(self) -> dict[str, str]:
        """Variables that are gone or others now; PyTorch itself sets new ones when parts of it are first used."""
        return {name: value for name, value in self.variables.items() if os.environ.get(name) != value}

    def _replaced(self) -> list[tuple[ModuleType | type, str, Any]]:
        """Functions that are others now; new names are none of them."""
        missing = object()
        return [
            (shelf, name, function)
            for shelf, functions in self.functions
            for name, function in functions.items()
            if (now := vars(shelf).get(name, missing)) is not function and not _wrapped_by_torch(now, function)
        ]


def _wrapped_by_torch(now: Any, function: Any) -> bool:
    """Whether PyTorch put a wrapper around a function of its own, as it does when its compiler is first imported."""
    file = getattr(getattr(now, "__code__", None), "co_filename", "")
    return getattr(now, "__wrapped__", None) is function and Path(file).is_relative_to(Path(torch.__file__).parent)


def _shelves() -> list[ModuleType | type]:
    modules = [m for name, m in list(sys.modules.items()) if m and (name in MODULES or name.startswith(OWN))]
    return [*modules, torch.Tensor, torch.nn.Module]


def _functions(shelf: ModuleType | type) -> dict[str, Any]:
    return {name: value for name, value in vars(shelf).items() if callable(value)}


def _flushes() -> bool:
    """Whether numbers too small for all bits of their fraction are zero."""
    return bool(torch.tensor(1e-40, dtype=torch.float32, device="cpu") == 0)


def _umask() -> int:
    mask = os.umask(0o077)  # it can only be read by setting it
    os.umask(mask)
    return mask


def _listen(known: dict[signal.Signals, Any]) -> None:
    """Put the handlers of signals back; only a main thread can, and only a main thread could change them."""
    if threading.current_thread() is threading.main_thread():
        for number, handler in known.items():
            signal.signal(number, handler)


def _folder() -> str | None:
    try:
        return os.getcwd()
    except FileNotFoundError:  # it was removed
        return None
