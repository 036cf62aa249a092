"""Signals to stop: noted once, however often they come, and a person's second one counts."""

from __future__ import annotations

import os
import signal

import pytest

from benchmark.system.signals import Stopped, finishing_steps, stoppable


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
