"""Jobs in processes of their own where nothing can be made before the fork, as on a GPU; and a server that dies."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from rich.console import Console
from waiting import all_end

from benchmark.running.setup import Request, Run, prepare
from benchmark.running.supervisor import Limits, Supervisor
from benchmark.running.worker import Order, keys_of
from benchmark.system.progress import Bars

QUICK = ("train.kimg=0.008", "eval.samples=8", "eval.pairs=4", "eval.metrics=[kid_randconv]")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    overrides = {"domains": ["toy-rings"], "methods": ["finetune"]}
    request = Request("smoke", QUICK, overrides, "cpu", tmp_path / "cache", 1)
    return prepare(request, tmp_path / "out", Console(quiet=True))


def supervised(run: Run, device: str, failures: list[str]) -> Supervisor:
    order = Order(run.request, keys_of(run.jobs), run.store.out, 1, False, None, {}, device)
    bars = Bars(Console(quiet=True))

    def stored(number: int) -> bool:
        return all(run.store.has(key) for key in run.jobs[number].record_keys.values())

    def failed(number: int, status: str, reason: str) -> None:
        failures.append(f"{status}: {reason}")

    return Supervisor(run.jobs, order, 2, Limits(), bars, failed, stored, False)


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


def test_a_server_that_is_killed_costs_the_job_in_hand(run: Run) -> None:
    failures: list[str] = []
    supervisor = supervised(run, "cpu", failures)
    hear, killed = supervisor._hear, []

    def kill(number: int | None, word: str, *rest: object) -> None:
        hear(number, word, *rest)
        if word == "started" and not killed:
            assert supervisor.server is not None and supervisor.server.pid is not None
            killed.extend(psutil.Process(supervisor.server.pid).children(recursive=True))
            psutil.Process(supervisor.server.pid).send_signal(signal.SIGKILL)

    supervisor._hear = kill  # type: ignore[method-assign]
    supervisor.do()
    assert killed and all_end(killed)
    assert len(failures) <= 2 and all("its process died" in why for why in failures)
    assert supervisor.barren == 0 and not supervisor.waiting
