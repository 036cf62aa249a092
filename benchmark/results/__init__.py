"""Results on disk: records, pictures, hashes.

A record is one row of results, a `ResultStore` the folder of them; nothing in here is computed, and nothing trusted.
"""

from benchmark.results.record import CurvePoint, Doctor, MetricValue, RunRecord, Timing
from benchmark.results.store import ResultStore

__all__ = ["CurvePoint", "Doctor", "MetricValue", "ResultStore", "RunRecord", "Timing"]
