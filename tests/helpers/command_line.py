"""The real command line, in a process of its own: a new Python, or forked from one that has the libraries."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import forked
from waiting import PATIENCE

import benchmark

ROOT = Path(benchmark.__file__).parents[1]
QUICK = ("--suite", "smoke", "--set", "train.kimg=0.024", "--set", "eval.samples=8", "--set", "eval.pairs=4")
"""Three training steps and eight images."""


@dataclass(frozen=True)
class Done:
    """What a command left."""

    code: int
    out: str
    err: str


def environment(cache: Path) -> dict[str, str]:
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    plain = {"BENCHMARK_CACHE": str(cache), "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
    return {name: value for name, value in os.environ.items() if name != "COLUMNS"} | plain


def start(arguments: Sequence[str], cache: Path, cwd: Path) -> subprocess.Popen[str]:
    """`python -m benchmark ...`, able to be interrupted even where this process was started deaf to Ctrl-C."""
    command = [sys.executable, "-m", "benchmark", *arguments]
    hear = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # noqa: E731
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, stdout=pipe, stderr=pipe, text=True, env=environment(cache), cwd=cwd, preexec_fn=hear
    )


def python(arguments: Sequence[str], cache: Path, cwd: Path) -> Done:
    """`python -m benchmark ...` to its end, by a new Python, as a user starts it."""
    running = start(arguments, cache, cwd)
    out, err = running.communicate(timeout=PATIENCE)
    return Done(running.returncode, out, err)


def process(arguments: Sequence[str], cache: Path, cwd: Path) -> Done:
    """The same in a forked process, which costs no imports."""
    return Done(*forked.run(arguments, cwd, environment(cache), PATIENCE))


@dataclass(frozen=True)
class Finished:
    """A finished run and its command."""

    arguments: tuple[str, ...]
    out: Path
    done: Done
