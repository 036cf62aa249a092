"""Domains from installed packages: the entry points of the group `benchmark.domains`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import ConfigError
from benchmark.system.packages import Offer, offers

GROUP = "benchmark.domains"


@dataclass(frozen=True)
class DomainFolder:
    """A folder or ZIP of images that a package brings along, and what has to be said of them."""

    path: Path
    creator: str
    licence: str
    attribution: str
    licence_url: str = ""
    homepage: str = ""
    distance: str = ""
    """How far from the source domain, in words."""

    def facts(self) -> dict[str, str]:
        """As a card holds them."""
        return {name: str(value) for name, value in vars(self).items() if name != "path"}


def package_domains() -> dict[str, Offer]:
    """{name: offer} of installed packages; nothing is imported."""
    return offers(GROUP)


def package_domain(name: str) -> DomainFolder | None:
    """The domain that an entry point of this name offers, itself or by a function; None where there is none.

    ConfigError where its package breaks the contract.
    """
    offer = package_domains().get(name)
    if offer is None:
        return None
    found = offer.made()
    if not isinstance(found, DomainFolder):
        raise ConfigError(f"domain {name}: {offer.origin} offers {type(found).__name__}, not a DomainFolder.")
    if not Path(found.path).exists():
        raise ConfigError(f"domain {name}: {offer.origin} names {found.path}, which does not exist.")
    return found


def images_at(name: str) -> Path | None:
    """The folder or ZIP of images that a domain without a card is, a package's or the user's; None where none is there.

    ConfigError as of `package_domain`.
    """
    packaged = package_domain(name)
    path = Path(packaged.path if packaged else os.path.expanduser(name))
    return path if path.exists() else None
