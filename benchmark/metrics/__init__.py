"""Metrics: distances between image sets (fd, kid) and between image pairs (consistency), translation, memorisation.

Importing this package, and listing its metrics, does not import torch; making an ``Evaluator`` does.
"""

from __future__ import annotations

from benchmark.metrics.base import MetricInfo, Samples, Score
from benchmark.metrics.catalogue import METRICS
from benchmark.metrics.evaluator import Evaluation, Evaluator

__all__ = ["METRICS", "Evaluation", "Evaluator", "MetricInfo", "Samples", "Score", "list_metrics"]


def list_metrics() -> dict[str, MetricInfo]:
    """All metrics by name, in the order in which tables show them."""
    return dict(METRICS)
