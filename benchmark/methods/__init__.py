"""The shelf of methods, as a package: in a checkout its modules lie in the top-level folder `methods/`, in a wheel right here."""

from pathlib import Path

_shelf = Path(__file__).parents[2] / "methods"
if (_shelf / "finetune.py").is_file():
    __path__.append(str(_shelf))
