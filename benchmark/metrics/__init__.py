"""Metrics: distances between image sets (fd, kid) and between image pairs (consistency), translation, memorisation.

Importing this package, and listing its metrics, does not import torch; making an ``Evaluator`` does.
"""

from __future__ import annotations

from benchmark.metrics.base import MetricInfo, Samples, Score
from benchmark.metrics.catalogue import METRICS, list_metrics
from benchmark.metrics.evaluator import Evaluation, Evaluator
from benchmark.metrics.plugins import Metric

__all__ = ["METRICS", "Evaluation", "Evaluator", "Metric", "MetricInfo", "Samples", "Score", "list_metrics"]
