"""Signals to stop: noted once, however often they come; those that arrive while processes start wait for that."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from multiprocessing.connection import Connection

import pytest

from benchmark.system.signals import SIGNALS, Stopped, finishing_steps, hear_signals, starting_processes, stoppable


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


def test_slurm_tells_a_step_twice_and_that_is_one_signal() -> None:
    with finishing_steps() as told:
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGTERM)
        assert told() == signal.SIGTERM


def test_a_second_ctrl_c_ends_the_step_at_once() -> None:
    with pytest.raises(Stopped) as stopped, finishing_steps():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("it goes on")
    assert stopped.value.code == 130


def test_what_is_tidied_up_after_a_signal_is_not_interrupted_by_its_echo() -> None:
    tidied = False
    with pytest.raises(Stopped) as stopped, stoppable():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            pytest.fail("it goes on")
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            tidied = True
    assert tidied and stopped.value.code == 143
