"""Default places: the cache, and the folder of results."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path

CACHE = user_cache_path("stylegan-transfer-benchmark")
RUNS = Path("results/runs")
"""Below the current folder; a run's results lie in a folder of it with the suite's name."""


def cache_folder(given: Path | str | None = None) -> Path:
    """`given`, else BENCHMARK_CACHE of the environment, else the user's cache folder."""
    return Path(given or os.environ.get("BENCHMARK_CACHE") or CACHE)
