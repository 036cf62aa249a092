"""What a run says, for tests to read."""

from __future__ import annotations

from rich.console import Console

from benchmark.system.progress import Bars


class Said(Bars):
    """Bars that keep what was said."""

    def __init__(self) -> None:
        super().__init__(Console(quiet=True))
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)
