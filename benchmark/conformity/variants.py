"""The same method with another value of a field, for each field of which one can be guessed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import ValidationError

from benchmark.api import Method


def variants(method: Method) -> Iterator[tuple[str, Method]]:
    """(field, the method with another valid value of it), for each field of which one can be guessed."""
    for name, info in type(method).model_fields.items():
        for value in guesses(getattr(method, name), info.annotation):
            try:
                other = type(method).model_validate(dict(method) | {name: value})
            except ValidationError:
                continue
            if getattr(other, name) != getattr(method, name):
                yield name, other
                break


def guesses(value: Any, annotation: Any) -> Iterator[Any]:
    yield from (a for a in get_args(annotation) if isinstance(a, (str, int, float)))
    if isinstance(value, Method):
        yield from (other for _, other in variants(value))
    elif isinstance(value, bool):
        yield not value
    elif isinstance(value, (int, float)):
        yield from (value + 1, value - 1, value * 2, value / 2)
    elif isinstance(value, tuple):
        yield from (value[:-1], value + value[-1:])
    yield from (1, 0.5, "x")
