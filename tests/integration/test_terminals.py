"""The real command line behind pipes, full disks and old locales, and with plug-ins that mean harm."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import QUICK, environment
from waiting import PATIENCE

MINE = "from benchmark.api import Method\nclass Mine(Method):\n    name = 'mine'\n"


def call(cache: Path, cwd: Path, *arguments: str, out: int = subprocess.PIPE, **variables: str) -> tuple[int, str, str]:
    """(exit code, output, errors)."""
    command = [sys.executable, "-m", "benchmark", *arguments]
    known = {name: value for name, value in environment(cache).items() if name != "PYTHONIOENCODING"}
    done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, cwd=cwd, env=known | variables, timeout=PATIENCE)
    return done.returncode, (done.stdout or b"").decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")


def one_line(err: str) -> bool:
    return len(err.strip().splitlines()) == 1 and "Traceback" not in err


def test_a_full_disk_behind_the_output_is_one_line(cache: Path, tmp_path: Path) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    for arguments in (("list", "suites"), ("list", "methods"), ("--help",), ("cache", "info")):
        code, _, err = call(cache, tmp_path, *arguments, out=full)
        assert code == 2 and one_line(err) and "No space left on device" in err, arguments
    os.close(full)


@pytest.mark.slow(twin="tests/integration/test_terminals.py::test_a_full_disk_behind_the_output_is_one_line")
def test_a_run_whose_reader_has_gone_says_so_and_resumes(cache: Path, tmp_path: Path) -> None:
    run = ("run", *QUICK, "--methods", "finetune", "--domains", "toy-rings", "--out", "res", "--jobs", "1")
    reading, writing = os.pipe()
    os.close(reading)
    code, _, err = call(cache, tmp_path, *run, out=writing)
    os.close(writing)
    assert code == 141 and one_line(err) and "the same command again to resume" in err
    code, _, err = call(cache, tmp_path, *run)
    assert code == 0, err


@pytest.mark.parametrize("variables", [{"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "latin-1"}])
def test_an_output_of_few_characters_shows_tables(cache: Path, tmp_path: Path, variables: dict[str, str]) -> None:
    for what in ("domains", "methods"):
        code, out, err = call(cache, tmp_path, "list", what, **variables)
        assert code == 0 and out and not err


@pytest.mark.slow(twin="tests/integration/test_terminals.py::test_an_output_of_few_characters_shows_tables")
def test_a_locale_without_utf_8_runs(cache: Path, tmp_path: Path) -> None:
    """With Python's own remedies off, as on systems whose locale is another 8-bit one."""
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    run = ("run", *QUICK, "--methods", "finetune", "--domains", "toy-rings", "--out", "res", "--jobs", "1")
    code, _, err = call(cache, tmp_path, *run, **plain)
    assert code == 0, err
    assert "±" in (tmp_path / "res/tables.md").read_text("utf-8")


@pytest.mark.parametrize(
    "text", ["import os\nos._exit(0)\n", "raise GeneratorExit\n", "import torch\ntorch.randn = None\n"]
)
def test_a_plug_in_that_ends_the_import_is_one_line(cache: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "mine.py").write_text(text + MINE)
    code, _, err = call(cache, tmp_path, "run", *QUICK, "--methods", "mine", "--plugin", "mine.py", "--dry-run")
    assert code == 2 and one_line(err) and "plug-in mine.py" in err


def test_a_broken_plug_in_that_nobody_asked_for_is_named(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "torn.py").write_text("class Torn(Method:\n")
    wanted = ("run", *QUICK, "--methods", "finetune", "--domains", "toy-rings", "--plugin", "torn.py", "--dry-run")
    code, out, err = call(cache, tmp_path, *wanted)
    assert code == 0 and "finetune" in out
    assert one_line(err) and err.startswith("note: method torn: plug-in torn.py cannot be imported (SyntaxError")


def test_a_run_of_several_processes_is_refused(cache: Path, tmp_path: Path) -> None:
    code, _, err = call(cache, tmp_path, "run", *QUICK, WORLD_SIZE="2", RANK="0")
    assert code == 2 and one_line(err) and "WORLD_SIZE" in err and "--jobs 2" in err
