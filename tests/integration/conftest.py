"""The real command line: in a process of its own, or in this one where many calls have to be quick."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
from command_line import QUICK, Done, Finished, python

from benchmark.cli import main
from benchmark.system.locks import alone


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache that all tests share."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Finished:
    """Three methods on one toy domain; two trainings, since one method re-uses another's.

    One job at a time on every machine, so that what is said tells what is stored.

    It is made by the first test process that asks for it, and shared by all.
    """
    asked = ("--methods", "finetune,layer_swap,fixnoise", "--domains", "toy-rings")
    arguments = ("run", *QUICK, *asked, "--out", "res", "--jobs", "1")
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    folder, note = shared / "finished", shared / "finished.json"
    with alone(shared / "finished.lock"):
        if not note.exists():
            folder.mkdir()
            note.write_text(json.dumps(asdict(python(arguments, cache, folder))))
    return Finished(arguments, folder / "res", Done(**json.loads(note.read_text())))


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
