"""How a promise says that it is broken; those of methods and of metrics say it alike."""

from __future__ import annotations

from benchmark.errors import MethodError


class Broken(MethodError):
    """A promise that a method or a metric does not keep."""


def expect(condition: object, message: str) -> None:
    """Broken with the message where the condition does not hold; unlike `assert`, also under `python -O`."""
    if not condition:
        raise Broken(message)
