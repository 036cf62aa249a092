"""Provenance: what a record says of its making, and what it keeps to itself."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.system.hardware import circumstances, command_line, environment


def test_an_environment_says_what_was_run_and_holds_no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hunter2-hunter2")
    monkeypatch.setattr("sys.argv", ["/usr/bin/x.py", "run", "--suite", "smoke"])
    found = environment("cpu")
    assert {"device", "threads", "cores", "torch", "python", "package", "dependencies", "command"} <= found.keys()
    assert found["command"] == "python -m benchmark run --suite smoke"
    assert {"torch", "numpy", "safetensors", "pillow"} <= found["dependencies"].keys()
    assert "hunter2" not in repr(found) + repr(circumstances("cpu"))


@pytest.mark.parametrize(
    ("word", "shown"),
    [
        ("/home/ann/faces", "'~/faces'"),
        ("/home/ann", "'~'"),
        ("a,/home/ann/b,/home/anna/c", "'a,~/b,/home/anna/c'"),
        ("--out=/home/ann/res", "'--out=~/res'"),
        ("/mnt/home/ann/x", "/mnt/home/ann/x"),
        ("$(touch x); rm -rf", "'$(touch x); rm -rf'"),
        (os.fsdecode(b"r\xe9sultats"), r"'r\udce9sultats'"),
    ],
)
def test_home_is_shortened_and_shell_characters_are_quoted(
    word: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "home", lambda: Path("/home/ann"))
    assert command_line(["x", word]) == f"python -m benchmark {shown}"


@given(st.lists(st.text(), max_size=5))
def test_any_command_can_be_read_back(words: list[str]) -> None:
    assert shlex.split(command_line(["x", *words]))[3:] == [w.replace(str(Path.home()), "~") for w in words]
