"""Signals that arrive while processes are being started."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from multiprocessing.connection import Connection

import pytest

from benchmark.system.signals import SIGNALS, Stopped, hear_signals, starting_processes, stoppable


def child(pipe: Connection) -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    hear_signals()
    pipe.send(signal.pthread_sigmask(signal.SIG_BLOCK, ()))


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_waits_until_the_child_has_started_whole(number: signal.Signals) -> None:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=child, args=(theirs,))
    with stoppable():
        with pytest.raises(Stopped) as stopped, starting_processes():
            os.kill(os.getpid(), number)
            process.start()
            os.kill(process.pid or 0, number)  # as Ctrl-C in a terminal does
        assert stopped.value.code == 128 + number
    assert ours.poll(120) and not set(ours.recv()) & set(SIGNALS)
    process.join(120)
    assert process.exitcode == 0


def test_a_signal_that_another_thread_receives_waits_too() -> None:
    """The handler runs in the main thread, which the block does not prevent."""
    asked, over = threading.Event(), threading.Event()

    def receive() -> None:
        asked.wait(120)
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        over.set()

    thread = threading.Thread(target=receive)
    thread.start()
    reached = False
    with stoppable(), pytest.raises(Stopped), starting_processes():
        asked.set()
        over.wait(120)
        reached = True
    thread.join(120)
    assert reached


def test_handlers_and_mask_are_as_before() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with starting_processes():
        assert set(SIGNALS) <= set(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
    assert [signal.getsignal(number) for number in SIGNALS] == before
    assert not set(signal.pthread_sigmask(signal.SIG_BLOCK, ())) & set(SIGNALS)
