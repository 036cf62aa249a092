"""Nobody, "Infinity is no JSON" (2024)."""

from benchmark.api import Field, Method


class LosesItsValue(Method):
    """The default is not a number that JSON has."""

    name = "loses_its_value"
    title = "Loses its value"
    paper = "Nobody, Infinity is no JSON, 2024"
    limit: float = Field(float("inf"), description="no limit")
