"""What every test may count on."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

from benchmark.metrics.networks import weight_files

settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")
"""Seconds say nothing where several tests share a machine; what is slow shows in `--durations`."""

LONG = (
    *("test_engine_slurm", "test_isolation", "test_reliability", "test_docs_adding_a_method", "test_rehearsal"),
    *("test_docs_site", "test_ranks_of_a_job", "test_interrupts", "test_small_disks"),
)
"""Modules whose single tests take ten seconds and more; those that wait most come first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long tests first: the last minutes of a run in several processes are then shared out evenly."""
    items.sort(key=lambda item: LONG.index(item.path.stem) if item.path.stem in LONG else len(LONG))


@pytest.fixture(autouse=True)
def ordinary_arithmetic() -> Iterator[None]:
    """A run within this process sets torch up for itself; the next test gets it as it was.

    Denormals are not flushed: hypothesis refuses that. For each test anew, since wider fixtures may run things, too.
    """
    torch.set_flush_denormal(False)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def no_weights_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Weight files count only where a test puts them, not those that this machine keeps or that somebody left behind.

    Packages stay: what they bring is part of the environment.
    """
    for name in [name for name in os.environ if name.startswith("BENCHMARK_WEIGHTS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    places, shared = weight_files._usual_places, {Path("/tmp"), Path(tempfile.gettempdir())}
    monkeypatch.setattr(
        weight_files, "_usual_places", lambda *asked: (path for path in places(*asked) if path.parent not in shared)
    )
