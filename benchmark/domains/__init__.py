"""The images that a generator is adapted to: from a name to uint8 images, split and cached.

They are drawn, or read from a user's folder or ZIP, or prepared from the files of the field's standard sets.
`load` is imported on first use, so that cards and files alone need neither NumPy nor Pillow.
"""

from typing import TYPE_CHECKING

from benchmark.domains.packaged import DomainFolder

if TYPE_CHECKING:
    from benchmark.domains.load import Domain, load_domain, set_apart
else:

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from benchmark.domains import load

        return getattr(load, name)


__all__ = ["Domain", "DomainFolder", "load_domain", "set_apart"]
