"""Check what a method's hook returned, so that a forgotten `return` is named where it happened."""

from __future__ import annotations

from typing import TypeVar

from benchmark.errors import MethodError

T = TypeVar("T")
LOSSES = "{name: scalar}, or {} for no losses"
"""What hooks about losses return."""
PARAMETERS = "parameters of nets.g and nets.d, or () for none"
"""What hooks about parameters return."""


def returned(name: str, hook: str, value: T, kind: type, wanted: str) -> T:
    """What a hook of method `name` returned; MethodError where it is no `kind`, such as None."""
    if not isinstance(value, kind):
        what = "None" if value is None else f"a {type(value).__name__}"
        raise MethodError(f"{name}.{hook}() returned {what}: return {wanted}.")
    return value
