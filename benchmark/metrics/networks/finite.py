"""The check that images, features and distances are finite numbers, made where they arise.

Later it would be too late: clamping, a nearest neighbour or a trimmed mean can hide a single NaN.
"""

from __future__ import annotations

from torch import Tensor

from benchmark.errors import DataError


def require_finite(values: Tensor, what: str, first: int = 0) -> None:
    """DataError unless all values [n, ...] are finite numbers; `what` they are, `first` is the number of the first."""
    good = values.isfinite().reshape(len(values), -1).all(dim=1)
    if not good.all():
        at = first + int((~good).nonzero()[0])
        raise DataError(
            f"{what}: {int((~good).sum())} of {len(good)} are not finite (NaN or infinite), first image {at}."
        )
