"""Handling of stop signals: immediately where nothing is lost, otherwise after the current training step."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
PATIENCE = 20
"""Seconds that a step may take after the signal. Whoever pre-empts a machine kills after 30, and saving takes time."""
ECHO = {signal.SIGINT: 0.0, signal.SIGTERM: float(PATIENCE)}
"""Seconds after a signal in which the same one is no second: Slurm tells each process of a step, and tells it twice."""


class Stopped(KeyboardInterrupt):
    """A signal ended the work; handled wherever Ctrl-C is, so that it is not taken for a failure."""

    def __init__(self, number: int) -> None:
        super().__init__(f"signal {number}")
        self.code = 128 + number
        """The exit code that shells use: 130 for Ctrl-C, 143 for SIGTERM."""


def _raise(number: int) -> None:
    raise Stopped(number)


def _unless_echo(hear: Callable[[int], None]) -> Callable[[int, FrameType | None], None]:
    """A handler that passes on a signal, but for its echoes."""
    heard: dict[int, float] = {}

    def handle(number: int, frame: FrameType | None = None) -> None:
        now = time.monotonic()
        if number not in heard or now - heard[number] >= ECHO[signal.Signals(number)]:
            heard[number] = now
            hear(number)

    return handle


@contextmanager
def stoppable() -> Iterator[None]:
    """SIGINT and SIGTERM raise `Stopped` while inside. Only a main thread can hear signals; elsewhere does nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handle = _unless_echo(_raise)
    before = {number: signal.signal(number, handle) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def finishing_steps() -> Iterator[Callable[[], int | None]]:
    """SIGINT and SIGTERM are only noted while inside; the value tells which one came, or None.

    A step that does not end within `PATIENCE` seconds after the first, or a second signal (not its echo), raises
    `Stopped`: then what was saved before counts.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    noted: list[int] = []

    def note(number: int) -> None:
        if noted:
            _raise(noted[0])
        noted.append(number)
        signal.alarm(PATIENCE)

    handle = _unless_echo(note)
    before = {number: signal.signal(number, handle) for number in SIGNALS}
    before[signal.SIGALRM] = signal.signal(signal.SIGALRM, lambda *_: _raise(noted[0] if noted else signal.SIGTERM))
    try:
        yield lambda: noted[0] if noted else None
    finally:
        signal.alarm(0)
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def starting_processes() -> Iterator[None]:
    """SIGINT and SIGTERM wait until the end of the block, so that every process started inside starts whole.

    An interruption halfway through a start leaves a child without the data it needs, which ends in a traceback. The
    children inherit the block: they call `hear_signals` once they have said what signals do to them.
    """
    resource_tracker.ensure_running()  # it would lift the block if the first start had to start it
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {number: signal.signal(number, lambda number, frame: came.append(number)) for number in SIGNALS}
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        hear_signals()
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        signal.raise_signal(came[0])


def hear_signals() -> None:
    """End the block that a process inherited from `starting_processes`."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
