"""Work in several processes: order, failures, and a process that dies."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from waiting import all_end, comes

import benchmark
from benchmark.system.pool import in_processes

ROOT = Path(benchmark.__file__).parents[1]


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


def nap(number: int) -> int:
    Path(f"at-{os.getpid()}").touch()
    time.sleep(6000)
    return number


def test_nobody_in_a_pool_outlives_who_asked(tmp_path: Path) -> None:
    """Killed without a chance to tidy up: processes of the pool end, and with them its semaphores."""
    asked = (
        "import test_pool\nfrom benchmark.system.pool import in_processes\n"
        "if __name__ == '__main__': list(in_processes(test_pool.nap, [1, 2], 2, 'napping'))"
    )
    (tmp_path / "main.py").write_text(asked)
    paths = os.pathsep.join([str(ROOT), str(Path(__file__).parent), str(ROOT / "tests" / "helpers")])
    running = subprocess.Popen([sys.executable, "main.py"], cwd=tmp_path, env=os.environ | {"PYTHONPATH": paths})
    assert comes(lambda: len([*tmp_path.glob("at-*")]) == 2 or running.poll() is not None)
    everybody = psutil.Process(running.pid).children(recursive=True)
    assert {int(path.name[3:]) for path in tmp_path.glob("at-*")} <= {p.pid for p in everybody}
    running.kill()
    running.wait()
    assert all_end(everybody)
