"""Entry points of installed packages: names without an import, objects on request.

An offer may fail in any way: whatever goes wrong while it is imported is noted in that offer.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from benchmark.errors import ConfigError, as_line


@dataclass(frozen=True)
class Offer:
    """An entry point, not yet imported."""

    name: str
    origin: str
    """Its package and version, for people."""
    point: EntryPoint

    def load(self) -> object:
        """What it names; ConfigError where that cannot be imported."""
        try:
            found: object = self.point.load()
        except (Exception, SystemExit) as error:
            raise ConfigError(f"{self.name}: {self.origin} cannot be imported ({as_line(error)}).") from error
        return found

    def made(self) -> object:
        """What it names, or what the function that it names returns; ConfigError where either fails."""
        found = self.load()
        if not callable(found):
            return found
        try:
            return found()  # type: ignore[no-any-return]
        except (Exception, SystemExit) as error:
            raise ConfigError(f"{self.name}: the function of {self.origin} failed ({as_line(error)}).") from error


@cache
def offers(group: str) -> dict[str, Offer]:
    """{name: offer} of a group of entry points, by name; of two packages with one name the first in order has it."""
    found: dict[str, Offer] = {}
    for point in sorted(entry_points(group=group), key=lambda point: (point.name, point.value)):
        origin = f"package {point.dist.name} {point.dist.version}" if point.dist else f"package of {point.module}"
        found.setdefault(point.name, Offer(point.name, origin, point))
    return found
