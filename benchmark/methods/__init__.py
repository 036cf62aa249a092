"""The shelf of methods as a package: a checkout has the modules in the top-level `methods/`, a wheel right here."""

from pathlib import Path

_root = Path(__file__).parents[2]
if (_root / "methods").is_dir() and (_root / "pyproject.toml").is_file():  # never somebody else's site-packages/methods
    __path__.append(str(_root / "methods"))
