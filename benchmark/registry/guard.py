"""Guarded imports of foreign modules, which may not end the process, run for ever, or replace what all methods use.

This protects from mistakes only: a plug-in is code, runs with the user's rights and could get round it.
"""

from __future__ import annotations

import importlib
import inspect
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TypeVar

import torch

from benchmark.errors import MethodError
from benchmark.system.process_state import SETTINGS

T = TypeVar("T")
PATIENCE = 60.0
"""Seconds that an import may take; large packages on slow disks take about ten."""
SHARED: tuple[Any, ...] = (torch, torch.nn, torch.nn.functional, torch.nn.init, torch.optim, torch.Tensor)
"""Whose names the networks, the loop and other methods use."""
OURS = {Path(__file__).parent, Path(importlib.__file__).parent}
"""Folders of the code that imports; in a traceback, what follows it is foreign."""


class _Ended(BaseException):
    """The import was ended from here; no code that expects exceptions catches it by mistake."""


def imported(load: Callable[[], T]) -> T:
    """What `load` imports; MethodError with the reason, whatever goes wrong in it."""
    try:
        with ExitStack() as fences:
            for fence in (_no_exit, _no_endless_loop, _nothing_replaced):
                fences.enter_context(fence())
            return load()
    except (MethodError, KeyboardInterrupt):
        raise
    except BaseException as error:  # such as GeneratorExit: a module can raise anything
        raise MethodError(f"cannot be imported ({reason(error)}).") from error


def reason(error: BaseException) -> str:
    """What ended the import of a foreign module, on one line, and where in it."""
    text, kind = " ".join(str(error).split()), type(error).__name__
    said = text if isinstance(error, _Ended) else f"{kind}: {text}" if text else kind
    place = None if isinstance(error, SyntaxError) else _place(error)  # one of those names its own place
    return f"{said} ({place})" if place else said


def _place(error: BaseException) -> str | None:
    """The last line of the foreign module, or of the package that it begins, that led to the error."""
    frames = [(Path(frame.f_code.co_filename), line) for frame, line in traceback.walk_tb(error.__traceback__)]
    foreign = [(file, line) for file, line in frames if not OURS.intersection(file.parents) and file.is_file()]
    if not foreign:
        return None
    first = foreign[0][0]
    package = first.parent if first.name == "__init__.py" else None
    file, line = next(at for at in reversed(foreign) if at[0] == first or package in at[0].parents)
    return f"{file.name}, line {line}"


@contextmanager
def _no_exit() -> Iterator[None]:
    """`os._exit` would end the command as if it had succeeded."""
    leave, owner = os._exit, os.getpid()

    def refuse(status: int) -> NoReturn:
        if os.getpid() != owner:  # a process that it started ends as usual
            leave(status)
        raise _Ended(f"it ends the process by os._exit({status})")

    os._exit = refuse
    try:
        yield
    finally:
        os._exit = leave


@contextmanager
def _no_endless_loop() -> Iterator[None]:
    """Only a main thread can be interrupted."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise _Ended(f"its import takes more than {PATIENCE:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def _nothing_replaced() -> Iterator[None]:
    """What was replaced is put back and the plug-in refused: all methods would get other numbers under their keys."""
    names, state = [_names(owner) for owner in SHARED], _state()
    try:
        yield
    finally:
        changed = []
        for owner, before in zip(SHARED, names, strict=True):
            for name, value in _names(owner).items():
                if before.get(name, value) is not value:
                    setattr(owner, name, before[name])
                    changed.append(f"{owner.__name__}.{name}")
        changed += [what for what, value in _state().items() if value != state[what]]
        for what, (_, put) in SETTINGS.items():
            if what in changed:
                put(state[what])
        os.chdir(state["the current folder"])
        if changed:
            raise MethodError(f"changes {', '.join(changed[:3])} while it is imported: all methods would get that.")


def _names(owner: Any) -> Mapping[str, Any]:
    """Public names and operators; what begins with one underscore, torch fills in when it needs it."""
    own = (name for name in dir(owner) if not name.startswith("_") or name.startswith("__"))
    return {name: inspect.getattr_static(owner, name, None) for name in own}


def _state() -> dict[str, Any]:
    return {"the current folder": Path.cwd(), **{name: read() for name, (read, _) in SETTINGS.items()}}
