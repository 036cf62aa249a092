"""The package's own metrics keep the promises that are asked of a metric from outside."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.conformity.metric import PROMISES, conform_metric
from benchmark.metrics import METRICS

NEED_MORE = ("ppl", "legacy", "fd_infinity", "picture_")
"""What pictures alone do not give: paths in w, images in the published way, a hundred images."""


@pytest.mark.parametrize("name", [name for name, info in METRICS.items() if info.network == "randconv"])
def test_our_metrics_conform(name: str, tmp_path: Path) -> None:
    verdict = conform_metric(name, tmp_path)
    assert verdict.broken == {}
    assert verdict.not_tried == (list(PROMISES) if name.startswith(NEED_MORE) else [])


def test_a_metric_without_its_file_is_not_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCHMARK_WEIGHTS_DIR", str(tmp_path))
    verdict = conform_metric("fd_dinov2", tmp_path)
    assert (verdict.kept, verdict.broken, verdict.not_tried) == ([], {}, list(PROMISES))
