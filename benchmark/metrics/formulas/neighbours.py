"""Metrics of nearest neighbours in feature space: precision, recall, density, coverage, memorisation, and an order.

All distances are Euclidean and come from |a - b|^2 = |a|^2 + |b|^2 - 2 a.b in float64, one square block at a time, so
memory beside the features is that of a few blocks. The features are centred first, which keeps the cancellation small.
What is left of it is bounded by ``slack``: squared distances below that are set to 0 (so copies are at distance 0) and
distances that equal a radius up to it count as equal (so ties do not depend on the order of the rows).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import DataError
from benchmark.metrics.base import require_features

Floats = NDArray[np.floating]
Array = NDArray[np.float64]

BLOCK = 1024
"""Rows of a block: 8 MB of distances, small enough for the cache and large enough for the matrix product."""

FEW = 0.05
"""Quantile of the held-out distances below which a generated image counts as suspiciously near."""

HELD_OUT_AT_LEAST = 19
"""With fewer distances their 5 % quantile lies below the smallest: j of m cut off j / (m + 1) on average."""


@dataclass(frozen=True)
class Prdc:
    """All in 0..1 but density, which has no upper end; both distributions equal: density and coverage near 1."""

    precision: float
    recall: float
    density: float
    coverage: float


@dataclass(frozen=True)
class Memorisation:
    """How near generated images are to training images, beside how near held-out images of the same domain are.

    ``median_ratio``: median distance of generated over that of held-out images; 1 without memorisation, 0 for copies.
    ``share_nearer``: share of generated images nearer than the 5 % quantile of held-out images; 0.05 without.
    ``authenticity`` and ``held_out_authenticity``: share of authentic ones among generated and among held-out images.
    ``nearest``, ``distances``: int64 and float64 [n], training image and distance of each generated image;
    ``held_out_distances``: float64 [h].
    """

    median_ratio: float
    share_nearer: float
    authenticity: float
    held_out_authenticity: float
    nearest: NDArray[np.int64]
    distances: Array
    held_out_distances: Array


def features_to_prdc(real: Floats, fake: Floats, k: int = 5, block: int = BLOCK) -> Prdc:
    """Improved precision and recall (Kynkäänniemi et al. 2019, eq. 1 and 2), density and coverage (Naeem et al. 2020)
    of features [n, d] and [m, d].

    The ball around an image reaches to the k-th nearest other image of its own set, duplicates counted; the first paper
    takes k = 3, the second 5. Balls are closed, as in eq. 1 of the first paper: with open balls, k + 1 copies of
    an image would make a ball of radius 0 that does not hold its own centre. Hence identical sets have precision,
    recall and coverage 1 and density at least (k + 1) / k, and n copies of one image on both sides density n / k.
    Raises DataError for fewer than k + 1 rows, for features that are not finite or of different width.
    """
    if k < 1:
        raise DataError(f"neighbours are counted from k = 1; found k = {k}.")
    reals, fakes = _checked(("real", real, k + 1), ("generated", fake, k + 1))
    real_radii, fake_radii = _squared_radii(reals, k, block), _squared_radii(fakes, k, block)
    balls = np.zeros(len(fake), dtype=np.int64)  # balls of real images that hold each generated image
    covered, recalled = np.zeros(len(real), dtype=bool), np.zeros(len(real), dtype=bool)
    for rows, columns, squared, slack in _blocks(reals, fakes, block):
        squared -= slack
        inside = squared <= real_radii[rows, None]
        balls[columns] += inside.sum(axis=0)
        covered[rows] |= inside.any(axis=1)
        recalled[rows] |= (squared <= fake_radii[None, columns]).any(axis=1)
    return Prdc(
        precision=float((balls > 0).mean()),
        recall=float(recalled.mean()),
        density=float(balls.mean()) / k,
        coverage=float(covered.mean()),
    )


def nearest_training(fake: Floats, train: Floats, held_out: Floats, block: int = BLOCK) -> Memorisation:
    """Compare features [n, d] of generated images with [t, d] that were trained on and [h, d] that were not.

    An image is authentic if its nearest training image is nearer to another training image than to it (Alaa et al.
    2022). Also of fresh real images not all are, so the share among held-out images is the yardstick.
    Raises DataError for no generated, fewer than 2 training or 19 held-out images, for features that are not finite or
    of different width, and where one in twenty held-out images is a copy of a training image, constant sets included:
    then held-out images say nothing about how near is too near.
    """
    trained, fakes, held = _checked(
        ("training", train, 2), ("generated", fake, 1), ("held-out", held_out, HELD_OUT_AT_LEAST)
    )
    spacing = _squared_radii(trained, 1, block)
    nearest, squared = _nearest(trained, fakes, block)
    held_nearest, held_squared = _nearest(trained, held, block)
    distances, held_distances = np.sqrt(squared), np.sqrt(held_squared)
    few = float(np.quantile(held_distances, FEW, method="weibull"))  # on average 5 % of fresh images lie below
    if few == 0:
        copies = int((held_distances == 0).sum())
        raise DataError(
            f"held-out images must not be in the training set: {copies} of {len(held_distances)} are copies of "
            "training images; split the domain again or remove its duplicates."
        )
    return Memorisation(
        median_ratio=float(np.median(distances) / np.median(held_distances)),
        share_nearer=float((distances < few).mean()),
        authenticity=float((spacing[nearest] < squared).mean()),
        held_out_authenticity=float((spacing[held_nearest] < held_squared).mean()),
        nearest=nearest,
        distances=distances,
        held_out_distances=held_distances,
    )


def nearest_first(fake: Floats, real: Floats, block: int = BLOCK) -> NDArray[np.int64]:
    """Rows [n] of ``fake`` [n, d] in the order of their distance to the nearest of ``real`` [m, d]; ties stay in order.

    Raises DataError for empty sets, for features that are not finite or of different width.
    """
    reals, fakes = _checked(("real", real, 1), ("generated", fake, 1))
    return np.argsort(_nearest(reals, fakes, block)[1], kind="stable")


@dataclass(frozen=True)
class _Points:
    """Features [n, d] with what makes distances of them exact: a centre [d] to subtract, squared norms [n] after it."""

    features: Floats
    centre: Array
    norms: Array

    def block(self, rows: slice) -> Array:
        return self.features[rows] - self.centre


def _checked(*sets: tuple[str, Floats, int]) -> list[_Points]:
    """(name, features, least number of rows) to points, all about the mean of the first set; DataError if unfit."""
    require_features(*sets)
    centre = sets[0][1].mean(axis=0, dtype=np.float64)
    return [_Points(features, centre, _squared_norms(features, centre)) for _, features, _ in sets]


def _squared_norms(features: Floats, centre: Array) -> Array:
    norms = np.empty(len(features))
    for start in range(0, len(features), BLOCK):
        part = features[start : start + BLOCK] - centre
        norms[start : start + BLOCK] = np.einsum("nd,nd->n", part, part)
    return norms


def _blocks(a: _Points, b: _Points, block: int, upper: bool = False) -> Iterator[tuple[slice, slice, Array, Array]]:
    """Rows of a, rows of b, their squared distances and the slack of these; ``upper``: only blocks from the diagonal
    on."""
    unit = 2 * a.features.shape[1] * np.finfo(np.float64).eps  # twice the bound of a sum of d products, for ties of two
    for i in range(0, len(a.features), block):
        rows = slice(i, min(i + block, len(a.features)))
        left = -2 * a.block(rows)
        for j in range(i if upper else 0, len(b.features), block):
            columns = slice(j, min(j + block, len(b.features)))
            slack = a.norms[rows, None] + b.norms[None, columns]
            squared = left @ b.block(columns).T
            squared += slack
            slack *= unit
            squared[squared <= slack] = 0
            yield rows, columns, squared, slack


def _squared_radii(points: _Points, k: int, block: int) -> Array:
    """Squared distance [n] of each point to its k-th nearest other point."""
    nearest = np.full((len(points.features), k), np.inf)
    for rows, columns, squared, _ in _blocks(points, points, block, upper=True):
        if rows == columns:
            np.fill_diagonal(squared, np.inf)
        else:  # distances are symmetric: half of the blocks are enough
            nearest[columns] = _smallest(nearest[columns], squared.T)
        nearest[rows] = _smallest(nearest[rows], squared)
    radii: Array = nearest.max(axis=1)
    return radii


def _smallest(known: Array, more: Array) -> Array:
    """The k smallest values of each row of ``known`` [n, k] and ``more`` [n, m] together, in no order."""
    k = known.shape[1]
    return np.partition(np.concatenate([known, more], axis=1), k - 1, axis=1)[:, :k]


def _nearest(to: _Points, points: _Points, block: int) -> tuple[NDArray[np.int64], Array]:
    """Index [n] and squared distance [n] of the point in ``to`` that is nearest to each; the first of equals."""
    index, smallest = np.zeros(len(points.features), dtype=np.int64), np.full(len(points.features), np.inf)
    for rows, columns, squared, _ in _blocks(to, points, block):
        found = squared.argmin(axis=0)
        value = np.take_along_axis(squared, found[None], axis=0)[0]
        better = value < smallest[columns]
        index[columns] = np.where(better, found + rows.start, index[columns])
        smallest[columns] = np.where(better, value, smallest[columns])
    return index, smallest
