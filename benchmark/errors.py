"""The tree of errors that the suite raises on purpose.

BenchmarkError            anything that the command line prints on one line, exit code 2
├── ConfigError           a suite, setting or option does not make sense
├── UnknownName           a method, domain, suite, metric or source that is not registered
├── DataError             a folder, ZIP or image that cannot be used
├── WeightsError          a weight file that is missing, altered or of the wrong shape
└── MethodError           a method file that breaks its contract, or a training that diverged

A message says what was asked, what was found and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BenchmarkError(Exception):
    """Base of all errors that are meant for the user."""


class ConfigError(BenchmarkError):
    """A suite, setting or option does not make sense."""


class UnknownName(BenchmarkError):
    """A name that is not registered; the message offers near names."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        known = sorted(known)
        near = difflib.get_close_matches(name, known, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known) or 'none'}."
        super().__init__(f"unknown {kind} {name!r}: {hint}")


class DataError(BenchmarkError):
    """A folder, ZIP or image that cannot be used."""


class WeightsError(BenchmarkError):
    """A weight file that is missing, altered or of the wrong shape."""


class MethodError(BenchmarkError):
    """A method file that breaks its contract, or a training that diverged."""


def as_line(error: BaseException) -> str:
    """An error of any kind on one line: its message where it is written for people, else its type, too."""
    text = str(error) if isinstance(error, BenchmarkError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())
