"""Nobody, "A Field without a Default" (2024)."""

from benchmark.api import Field, Method


class NeedsAValue(Method):
    """Cannot be built from defaults."""

    name = "needs_a_value"
    title = "Needs a value"
    paper = "Nobody, A Field without a Default, 2024"
    weight: float = Field(description="of what?")
