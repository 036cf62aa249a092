"""`export` and `generate --video` stopped by real signals just before a file gets its name: no half file has it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from command_line import Finished, environment
from PIL import Image
from waiting import PATIENCE, comes

from benchmark.checkpoints import read_checkpoint

COMMAND = """
import pathlib, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
held, replace = sys.argv.pop(1), pathlib.Path.replace
def slow(self, target):
    while self.suffix == ".tmp" and pathlib.Path(target).name == held:
        pathlib.Path("there").touch()
        time.sleep(0.01)
    return replace(self, target)
pathlib.Path.replace = slow
from benchmark.cli import main
main()
"""
"""The command line; where the file called `held` is whole and would get its name, it says so and waits for ever."""


def start(folder: Path, cache: Path, held: str, arguments: tuple[str, ...]) -> subprocess.Popen[str]:
    (folder / "there").unlink(missing_ok=True)
    (folder / "command.py").write_text(COMMAND)
    pipe = subprocess.PIPE
    command = [sys.executable, "command.py", held, *arguments]
    return subprocess.Popen(command, cwd=folder, env=environment(cache), stdout=pipe, stderr=pipe, text=True)


def stopped(folder: Path, cache: Path, held: str, arguments: tuple[str, ...], number: signal.Signals) -> None:
    """The command until this file is written under another name, then the signal."""
    running = start(folder, cache, held, arguments)
    assert comes(lambda: (folder / "there").exists() or running.poll() is not None)
    running.send_signal(number)
    _, said = running.communicate(timeout=PATIENCE)
    if number == signal.SIGINT:
        assert running.returncode == 130 and len(said.strip().splitlines()) == 1, said
    else:
        assert running.returncode == -number, said


def done(folder: Path, cache: Path, arguments: tuple[str, ...]) -> None:
    running = start(folder, cache, "none", arguments)
    out, said = running.communicate(timeout=PATIENCE)
    assert running.returncode == 0, out + said


def names(folder: Path) -> list[str]:
    """Files that are not hidden."""
    return sorted(path.name for path in folder.glob("*") if not path.name.startswith("."))


@pytest.mark.slow(twin="tests/integration/test_export.py::test_an_export_that_draws_something_else_leaves_no_file")
def test_an_export_that_is_stopped_has_only_whole_files_and_the_same_command_finishes_it(
    finished: Finished, cache: Path, tmp_path: Path
) -> None:
    formats = ("--format", "safetensors", "--format", "torch")
    export = ("export", str(finished.out), "--method", "fixnoise", *formats, "--out", "net")
    net = tmp_path / "net"
    stopped(tmp_path, cache, "README.md", export, signal.SIGKILL)
    assert names(net) == []
    stopped(tmp_path, cache, "generator.safetensors", export, signal.SIGINT)
    assert names(net) == ["README.md", "generator.pt2"], "whoever has a file knows whose it is"
    done(tmp_path, cache, export)
    assert names(net) == ["README.md", "generator.pt2", "generator.safetensors"]
    assert read_checkpoint(net / "generator.safetensors") and torch.export.load(net / "generator.pt2")


@pytest.mark.slow(twin="tests/unit/test_cache.py::test_a_write_that_fails_leaves_the_old_file_and_nothing_else")
def test_a_video_that_is_stopped_leaves_nothing_under_its_name(finished: Finished, cache: Path, tmp_path: Path) -> None:
    few = ("--seeds", "0-1", "--seconds", "0.5", "--fps", "8")
    video = ("generate", str(finished.out), "--method", "fixnoise", *few, "--video", "made/control.webp")
    for number in (signal.SIGKILL, signal.SIGINT):
        stopped(tmp_path, cache, "control.webp", video, number)
        assert names(tmp_path / "made") == []
    done(tmp_path, cache, video)
    with Image.open(tmp_path / "made/control.webp") as image:
        assert image.n_frames == 4
