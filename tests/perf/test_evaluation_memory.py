"""Time and peak memory of the evaluation on 50,000 x 2,048 features a side; only with --benchmark-only (minutes each).

BENCHMARK_PERF_ROWS=10000 takes fewer. A fresh process per metric: peaks are of a process and never shrink.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.connection import Connection

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmark.metrics.formulas.fd_infinity import fd_std_error
from benchmark.metrics.formulas.frechet import features_to_gaussian, frechet_distance
from benchmark.metrics.formulas.kid import features_to_kid
from benchmark.metrics.formulas.neighbours import features_to_prdc, nearest_training
from benchmark.system.hardware import peak_memory_mb
from benchmark.system.startup import prepare_process

ROWS, DIM = int(os.environ.get("BENCHMARK_PERF_ROWS", "50000")), 2048
LIMIT_MB = 4096

Metric = Callable[[np.ndarray, np.ndarray], object]


def fd(fake: np.ndarray, real: np.ndarray) -> float:
    return frechet_distance(features_to_gaussian(fake), features_to_gaussian(real))


def memorisation(fake: np.ndarray, real: np.ndarray) -> object:
    return nearest_training(fake, real[1000:], real[:1000])


METRICS: dict[str, Metric] = {
    "prdc": features_to_prdc,
    "memorisation": memorisation,
    "kid": features_to_kid,
    "fd": fd,
    "fd_std_error": fd_std_error,
}


def measure(name: str, pipe: Connection) -> None:
    """Run one metric on normal float32 features when told to; send this process's peak memory, features included."""
    prepare_process()
    rng = np.random.default_rng(0)
    fake, real = (rng.standard_normal((ROWS, DIM), dtype=np.float32) for _ in range(2))
    pipe.send("ready")
    pipe.recv()
    METRICS[name](fake, real)
    pipe.send(peak_memory_mb("cpu"))


@pytest.mark.parametrize("name", METRICS)
def test_memory_of_evaluation(benchmark: BenchmarkFixture, pytestconfig: pytest.Config, name: str) -> None:
    if not pytestconfig.getoption("benchmark_only"):
        pytest.skip("heavy: run with --benchmark-only")
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=measure, args=(name, theirs))
    process.start()
    theirs.close()  # so that a child that dies ends the wait
    assert ours.recv() == "ready"

    def run() -> float | None:
        ours.send("go")
        return ours.recv()

    peak = benchmark.pedantic(run, rounds=1)
    process.join()
    benchmark.extra_info["peak_mb"] = peak
    print(f"{name} at {ROWS} x {DIM}: peak {peak} MB")
    assert peak is None or peak < LIMIT_MB
