"""Damage of checkpoint files: the exceptions that reading one may raise, and how a message quotes a file."""

from __future__ import annotations

import struct

from benchmark.errors import WeightsError

DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    RecursionError,
    RuntimeError,
    struct.error,
    TypeError,
    ValueError,
)
"""What reading a damaged file may raise; each becomes a WeightsError."""


def shown(value: object, most: int = 100) -> str:
    """What a file says, short and printable: its names end up in messages and on cards."""
    return "".join(c if c.isprintable() else "?" for c in str(value)[:most])


def plain(error: BaseException) -> str:
    """An exception's text, short and printable (a file's bytes may be in it)."""
    return shown(f"{error}" or type(error).__name__, 120)


def unreadable(where: str, error: BaseException) -> WeightsError:
    """What to raise for any damage."""
    why = plain(error)
    if why.startswith("at position 0, opcode"):
        why = "it begins as none of their formats does"
    return WeightsError(
        f"{where} cannot be read as a checkpoint ({why}): truncated, damaged or another format? Fetch it again."
    )
