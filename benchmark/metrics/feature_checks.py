"""One check for everything that is computed from sets of features."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import DataError

LARGEST = np.float64(1e100)
"""Squares and sums of larger numbers leave float64."""


def require_features(*sets: tuple[str, NDArray[np.floating], int]) -> None:
    """Take (name, features [n, d], least n); raise DataError unless all are finite and have one d > 0 in common."""
    shape = sets[0][1].shape
    width = shape[1] if len(shape) == 2 else 0
    for name, features, at_least in sets:
        if features.ndim != 2 or features.shape[1] != width or width == 0:
            raise DataError(f"{name} features must be [n, {width or 'd'}], d > 0; found shape {list(features.shape)}.")
        if len(features) < at_least:
            raise DataError(f"this needs {at_least} or more {name} images; found {len(features)}.")
    for name, features, _ in sets:
        good = (features.max(axis=1) <= LARGEST) & (features.min(axis=1) >= -LARGEST)  # False for NaN, no large copies
        if not good.all():
            bad = f"{(~good).sum()} of {len(good)} rows are not, the first is row {good.argmin()}"
            raise DataError(f"{name} features must be finite numbers: {bad}; look at the images or the network.")
