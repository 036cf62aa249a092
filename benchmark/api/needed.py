"""Files that methods need: a method declares them in `needs`, and the caller that trains it passes their paths."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from benchmark.errors import MethodError

_GIVEN: ContextVar[Mapping[str, Path] | None] = ContextVar("given", default=None)


@contextmanager
def given(files: Mapping[str, Path]) -> Iterator[None]:
    """Let `needed` find these files, {key: path}, checked by whoever calls this."""
    before = _GIVEN.set(files)
    try:
        yield
    finally:
        _GIVEN.reset(before)


def needed(key: str) -> Path:
    """The file of a key that the method declares in `needs`. MethodError where it was not handed in."""
    files = _GIVEN.get() or {}
    if key not in files:
        raise MethodError(f"needs the file {key}, which was not given: name it in `needs` of the method's class.")
    return files[key]
