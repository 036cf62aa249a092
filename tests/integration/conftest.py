"""The real command line: in a process of its own, or in this one where many calls have to be quick."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

import benchmark
from benchmark.cli import main

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


def process(arguments: Sequence[str], cache: Path, cwd: Path) -> Done:
    """`python -m benchmark ...` to its end."""
    running = start(arguments, cache, cwd)
    out, err = running.communicate(timeout=300)
    return Done(running.returncode, out, err)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache that all tests share."""
    return tmp_path_factory.mktemp("cache")


@dataclass(frozen=True)
class Finished:
    """A finished run and its command."""

    arguments: tuple[str, ...]
    out: Path
    done: Done


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Finished:
    """Three methods on one toy domain; two trainings, since one method re-uses another's."""
    folder = tmp_path_factory.mktemp("run")
    arguments = ("run", *QUICK, "--methods", "finetune,layer_swap,fixnoise", "--domains", "toy-rings", "--out", "res")
    return Finished(arguments, folder / "res", process(arguments, cache, folder))


@pytest.fixture
def command(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Done]:
    """The same command line called in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCHMARK_CACHE", str(cache))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("BENCHMARK_JOBS", "0")  # this process, not another

    def call(*arguments: str) -> Done:
        with monkeypatch.context() as patch, warnings.catch_warnings():
            patch.setattr(sys, "argv", ["benchmark", *arguments])
            capsys.readouterr()
            try:
                main()
                code = 0
            except SystemExit as stopped:
                code = int(stopped.code or 0)
            return Done(code, *capsys.readouterr())

    return call
