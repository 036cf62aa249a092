"""Output to a terminal: control characters shown as text, any encoding, and a quiet end when the reader has gone."""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from benchmark.system.signals import Stopped

CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""What a terminal obeys instead of showing it: codes that move, colour, rename or answer, and turns of direction."""


def visible(text: str) -> str:
    """The text with control characters as `\\x1b` or `\\u202e`; line breaks and tabs stay."""
    return CONTROL.sub(lambda found: _escaped(found[0]), text)


def visible_line(text: str) -> str:
    """`visible` on one line: breaks are shown too, so that no text can look like another line of the output."""
    return re.sub("[\n\t]", lambda found: _escaped(found[0]), visible(text))


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()


class Terminal(Console):
    """A console on which no text of a record, file name or method is obeyed."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Segments of what is printed, all of it: tables, lines, progress bars."""
        for segment in super().render(renderable, options):
            plain = segment.control or segment.text.isprintable()
            yield segment if plain else Segment(visible(segment.text), segment.style)


class OutputLost(Stopped):
    """What is printed cannot be written, so the work ends as at Ctrl-C: `why` says the reason."""

    def __init__(self, error: OSError) -> None:
        super().__init__(signal.SIGPIPE)
        self.why = f"error: the output cannot be written: {error.strerror or error}"
        if error.errno != errno.EPIPE:  # a reader that has gone, such as `head`, is what shells call signal 13
            self.code = 2


class _Watched:
    """A text stream whose own errors are told from those of other files."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write; OutputLost where that fails."""
        try:
            return int(self._stream.write(text))
        except OSError as error:
            raise OutputLost(error) from None

    def flush(self) -> None:
        """Write what waits; OutputLost where that fails."""
        try:
            self._stream.flush()
        except OSError as error:
            raise OutputLost(error) from None


@contextmanager
def watched_output() -> Iterator[None]:
    """Standard output and standard error raise OutputLost, and show what their encoding lacks as escapes."""
    before = sys.stdout, sys.stderr
    for stream in before:
        with suppress(AttributeError, ValueError):  # a stream that somebody put there, or none
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    sys.stdout, sys.stderr = (stream and _Watched(stream) for stream in before)  # type: ignore[assignment]
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def drop_output() -> None:
    """Send what still waits nowhere, so that the end of the process does not fail over it."""
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except (OSError, OutputLost):
            with suppress(OSError, ValueError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream.fileno())
                os.close(nowhere)
