"""Waiting for what has to come: for the condition itself, with a limit that only what never comes reaches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil

PATIENCE = 600
"""Seconds that a command or its end may take on a slow machine that does other things."""


def comes(true: Callable[[], object], seconds: float = PATIENCE) -> bool:
    """Wait until `true`; False where that does not come."""
    until = time.monotonic() + seconds
    while not true():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def ended(process: psutil.Process) -> bool:
    """Whether it is over; of a zombie only the number is left, until its parent looks."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def all_end(processes: Iterable[psutil.Process], seconds: float = PATIENCE) -> bool:
    """Wait for the end of all; False where one goes on."""
    waited_for = list(processes)
    return comes(lambda: all(ended(one) for one in waited_for), seconds)


def working_in(folder: Path) -> list[psutil.Process]:
    """The processes whose working folder it is: those of one test, whatever else the machine does."""
    found = psutil.process_iter(["cwd"])
    return [one for one in found if one.info["cwd"] == str(folder.resolve()) and not ended(one)]
