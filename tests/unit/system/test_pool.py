"""Work in several processes: order, failures, and a process that dies."""

from __future__ import annotations

import multiprocessing
import os

import pytest

from benchmark.system.pool import in_processes


def die_in_a_child(number: int) -> int:
    if number == 2 and multiprocessing.parent_process() is not None:
        os._exit(1)
    return number * 10


def fail(number: int) -> int:
    raise ValueError(f"item {number}")


def where(number: int) -> tuple[int, int]:
    return number, os.getpid()


def test_results_come_in_order_and_from_other_processes() -> None:
    found = list(in_processes(where, list(range(20)), 2, "counting"))
    assert [number for number, _ in found] == list(range(20))
    assert os.getpid() not in {pid for _, pid in found}
    assert {pid for _, pid in in_processes(where, [1, 2], 1, "counting")} == {os.getpid()}


def test_work_goes_on_in_this_process_when_another_dies() -> None:
    with pytest.warns(UserWarning, match="counting in one process, the pool failed"):
        assert list(in_processes(die_in_a_child, list(range(6)), 2, "counting")) == [0, 10, 20, 30, 40, 50]


def test_what_the_work_raises_is_raised_here() -> None:
    with pytest.raises(ValueError, match="item 0"):
        list(in_processes(fail, [0, 1], 2, "failing"))
