"""Nobody, "Between the Points" (2024)."""

from typing import ClassVar

from benchmark.api import Control, Method


class DefaultOffTheGrid(Method):
    """The table's value is not among those of the curve."""

    name = "default_off_the_grid"
    title = "Default off the grid"
    paper = "Nobody, Between the Points, 2024"
    control_name = "strength"
    controls: ClassVar[tuple[Control, ...]] = (0.0, 1.0)
    default_control: ClassVar[Control] = 0.5
