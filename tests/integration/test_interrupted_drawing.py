"""Ctrl-C, SIGTERM and SIGKILL while a domain is drawn: one line, nobody is left, no half domain, and it goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from command_line import QUICK, environment
from waiting import PATIENCE, all_end, comes, working_in

from benchmark.system.pool import cores

MANY = ("--set", "split.train=7000", "--set", "split.test=1000")
"""More pictures than one process draws alone."""
SLOW = pytest.mark.slow(
    twin="tests/integration/test_interrupted_drawing.py::test_a_drawing_that_is_stopped_leaves_nothing"
)
RUN = (
    *("run", *QUICK, *MANY, "--methods", "finetune", "--domains", "micah", "--out", "res", "--jobs", "1"),
    *("--set", "eval.metrics=[kid_randconv]"),
)


HEARS = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); signal.signal(signal.SIGTERM, "
    "signal.SIG_DFL); from benchmark.cli import main; "
)


def start(folder: Path) -> subprocess.Popen[str]:
    """The run in a process group of its own, as a terminal starts it."""
    return subprocess.Popen(
        [sys.executable, "-c", HEARS + "main()", *RUN],
        cwd=folder,
        env=environment(folder / "cache"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def begun(cache: Path) -> bool:
    """Whether the first picture is drawn."""
    return any(any(file.read_bytes()[200:2000]) for file in cache.glob(".drawing-*/all.npy"))


@pytest.mark.skipif(cores() < 2, reason="one process draws alone where there is one core")
@pytest.mark.parametrize(
    ("number", "code", "moment"),
    [
        (signal.SIGINT, 130, "in the middle"),
        (signal.SIGKILL, -9, "while processes start"),
        pytest.param(signal.SIGINT, 130, "while processes start", marks=SLOW),
        pytest.param(signal.SIGTERM, 143, "while processes start", marks=SLOW),
        pytest.param(signal.SIGTERM, 143, "in the middle", marks=SLOW),
        pytest.param(signal.SIGKILL, -9, "in the middle", marks=SLOW),
    ],
)
def test_a_drawing_that_is_stopped_leaves_nothing(
    tmp_path: Path, number: signal.Signals, code: int, moment: str
) -> None:
    running = start(tmp_path)
    me = psutil.Process(running.pid)
    there = begun if moment == "in the middle" else lambda cache: len(me.children()) > 2  # the server, a tracker
    assert comes(lambda: running.poll() is not None or there(tmp_path / "cache"))
    everybody = me.children(recursive=True)
    os.killpg(running.pid, number) if number == signal.SIGINT else running.send_signal(number)
    _, err = running.communicate(timeout=PATIENCE)
    assert running.returncode == code, err
    if number != signal.SIGKILL:
        assert len(err.strip().splitlines()) == 1 and "Traceback" not in err, err
        assert not list((tmp_path / "cache").glob(".drawing-*"))
    assert all_end(everybody) and comes(lambda: not working_in(tmp_path))
    assert not list((tmp_path / "cache").glob("*.npy")) and not list((tmp_path / "cache").glob("*px-*.json"))
