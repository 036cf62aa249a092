"""Lifetimes of processes: none outlives the process that started it, and what a job started ends with the job."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import threading
from collections.abc import Collection
from multiprocessing import parent_process
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess

import psutil

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
"""Options of Linux's prctl."""


def die_with_parent(parent: int, number: int = signal.SIGKILL) -> None:
    """Get a signal as soon as the process `parent`, which started this one, is dead. Linux only; elsewhere nothing."""
    if _prctl(PR_SET_PDEATHSIG, number) and os.getppid() != parent:
        os._exit(1)  # it was over before it was asked for


def outlive_parent() -> None:
    """Take `die_with_parent` back: this process has something to tidy up then."""
    _prctl(PR_SET_PDEATHSIG, 0)


def adopt_orphans() -> bool:
    """Become the parent of whatever descendants leave behind, so that it can be found. Linux only: whether it is so."""
    return _prctl(PR_SET_CHILD_SUBREAPER, 1)


def follow_parent() -> None:
    """End this process of `multiprocessing` with its parent, however that ends: a thread waits for it."""
    parent = parent_process()
    assert parent is not None

    def watch(sentinel: int) -> None:
        wait([sentinel])
        os._exit(1)

    threading.Thread(target=watch, args=(parent.sentinel,), daemon=True).start()


def signal_group(leader: int, number: int) -> None:
    """Send a signal to a process and to all in its group; nothing where there are none."""
    with contextlib.suppress(OSError):
        os.killpg(leader, number)


def has_ended(child: BaseProcess) -> bool:
    """Whether a child is over. Where the system allows it is not reaped, so that its number stays its own."""
    if not hasattr(os, "waitid"):
        return child.exitcode is not None
    try:
        return os.waitid(os.P_PID, child.pid or 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def end_orphans(spare: Collection[int] = ()) -> None:
    """Kill all that `adopt_orphans` brought here, with their descendants, but for the children in `spare`."""
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process().children():
            if child.pid not in spare:
                with contextlib.suppress(psutil.Error):
                    for one in (*child.children(recursive=True), child):
                        one.kill()
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(child.pid, 0)


def _prctl(option: int, value: int) -> bool:
    """Whether the system knows the option and did it."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        return int(ctypes.CDLL(None).prctl(option, value, 0, 0, 0)) == 0
    except (OSError, AttributeError):
        return False
