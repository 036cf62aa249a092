"""The note of a results folder: what a person has to say of its numbers, to stand beside them in every report."""

from __future__ import annotations

from pathlib import Path

from benchmark.system.folder import Folder
from benchmark.system.text.terminal import visible_line

FILE = "NOTE.md"
MAX_BYTES = 1 << 14
EMPHASIS = str.maketrans("", "", "*`")


def read_note(results: Path, problems: list[str]) -> tuple[str, ...]:
    """The lines of the folder's `NOTE.md` without Markdown's emphasis; none where there is no such file.

    A file that cannot be read costs a line of `problems`.
    """
    try:
        text = Folder(results).read(FILE, MAX_BYTES).decode("utf-8", "replace")
    except FileNotFoundError:
        return ()
    except OSError as error:
        problems.append(f"{FILE} is left out: it {error.strerror or error}")
        return ()
    return tuple(visible_line(line.translate(EMPHASIS).strip()) for line in text.splitlines() if line.strip())
