"""The engine `ray` on two nodes in one machine: one of them dies in the middle, and the records of a local run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from command_line import environment
from engine_runs import SMALL, command, records, until
from waiting import PATIENCE

pytest.importorskip("ray", reason="Ray is not installed: pip install '.[ray]'")

RUN = (*SMALL, "--methods", "finetune,layer_swap,freezed", "--set", "train.kimg=2")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[Any]:
    """Two nodes, each with room for one task; the head has none, so that no task is lost with the driver."""
    from ray.cluster_utils import Cluster

    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled", "RAY_worker_niceness": "0"}
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    yield made
    made.shutdown()


def test_a_node_that_dies_in_the_middle_costs_no_record(cluster: Any, cache: Path, tmp_path: Path) -> None:
    local = command((*RUN, "--jobs", "1", "--out", "local"), tmp_path, environment(cache))
    assert local.returncode == 0, local.stderr
    first, second = (cluster.add_node(num_cpus=1) for _ in range(2))
    out, engine = tmp_path / "res", ("--engine", "ray", "--engine-set", f"address={cluster.address}")
    with (tmp_path / "said.txt").open("wb") as said:
        driver = subprocess.Popen(
            [sys.executable, "-m", "benchmark", *RUN, *engine, "--out", "res"],
            cwd=tmp_path,
            env=environment(cache),
            stdout=said,
            stderr=said,
        )
    until(lambda: len(list((out / "checkpoints").glob("*.progress"))) == 2 or driver.poll() is not None)
    assert driver.poll() is None, "both trainings were over before a node could die in their middle"
    cluster.remove_node(second, allow_graceful=False)
    assert driver.wait(PATIENCE) == 0, (tmp_path / "said.txt").read_text("utf-8", "replace")
    assert records(out) == records(tmp_path / "local")
    assert first in cluster.worker_nodes
    assert not list((out / "locks").glob("*-*")) and not (out / "engine" / "ray.json").exists()


def test_cancel_tells_the_driver_and_jobs_save(cluster: Any, cache: Path, tmp_path: Path) -> None:
    long = (*SMALL, "--methods", "finetune", "--set", "train.kimg=8", "--out", "res")
    engine = ("--engine", "ray", "--engine-set", f"address={cluster.address}")
    driver = subprocess.Popen(
        [sys.executable, "-m", "benchmark", *long, *engine],
        cwd=tmp_path,
        env=environment(cache),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    saved = tmp_path / "res" / "checkpoints"
    until(lambda: list(saved.glob("*.progress")) or driver.poll() is not None)
    everybody = [p for p in psutil.process_iter(["cmdline"]) if str(tmp_path) in " ".join(p.info["cmdline"] or ())]
    assert len(everybody) == 1, "the task's own process"
    detached = command((*long, *engine, "--detach"), tmp_path, environment(cache))
    assert detached.returncode == 2 and "ray job submit" in detached.stderr
    assert "the driver ends its tasks" in command(("cancel", "res"), tmp_path, environment(cache)).stdout
    _, said = driver.communicate(timeout=PATIENCE)
    assert driver.returncode == 1, said
    assert list(saved.glob("*.progress")) and not list((tmp_path / "res" / "locks").glob("*-*"))
    assert psutil.wait_procs(everybody, timeout=PATIENCE)[1] == []
