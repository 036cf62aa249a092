"""Output: nothing in a text is obeyed by the terminal, and its loss is told from other errors."""

from __future__ import annotations

import errno
import io
import os
import sys
from pathlib import Path

import pytest
from rich.console import Group
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from benchmark.system.text.terminal import OutputLost, Terminal, visible, visible_line, watched_output

HOSTILE = "a\x1b[31mred\x1b]0;title\x07\x9b2J\x7f\u202eb\u2066c\x00d\re"
HARMLESS = "Ünïcode 漢字 ± ↓ \N{GRINNING FACE}\n\ttabbed"


def obeyed(text: str) -> list[str]:
    return [c for c in text if not c.isprintable() and c not in "\n\t"]


def test_control_characters_are_shown_and_other_text_stays() -> None:
    assert visible(HARMLESS) == HARMLESS
    assert visible("a\x1b[31m\u202e\x9b") == "a\\x1b[31m\\u202e\\x9b"
    assert not obeyed(visible(HOSTILE))
    assert visible_line("one\ntwo\t\x1b") == "one\\ntwo\\t\\x1b"


@pytest.mark.parametrize("terminal", [False, True])
def test_a_console_shows_them_in_whatever_is_printed(terminal: bool) -> None:
    table = Table(title=Text(HOSTILE))
    table.add_column(Text(HOSTILE))
    table.add_row(Text(HOSTILE))
    file = io.StringIO()
    console = Terminal(file=file, force_terminal=terminal, color_system=None, width=100)
    console.print(HOSTILE, markup=False, highlight=False, soft_wrap=True)
    console.print(Group(table, Text(HOSTILE)))
    assert not obeyed(file.getvalue()) and file.getvalue().count("\\x1b[31mred") == 5


def test_progress_bars_move_the_cursor_and_their_texts_do_not() -> None:
    file = io.StringIO()
    console = Terminal(file=file, force_terminal=True, width=100, legacy_windows=False)
    with Progress(console=console, auto_refresh=False) as bars:
        bars.add_task(f"{HOSTILE} [b]", total=1)
        bars.refresh()
    assert "\x1b[?25l" in file.getvalue(), "the bar hides the cursor"
    assert "\x1b]0" not in file.getvalue() and "\\x1b]0" in file.getvalue()


def unbuffered(descriptor: int) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.FileIO(descriptor, "wb"), encoding="utf-8", write_through=True)  # type: ignore[type-var]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_full_disk_behind_the_output_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with unbuffered(os.open("/dev/full", os.O_WRONLY)) as full:
        monkeypatch.setattr(sys, "stdout", full)
        with watched_output(), pytest.raises(OutputLost) as caught:
            print("↓")
    assert caught.value.code == 2 and os.strerror(errno.ENOSPC) in caught.value.why


def test_a_reader_that_has_gone_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with unbuffered(writing) as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        with watched_output(), pytest.raises(OutputLost) as caught:
            Terminal().print("text")
    assert caught.value.code == 141


def test_an_encoding_without_a_character_costs_no_command(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii", newline="\n"))
    with watched_output():
        print("0.5 ± 0.1 ↓", flush=True)
    assert raw.getvalue() == b"0.5 \\xb1 0.1 \\u2193\n"
