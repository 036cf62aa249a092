"""Diversity within clusters around training images: intra-LPIPS (Ojha et al. 2021), with collapse counted.

Generated images go to the nearest of a few training images; the score is the mean distance of pairs within a cluster,
averaged over clusters. A cluster with fewer than two images has no pair. The authors' code leaves it out, so that a
generator that reproduces one training image with some variety scores as if it had all of them; here it counts as 0.

Nothing is drawn at random. The centres are the first training images, the members of a cluster its first generated
images (their latents are random already), and the pairs go round the members, so that all take part equally often.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.metrics.base import Images, Score
from benchmark.metrics.catalogue import CENTRES
from benchmark.metrics.networks.features import full_precision
from benchmark.metrics.networks.perceptual import PerceptualNetwork, images_to_distances, to_tensor

ASSIGNED = 1000
"""Generated images that are used, the first ones; as many as in few-shot tables."""
MEMBERS = 50
"""Images of a cluster that take part, the first ones; likewise."""
PAIRS = 50
"""Pairs of a cluster. All 1,225 of 50 members would cost 25 times as much and be hardly more exact."""

Index = NDArray[np.int64]


def images_to_intra(
    net: PerceptualNetwork, fakes: Images, training: Images, device: str, batch: int, tick: Callable[[int], None]
) -> Score:
    """Mean over clusters of the mean pairwise distance; uint8 [n, 3, R, R] and [t, 3, R, R], t >= 1.

    ``tick(k)`` after k images have found their clusters; ``images_seen`` in all.
    """
    fakes, centres = fakes[:ASSIGNED], training[:CENTRES]
    nearest = nearest_centres(net, fakes, centres, device, batch, tick)
    pairs = [np.flatnonzero(nearest == k)[cluster_pairs(int((nearest == k).sum()))] for k in range(len(centres))]
    left, right = np.concatenate(pairs).T
    found = np.empty(0)
    if len(left):
        found = images_to_distances(net, fakes[left], {"pair": fakes[right]}, device, batch, lambda k: None)["pair"]
    parts = np.split(found, np.cumsum([len(p) for p in pairs])[:-1])
    empty = sum(len(part) == 0 for part in parts)
    value = float(np.mean([part.mean() if len(part) else 0.0 for part in parts]))
    return Score.measured(value, len(fakes), note=f"{empty} of {len(centres)} clusters without a pair, counted as 0")


def images_seen(fakes: Images, training: Images) -> int:
    """How many images ``images_to_intra`` ticks."""
    return min(len(fakes), ASSIGNED) + min(len(training), CENTRES)


def nearest_centres(
    net: PerceptualNetwork, images: Images, centres: Images, device: str, batch: int, tick: Callable[[int], None]
) -> Index:
    """Number [n] of the centre that is nearest to each image, the first of equals."""
    nearest = np.empty(len(images), dtype=np.int64)
    with full_precision():
        maps = net.features(to_tensor(centres, device))
        tick(len(centres))
        for start in range(0, len(images), batch):
            part = net.features(to_tensor(images[start : start + batch], device))
            each = [net.distance(part, [x[k : k + 1] for x in maps]) for k in range(len(centres))]
            nearest[start : start + batch] = torch.stack(each).argmin(0).cpu().numpy()
            tick(len(each[0]))
    return nearest


def cluster_pairs(size: int) -> Index:
    """Different pairs [p, 2] of the first members of a cluster: neighbours on a ring, then next but one, and so on.

    All pairs where these are few enough; [0, 2] for fewer than two members.
    """
    m = min(size, MEMBERS)
    rounds = [(i, (i + step) % m) for step in range(1, m // 2 + 1) for i in range(m // 2 if 2 * step == m else m)]
    return np.array(rounds[:PAIRS], dtype=np.int64).reshape(-1, 2)
