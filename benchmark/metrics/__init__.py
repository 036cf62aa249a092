"""What is measured: distances between image sets (fd, kid) and between image pairs (consistency).

Importing this package, and listing its metrics, does not import torch; making an ``Evaluator`` does.
"""

from __future__ import annotations

from benchmark.metrics.base import METRICS, MetricInfo, Samples, Score
from benchmark.metrics.evaluator import Evaluator

__all__ = ["Evaluator", "MetricInfo", "Samples", "Score", "list_metrics"]


def list_metrics() -> dict[str, MetricInfo]:
    """All metrics by name, in the order in which tables show them."""
    return dict(METRICS)
