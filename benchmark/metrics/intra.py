"""Diversity within clusters around training images: intra-LPIPS (Ojha et al. 2021), with collapse counted.

Generated images go to the nearest of a few training images; the score is the mean distance of pairs within a cluster,
averaged over clusters. A cluster with fewer than two images has no pair. The authors' code leaves it out, so that a
generator that reproduces one training image with some variety scores as if it had all of them; here it counts as 0.

Nothing is drawn at random. The centres are the first training images, the members of a cluster its first generated
images (their latents are random already), and the pairs go round the members, so that all take part equally often.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.metrics.base import Images, Score
from benchmark.metrics.families import CENTRES
from benchmark.metrics.networks.features import full_precision, to_tensor
from benchmark.metrics.networks.finite import require_finite
from benchmark.metrics.networks.perceptual import PerceptualNetwork, images_to_distances

ASSIGNED = 1000
"""Generated images that are used, the first ones; as many as in few-shot tables."""
MEMBERS = 50
"""Images of a cluster that take part, the first ones; likewise."""
PAIRS = 50
"""Pairs of a cluster. All 1,225 of 50 members would cost 25 times as much and be hardly more exact."""
NO_PAIR = "not available: no training image has two generated images around it; raise eval.samples"

Index = NDArray[np.int64]


@dataclass(frozen=True)
class Clusters:
    """``sizes`` [K]: generated images around each training image; ``means`` [K]: mean distance of a cluster's pairs,
    NaN where it has none; ``n``: generated images in all.
    """

    sizes: Index
    means: NDArray[np.float64]
    n: int


def images_to_intra(
    net: PerceptualNetwork, fakes: Images, training: Images, device: str, batch: int, tick: Callable[[int], None]
) -> Score:
    """Mean over clusters of the mean pairwise distance; arguments as of ``images_to_clusters``."""
    return intra(images_to_clusters(net, fakes, training, device, batch, tick))


def images_to_clusters(
    net: PerceptualNetwork, fakes: Images, training: Images, device: str, batch: int, tick: Callable[[int], None]
) -> Clusters:
    """Generated images, uint8 [n, 3, R, R], around the first training images, [t, 3, R, R], t >= 1.

    ``tick(k)`` after k images have found their clusters; ``images_seen`` in all.
    """
    fakes, centres = fakes[:ASSIGNED], training[:CENTRES]
    nearest = nearest_centres(net, fakes, centres, device, batch, tick)
    sizes = np.bincount(nearest, minlength=len(centres))
    pairs = [np.flatnonzero(nearest == k)[cluster_pairs(int(sizes[k]))] for k in range(len(centres))]
    left, right = np.concatenate(pairs).T
    found = np.empty(0)
    if len(left):
        found = images_to_distances(net, fakes[left], {"pair": fakes[right]}, device, batch, lambda k: None)["pair"]
    parts = np.split(found, np.cumsum([len(p) for p in pairs])[:-1])
    means = np.array([part.mean() if len(part) else np.nan for part in parts])
    return Clusters(sizes, means, len(fakes))


def intra(found: Clusters) -> Score:
    """Mean over clusters, those without a pair counted as 0; not available where no cluster has one."""
    lone = np.isnan(found.means)
    if lone.all():
        return Score.missing(NO_PAIR)
    note = f"{lone.sum()} of {len(lone)} clusters without a pair, counted as 0"
    return Score.measured(float(np.nan_to_num(found.means).mean()), found.n, note=note)


def balanced_intra(found: Clusters) -> Score:
    """Balanced intra-LPIPS (Seo et al. 2023, LFS-GAN): sum over clusters of -p log_K p times the mean distance.

    p is a cluster's share of the generated images and K the number of clusters, so that equal shares make the plain
    mean of distances. Both lopsided clusters and alike images lower it. The authors take the logarithm to base 10 for
    their ten clusters, which is the same, and 1e-5 more for each p, which is left out here.
    """
    if len(found.sizes) < 2:
        return Score.missing("not available: needs two or more training images to have a balance")
    if np.isnan(found.means).all():
        return Score.missing(NO_PAIR)
    shares = found.sizes / found.sizes.sum()
    logs = np.log(np.where(shares > 0, shares, 1)) / math.log(len(shares))
    note = f"share of the largest of {len(shares)} clusters: {shares.max():.3g}"
    return Score.measured(float((-shares * logs * np.nan_to_num(found.means)).sum()), found.n, note=note)


def images_seen(fakes: Images, training: Images) -> int:
    """How many images ``images_to_intra`` ticks."""
    return min(len(fakes), ASSIGNED) + min(len(training), CENTRES)


def nearest_centres(
    net: PerceptualNetwork, images: Images, centres: Images, device: str, batch: int, tick: Callable[[int], None]
) -> Index:
    """Number [n] of the centre that is nearest to each image, the first of equals; DataError as of distances."""
    nearest = np.empty(len(images), dtype=np.int64)
    with full_precision():
        maps = net.features(to_tensor(centres, device))
        tick(len(centres))
        for start in range(0, len(images), batch):
            part = net.features(to_tensor(images[start : start + batch], device))
            each = [net.distance(part, [x[k : k + 1] for x in maps]) for k in range(len(centres))]
            distances = torch.stack(each, dim=1)
            require_finite(distances, "distances to training images", start)
            nearest[start : start + batch] = distances.argmin(1).cpu().numpy()
            tick(len(each[0]))
    return nearest


def cluster_pairs(size: int) -> Index:
    """Different pairs [p, 2] of the first members of a cluster: neighbours on a ring, then next but one, and so on.

    All pairs where these are few enough; [0, 2] for fewer than two members.
    """
    m = min(size, MEMBERS)
    rounds = [(i, (i + step) % m) for step in range(1, m // 2 + 1) for i in range(m // 2 if 2 * step == m else m)]
    return np.array(rounds[:PAIRS], dtype=np.int64).reshape(-1, 2)
