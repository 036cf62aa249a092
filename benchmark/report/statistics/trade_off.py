"""The trade-off of fidelity and preservation: dominated area against a fixed corner, preservation at equal fidelity.

Hypervolume in two dimensions, both axes to be minimised: Zitzler and Thiele, IEEE Trans. Evol. Comput. 3 (1999).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

Point = tuple[float, float]
"""(distance or error, fidelity), both better when lower."""


def dominated_share(points: Sequence[Point], corner: Point) -> float:
    """Share of the rectangle from the origin to ``corner`` that ``points`` dominate, negative coordinates counted as 0.

    A point beyond the corner dominates nothing of it. The corner has to be fixed by the domain and not by the points:
    otherwise a method's share depends on its rivals.
    """
    x_end, y_end = corner
    area, lowest = 0.0, y_end
    for x, y in sorted((max(x, 0.0), max(y, 0.0)) for x, y in points):
        if x < x_end and y < lowest:
            area += (x_end - x) * (lowest - y)
            lowest = y
    return area / (x_end * y_end)


def distance_at(path: Sequence[Point], fidelity: float) -> float | None:
    """The least distance at which ``path``, linear between its points, has this fidelity; None where it never does."""
    found = [x for x, y in path if y == fidelity]
    for (x0, y0), (x1, y1) in pairwise(path):
        if (y0 - fidelity) * (y1 - fidelity) < 0:
            found.append(x0 + (x1 - x0) * (fidelity - y0) / (y1 - y0))
    return min(found, default=None)
