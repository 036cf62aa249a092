"""Paths that cannot be used, such as names that are too long, are told on one line, before anything is drawn."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import QUICK, Done

Command = Callable[..., Done]
LONG = "a" * 300
RUN = ("run", *QUICK, "--methods", "finetune", "--domains", "toy-rings", "--out")


def refused(done: Done, said: str) -> None:
    (line,) = done.err.splitlines()
    assert done.code == 2 and re.match(rf"error: {said}", line), line


@pytest.mark.parametrize("out", [LONG, f"{LONG}/deep", "file", "loop"])
@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_a_run_says_so_before_it_loads_the_domains(
    out: str, more: tuple[str, ...], command: Command, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    done = command(*RUN, out, *more, "--cache", "fresh")
    refused(done, rf"cannot write {out}/records: .*; choose another folder with --out")
    assert not done.out and not (tmp_path / "fresh").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("report", LONG),
        ("results", "verify", LONG),
        ("compare", LONG, LONG),
        ("show", "abcd", "--results", LONG),
        ("generate", LONG),
        ("generate", "--source", "smoke-32", "--seeds", "0", "--out", LONG),
        ("evaluate", LONG, "--against", "smoke", "--domain", "toy-rings"),
        ("sources", "import", LONG),
        ("sources", "verify", f"{LONG}.safetensors"),
        ("sources", "export", "smoke-32", "--to", "nvidia", "--out", LONG),
        ("datasets", "prepare", f"./{LONG}", "--resolution", "32"),
        ("list", "sources", "--cache", LONG),
        ("weights", "list", "--cache", LONG),
        (*RUN, "res", "--suite", f"{LONG}.yaml"),
        (*RUN, "res", "--domains", f"./{LONG}"),
        (*RUN, "res", "--cache", LONG),
    ],
    ids=lambda words: " ".join(words)[:40],
)
def test_other_paths_too(arguments: tuple[str, ...], command: Command, tmp_path: Path) -> None:
    refused(command(*arguments), ".*File name too long")
    assert not list(tmp_path.iterdir())
