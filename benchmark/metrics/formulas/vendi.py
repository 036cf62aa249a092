"""Vendi score: the effective number of different images (Friedman and Dieng 2023, definition 2.1)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import DataError
from benchmark.metrics.base import require_features


def features_to_vendi(features: NDArray[np.floating]) -> float:
    """exp of the entropy of the eigenvalues of K / n, K the cosine similarities of features [n, d]: 1 to min(n, d).

    1 for copies of one image, n for n images at right angles. Grows with n, so it compares at one n alone. Raises
    DataError for features that are not finite, and for a row of zeros, which has no direction.
    """
    require_features(("generated", features, 1))
    x = np.asarray(features, np.float64)
    lengths = np.linalg.norm(x, axis=1, keepdims=True)
    if not lengths.all():
        raise DataError(f"image {int(lengths.argmin())} has features of 0, and so no similarity to others.")
    unit = x / lengths
    gram = unit @ unit.T if len(unit) < unit.shape[1] else unit.T @ unit  # they share their eigenvalues but zeros
    shares = np.linalg.eigvalsh(gram / len(unit))
    shares = shares[shares > 0]
    return float(np.exp(-(shares * np.log(shares)).sum()))
