"""The package's own metrics keep the promises that are asked of a metric from outside."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.conformity.metric import PROMISES, conform_metric
from benchmark.metrics import METRICS
from benchmark.metrics.networks.features import RandConv

NEED_MORE = ("ppl", "legacy", "fd_infinity", "picture_")
"""What pictures alone do not give: paths in w, images in the published way, a hundred images."""


@pytest.mark.parametrize("name", [name for name, info in METRICS.items() if info.network == "randconv"])
def test_our_metrics_conform(name: str, tmp_path: Path) -> None:
    verdict = conform_metric(name, tmp_path)
    assert verdict.broken == {}
    assert verdict.not_tried == (list(PROMISES) if name.startswith(NEED_MORE) else [])


def test_what_is_tried_is_the_network_as_it_is_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's next edit: features of real images that were kept would be those of the network before it."""
    assert conform_metric("fd_randconv", tmp_path).broken == {}
    before = RandConv.forward
    monkeypatch.setattr(RandConv, "forward", lambda self, images: 3 * before(self, images) + 5)
    assert conform_metric("fd_randconv", tmp_path).broken == {}
    assert list(tmp_path.iterdir()) == []


def test_a_metric_without_its_file_is_not_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCHMARK_WEIGHTS_DIR", str(tmp_path))
    verdict = conform_metric("fd_dinov2", tmp_path)
    assert (verdict.kept, verdict.broken, verdict.not_tried) == ([], {}, list(PROMISES))
