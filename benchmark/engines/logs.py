"""What tasks and jobs printed, and the last ticks of their trainings."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from benchmark.engines.request import Piece, log_of
from benchmark.system.folder import Folder

MAX_BYTES = 1 << 20
"""At the end of a log."""


def texts_of(out: Path, jobs: Sequence[tuple[int, Piece]], lines: int) -> dict[str, str]:
    """{file below the results folder: its last `lines` lines} for jobs and the tasks that they are in."""
    names: dict[str, None] = {}
    for number, job in jobs:
        names[log_of(out, number).relative_to(out).as_posix()] = None
        names |= {f"logs/{key}.log": None for key in job.records}
        names |= {f"logs/{job.train_key}.error.txt": None, f"logs/{job.train_key}.jsonl": None}
    found = {name: end_of(out, name, lines) for name in names}
    return {name: text for name, text in found.items() if text}


def end_of(out: Path, name: str, lines: int) -> str:
    """The last lines of a file; nothing where it cannot be read."""
    with suppress(OSError):
        return "\n".join(Folder(out).tail(name, MAX_BYTES).decode("utf-8", "replace").splitlines()[-lines:])
    return ""
