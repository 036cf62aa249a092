"""Jobs in processes of their own where nothing can be made before the fork, as on a GPU; and a server that dies."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from rich.console import Console
from waiting import PATIENCE, all_end

from benchmark.running.job import run_job
from benchmark.running.launch import store_failure
from benchmark.running.order import Order, keys_of
from benchmark.running.setup import Request, Run, prepare
from benchmark.running.supervisor import Limits, Supervisor, Work
from benchmark.system.claims import claimed
from benchmark.system.devices import Seat, cpu_seats
from benchmark.system.progress import Bars

QUICK = ("train.kimg=0.008", "eval.samples=8", "eval.pairs=4", "eval.metrics=[kid_randconv]")


SEES = """
import os
from benchmark.api import Method

class Sees(Method):
    name = "sees"

    def prepare(self, nets, reals, rng):
        raise OSError(f"{os.environ['CUDA_VISIBLE_DEVICES']} is all I see")
"""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return prepared(tmp_path, ["finetune"])


def prepared(folder: Path, methods: list[str], plugins: tuple[str, ...] = (), seeds: str = "0") -> Run:
    overrides = {"domains": ["toy-rings"], "methods": methods, "seeds": seeds}
    request = Request("smoke", QUICK, overrides, "cpu", folder / "cache", 1, plugins)
    return prepare(request, folder / "out", Console(quiet=True))


def supervised(run: Run, device: str, failures: list[str], seats: tuple[Seat, ...] = cpu_seats(2, 2)) -> Supervisor:
    order = Order(run.request, keys_of(run.jobs), run.store.out, seats, False, None, {}, device)
    bars = Bars(Console(quiet=True))

    def stored(number: int) -> bool:
        return all(run.store.has(key) for key in run.jobs[number].record_keys.values())

    def failed(number: int, status: str, reason: str) -> None:
        failures.append(f"{status}: {reason}")

    return Supervisor(run.jobs, order, Limits(), bars, failed, stored, False)


def test_jobs_prepare_themselves_where_the_server_cannot(run: Run, tmp_path: Path) -> None:
    failures: list[str] = []
    supervised(run, "cpu", failures).do()
    warm = {key: run.store.has(key) for job in run.jobs for key in job.record_keys.values()}
    other = replace(run, store=type(run.store)(tmp_path / "other"))
    supervised(other, "a device that is used after the fork", failures).do()
    assert not failures
    for key, record in warm.items():
        cold = other.store.has(key)
        assert record is not None and cold is not None and cold.metrics == record.metrics


class Clock:
    """The time that the supervisor sees; it goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    sleep = staticmethod(time.sleep)


def test_waiting_for_another_command_takes_none_of_a_jobs_time(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither where the other has the job, nor where it trains for it; the job's own time counts as ever."""
    clock, failures, said = Clock(), list[str](), list[str]()
    monkeypatch.setattr("benchmark.running.supervisor.time", clock)
    (number,) = [number for number, job in enumerate(run.jobs) if job.method]
    job = run.jobs[number]
    for kept in (next(iter(job.record_keys.values())), job.train_key):
        supervisor, held = supervised(run, "cpu", failures, cpu_seats(1, 1)), ExitStack()
        supervisor.limits = Limits(seconds=100)
        supervisor.waiting = [number]

        def say(text: str, held: ExitStack = held, supervisor: Supervisor = supervisor) -> None:
            if "another process is" in text:
                said.append(text)
                clock.now += 1000
                supervisor._look()  # when it would be ended
                held.close()

        monkeypatch.setattr(supervisor.bars, "say", say)
        held.enter_context(claimed(run.store.out / "locks" / kept))
        with held:
            supervisor.do()
        assert failures == [] and run.store.has(next(iter(job.record_keys.values())))
        shutil.rmtree(run.store.out)
    assert len(said) == 2 and "running it" in said[0] and "training it" in said[1]


def test_a_jobs_own_time_counts_before_and_after_it_waited(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("benchmark.running.supervisor.time", clock)
    work = Work(cpu_seats(1, 1)[0], since=clock.now)
    for begins, goes_on, seconds in ((False, 5, 5), (True, 100, 5), (False, 3, 8), (True, 7, 8), (False, 1, 9)):
        work.wait(begins)
        clock.now += goes_on
        assert work.seconds == seconds


def test_a_failure_is_stored_where_nobody_else_does_the_job_and_nothing_finished_is_lost(run: Run) -> None:
    (job,) = [job for job in run.jobs if job.method]
    (key,) = job.record_keys.values()
    with claimed(run.store.out / "locks" / key):
        assert store_failure(job, run, "timed-out", "too long")[key].status == "timed-out"
        assert run.store.read(key) is None
    store_failure(job, run, "failed", "by nothing")
    stored = run.store.read(key)
    assert stored is not None and (stored.status, stored.reason) == ("failed", "by nothing")
    run_job(job, run)
    assert store_failure(job, run, "failed", "again") == {} and run.store.has(key)


def test_a_server_that_is_killed_costs_the_job_in_hand(run: Run) -> None:
    failures: list[str] = []
    supervisor = supervised(run, "cpu", failures, cpu_seats(1, 1))  # the other jobs wait, for the next server
    hear, killed, children = supervisor._hear, list[int](), list[psutil.Process]()

    def kill(number: int | None, word: str, *rest: object) -> None:
        hear(number, word, *rest)
        if word == "started" and not killed:
            assert supervisor.server is not None and supervisor.server.pid is not None
            killed.append(supervisor.server.pid)
            children.extend(psutil.Process(supervisor.server.pid).children(recursive=True))
            psutil.Process(supervisor.server.pid).send_signal(signal.SIGKILL)

    supervisor._hear = kill  # type: ignore[method-assign]
    supervisor.do()
    assert killed and children and all_end(children)
    assert len(failures) <= 1 and all("its process died" in why for why in failures)
    assert supervisor.barren == 0 and not supervisor.waiting


def test_each_job_sees_the_gpus_of_a_free_seat(tmp_path: Path) -> None:
    (tmp_path / "sees.py").write_text(SEES)
    run = prepared(tmp_path, ["sees"], (str(tmp_path / "sees.py"),), seeds="0-2")
    failures: list[str] = []
    supervisor = supervised(run, "cpu", failures, (Seat(1, ("4",)), Seat(1, ("GPU-7f", "6"))))
    supervisor.waiting = [n for n, job in enumerate(run.jobs) if job.method]
    supervisor.do()
    seen = sorted(why.removeprefix("failed: OSError: ").partition(" is all")[0] for why in failures)
    assert len(seen) == 3 and set(seen) == {"4", "GPU-7f,6"}


EARLY = """
import threading
from pathlib import Path
from benchmark.running.server import early, early_server

def command_line(pid):
    return Path(f"/proc/{pid}/cmdline").read_text()

with early_server(True):
    (server,) = early
    assert server.process.is_alive() and command_line(server.process.pid) == command_line("self")
assert not server.process.is_alive() and not early
try:
    with early_server(True):
        (server,) = early
        raise ZeroDivisionError
except ZeroDivisionError:
    assert not server.process.is_alive() and not early
with early_server(False):
    assert not early
threading.Thread(target=threading.Event().wait, daemon=True).start()
with early_server(True):
    assert not early, "threads do not survive a fork"
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the command is forked on Linux only")
def test_an_early_server_is_a_fork_that_ends_with_its_block() -> None:
    done = subprocess.run([sys.executable, "-c", EARLY], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
