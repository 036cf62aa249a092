"""A results folder from somebody else: nothing is read or written outside it, nothing waits, no terminal obeys it."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command_line import QUICK, Done, Finished, process
from hostile_results import ESCAPES, FORMULA, NAMES, PLANTS, key, outside_folder, speaking, untouched

from benchmark.running.worker import captured

READERS = (("report", "res"), ("results", "verify", "res"), ("compare", "res", "good"))
REPORTED = ("a record", "a picture", "a training's log", "the page", "records", "samples", "logs is", "figures")
"""What a report reads or writes; the other commands are quicker."""
SECONDS = 600
"""No command of this file takes so long: who reads a pipe or a device would wait for ever."""


@pytest.fixture(autouse=True)
def impatient(finished: Finished) -> Iterator[None]:
    """From when the run that all start from is there."""

    def give_up(*_: object) -> None:
        pytest.fail("it waits for something that never comes")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def folder(finished: Finished, command: Callable[..., Done]) -> Path:
    """A copy of good results, in the folder where commands are called."""
    shutil.copytree(finished.out, "res")
    shutil.copytree(finished.out, "good")
    return Path("res")


def plain(done: Done) -> bool:
    """Whether the command ended as commands do: no traceback, and no message of many lines."""
    return done.code in (0, 1, 2) and "Traceback" not in done.err and done.err.count("error:") <= 1


@pytest.mark.parametrize("what", PLANTS)
def test_reading_commands_stay_inside_and_end(folder: Path, command: Callable[..., Done], what: str) -> None:
    shown = ("show", key(folder, "record_key"), "--results", "res")
    outside = outside_folder(Path("outside"))
    PLANTS[what](folder, outside.resolve())
    drawn = what.startswith(REPORTED)
    for arguments in (*(READERS if drawn else READERS[1:]), shown):
        done = command(*arguments)
        assert plain(done), done
        assert untouched(outside), f"{arguments} wrote outside"


@pytest.mark.parametrize(
    "what",
    ["a training's log is link", "a training's log is further name", "a training's log is pipe", "a state is link"]
    + ["a lock is link", "a lock is further name", "a lock is pipe", "weights is link"]
    + [f"{name} is a linked folder" for name in ("logs", "samples", "checkpoints", "hashes", "locks", "records")],
)
def test_a_run_into_such_a_folder_writes_nothing_outside(folder: Path, command: Callable[..., Done], what: str) -> None:
    for path in folder.glob("records/*"):  # all of it is to be done again
        path.unlink()
    (folder / "checkpoints").rename("checkpoints")
    outside = outside_folder(Path("outside"))
    shutil.copytree("good/records", folder / "records", dirs_exist_ok=True)  # they say what the keys are
    PLANTS[what](folder, outside.resolve())
    if not (folder / "records").is_symlink():
        shutil.rmtree(folder / "records")
    done = command("run", *QUICK, "--methods", "finetune", "--domains", "toy-rings", "--out", "res")
    assert plain(done) and untouched(outside)
    if "linked folder" in what:
        assert done.code == 2 and "is a link, and nothing is written through links" in done.err
    else:
        assert done.code == 0, done
        assert (folder / NAMES["a training's log"](folder)).read_text("utf-8").startswith("{")


@pytest.mark.parametrize("how", ["huge", "endless", "pipe"])
@pytest.mark.parametrize("name", ["a record", "a picture", "scores of real images", "hashes", "weights"])
def test_a_run_that_finds_what_cannot_be_read_to_its_end_ends(
    folder: Path, command: Callable[..., Done], name: str, how: str
) -> None:
    wanted = sorted(path.name for path in folder.glob("records/*"))
    outside = outside_folder(Path("outside"))
    PLANTS[f"{name} is {how}"](folder, outside.resolve())
    done = command("run", *QUICK, "--methods", "finetune", "--domains", "toy-rings", "--out", "res")
    assert done.code == 0 and plain(done) and untouched(outside), done
    for key_ in wanted:
        assert json.loads((folder / "records" / key_).read_text("utf-8"))["status"] == "done"


@pytest.mark.parametrize("what", ["link", "further name", "pipe"])
def test_what_a_job_prints_does_not_leave_the_folder(folder: Path, what: str) -> None:
    outside, name = outside_folder(Path("outside")), NAMES["a job's log"](folder)
    PLANTS[f"a job's log is {what}"](folder, outside.resolve())

    class Job:
        record_keys = {None: key(folder, "record_key")}  # noqa: RUF012

    with captured(folder, Job()):  # type: ignore[arg-type]
        os.write(1, b"said by a method\n")
    assert (folder / name).read_text("utf-8") == "said by a method\n" and untouched(outside)


def test_an_appended_log_goes_on(folder: Path) -> None:
    class Job:
        record_keys = {None: "a" * 32}  # noqa: RUF012

    for _ in range(2):
        with captured(folder, Job()):  # type: ignore[arg-type]
            os.write(1, b"said\n")
    assert (folder / "logs" / f"{'a' * 32}.log").read_text("utf-8") == "said\nsaid\n"


def test_no_terminal_code_of_a_record_is_printed(folder: Path, command: Callable[..., Done]) -> None:
    speaking(folder)
    shown = ("show", "f" * 12, "--results", "res")
    for arguments in (*READERS, shown):
        done = command(*arguments)
        printed = done.out + done.err
        assert plain(done) and not [c for c in printed if c in ESCAPES and not c.isprintable()], arguments
        assert "\\x1b" in printed, f"{arguments} says nothing of the record: then it shows nothing"
    assert "two\\nlines" in done.out, "a text of two lines looks like two lines of the output"


def test_no_cell_of_a_table_is_a_formula(folder: Path, command: Callable[..., Done]) -> None:
    speaking(folder)
    assert command("report", "res").code == 0
    assert command("compare", "res", "good", "--out", "compared.csv").code == 0
    cells = set[str]()
    for file in (folder / "tables.csv", folder / "provenance.csv", Path("compared.csv")):
        for row in csv.reader(io.StringIO(file.read_text("utf-8"))):
            cells |= set(row)
    assert f"'{FORMULA}" in cells and "'+1+1" in cells
    for cell in cells:
        if cell.startswith(("=", "+", "-", "@")):
            assert cell[0] in "+-" and cell[1].isdigit() and cell != "+1+1"


def test_a_run_goes_on_where_the_workers_log_is_a_link(folder: Path, cache: Path, tmp_path: Path) -> None:
    """The real command, whose jobs have processes and logs of their own."""
    outside = outside_folder(Path("outside"))
    for what in ("a job's log is link", "a training's log is link"):
        PLANTS[what](folder, outside.resolve())
    for path in [*folder.glob("records/*"), *folder.glob("checkpoints/*")]:
        path.unlink()
    done = process(
        ("run", *QUICK, "--methods", "finetune", "--domains", "toy-rings", "--out", "res", "--jobs", "1"),
        cache,
        tmp_path,
    )
    assert done.code == 0 and untouched(outside), done.err
