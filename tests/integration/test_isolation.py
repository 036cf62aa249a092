"""What a method does to its process costs its own cells; all others are made, and the records say what happened."""

from __future__ import annotations

import contextlib
import json
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest
from command_line import Done, process, start
from waiting import PATIENCE, all_end, comes, working_in

PLUGIN = Path(__file__).parents[1] / "data" / "hostile_methods" / "hostile.py"
TINY = (
    *("run", "--suite", "smoke", "--domains", "toy-rings", "--out", "res", "--threads", "1", "--plugin", str(PLUGIN)),
    *("--set", "train.kimg=0.016", "--set", "train.batch=8", "--set", "eval.samples=8", "--set", "eval.pairs=4"),
    *("--set", "eval.metrics=[kid_randconv]"),
)
SORTS = ("raises", "leaves", "segfaults", "hangs", "leaks", "too_large", "fills", "finetune")


def run(cache: Path, folder: Path, *arguments: str) -> Done:
    return process((*TINY, *arguments), cache, folder)


def records(folder: Path) -> dict[str, dict[str, Any]]:
    """By method."""
    found = [json.loads(path.read_text()) for path in (folder / "res" / "records").glob("*.json")]
    return {record["method"]: record for record in found}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> tuple[Done, Path]:
    """All of them, the harmless one last. The limit of time is only for the one that hangs."""
    folder = tmp_path_factory.mktemp("hostile")
    limit, first = ("--memory-limit", "1.5"), [name for name in SORTS if name not in ("hangs", "finetune")]
    run(cache, folder, "--methods", ",".join(first), *limit)
    run(cache, folder, "--methods", "hangs", *limit, "--time-limit", "0.25")
    return run(cache, folder, "--methods", ",".join(SORTS), *limit, "--only-missing"), folder


@pytest.mark.parametrize(
    ("method", "status", "said"),
    [
        ("raises", "failed", "ZeroDivisionError: by nothing at all (see logs/"),
        ("leaves", "failed", "its process died: exit code 7"),
        ("segfaults", "failed", "its process died: signal SIGSEGV (see logs/"),
        ("hangs", "timed-out", "took longer than 15 s (--time-limit) (see logs/"),
        ("leaks", "out-of-memory", "took more than 1536 MB (--memory-limit)"),
        ("fills", "failed", "No space left on device"),
    ],
)
def test_each_costs_its_own_cell(hostile: tuple[Done, Path], method: str, status: str, said: str) -> None:
    record = records(hostile[1])[method]
    assert (record["status"], said in record["reason"]) == (status, True), record["reason"]


def test_the_others_go_on_and_the_end_names_who_failed(hostile: tuple[Done, Path]) -> None:
    done, folder = hostile
    assert {m for m, r in records(folder).items() if r["status"] == "done"} == {"source", "finetune", "too_large"}
    assert done.code == 1 and "6 of 9 records failed" in done.out
    assert all(f"{method} on toy-rings, seed 0: " in done.out for method in SORTS[:5])
    assert "timed-out" in (folder / "res" / "tables.md").read_text()


def test_logs_say_what_was_printed_and_where_it_hung(hostile: tuple[Done, Path]) -> None:
    logs = hostile[1] / "res" / "logs"

    def log(method: str) -> str:
        return (logs / f"{records(hostile[1])[method]['record_key']}.log").read_text()

    assert "about to divide" in log("raises") and "Traceback" in log("raises")
    assert "in generator_loss" in log("hangs") and "Segmentation fault" in log("segfaults")
    assert not (logs / f"{records(hostile[1])['finetune']['record_key']}.log").exists()


def test_a_batch_that_is_too_large_is_divided_and_the_record_says_so(hostile: tuple[Done, Path]) -> None:
    notes = records(hostile[1])["too_large"]["notes"]
    assert any("out of memory: train.accumulate=2 instead of the planned value" in note for note in notes)


def test_failed_jobs_are_tried_again_or_left_alone_as_asked(hostile: tuple[Done, Path], cache: Path) -> None:
    _, folder = hostile
    before = {path: path.stat().st_mtime_ns for path in (folder / "res" / "records").iterdir()}
    left = run(cache, folder, "--methods", "raises,finetune", "--only-missing")
    assert left.code == 1 and {path: path.stat().st_mtime_ns for path in before} == before
    again = run(cache, folder, "--methods", "raises,finetune", "--retry-failed")
    assert again.code == 1 and "FAILED raises" in again.out
    changed = {path.stem for path, at in before.items() if path.stat().st_mtime_ns != at}
    assert changed == {records(folder)["raises"]["record_key"]}


def test_fail_fast_leaves_the_rest(tmp_path: Path, cache: Path) -> None:
    assert run(cache, tmp_path, "--methods", "raises,finetune", "--fail-fast", "--jobs", "1").code == 1
    assert set(records(tmp_path)) == {"source", "raises"}


HARMLESS = ("--methods", "finetune,layer_swap,freezed")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> dict[str, dict[str, Any]]:
    """The records of harmless methods alone, one job after the other in one process."""
    folder = tmp_path_factory.mktemp("undisturbed")
    done = run(cache, folder, *HARMLESS, "--jobs", "0")
    assert done.code == 0, done
    return records(folder)


def test_two_at_a_time_make_the_same_numbers(
    undisturbed: dict[str, dict[str, Any]], tmp_path: Path, cache: Path
) -> None:
    """With as many threads each; a checkpoint that two jobs share is trained once."""
    done = run(cache, tmp_path, *HARMLESS, "--jobs", "2", "--threads", "2")
    assert done.code == 0, done
    found = records(tmp_path)
    assert {m: r["metrics"] for m, r in undisturbed.items()} == {m: r["metrics"] for m, r in found.items()}
    assert len(list((tmp_path / "res" / "checkpoints").glob("*.safetensors"))) == 2


def test_no_process_is_left(hostile: tuple[Done, Path]) -> None:
    assert comes(lambda: not working_in(hostile[1]))


LEAKING = ("changes_source", "replaces_torch", "default_double")


@pytest.mark.parametrize("jobs", ["0", "1"])
def test_a_method_does_not_change_those_after_it(
    undisturbed: dict[str, dict[str, Any]], tmp_path: Path, cache: Path, jobs: str
) -> None:
    """Same keys, same numbers, same folder, whatever ran before; one of a forgotten copy is told so."""
    run(cache, tmp_path, "--methods", ",".join((*LEAKING, "finetune", "freezed")), "--jobs", jobs)
    found = records(tmp_path)
    for method in ("source", "finetune", "freezed"):
        assert found[method]["status"] == "done"
        assert found[method]["metrics"] == undisturbed[method]["metrics"]
        assert found[method]["record_key"] == undisturbed[method]["record_key"]
    changer = found["changes_source"]
    assert changer["status"] == "failed" and "finalize or noise changed the source in place" in changer["reason"]
    assert {r["method"] for r in found.values()} == {"source", "finetune", "freezed", *LEAKING}


def named(processes: list[psutil.Process]) -> list[str]:
    """The names of those that are still there."""
    found = []
    for one in processes:
        with contextlib.suppress(psutil.Error):
            found.append(one.name())
    return found


def test_what_a_job_started_ends_with_it(tmp_path: Path, cache: Path) -> None:
    """In its process group and out of it, after a normal end and after a time limit."""
    done = run(cache, tmp_path, "--methods", "starts_children")
    assert records(tmp_path)["starts_children"]["status"] == "done", done
    assert comes(lambda: not working_in(tmp_path)), named(working_in(tmp_path))
    run(cache, tmp_path, "--methods", "deaf", "--time-limit", "0.25")
    assert (tmp_path / "deaf").exists(), "it was ended before it had a child"
    assert records(tmp_path)["deaf"]["status"] == "timed-out"
    assert comes(lambda: not working_in(tmp_path)), named(working_in(tmp_path))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_deaf_method_ends_with_its_command(tmp_path: Path, cache: Path, number: int) -> None:
    running = start((*TINY, "--methods", "deaf"), cache, tmp_path)
    assert comes(lambda: (tmp_path / "deaf").exists() or running.poll() is not None)
    everybody = psutil.Process(running.pid).children(recursive=True)
    assert len(everybody) >= 3 and "sleep" in named(everybody)
    running.send_signal(number)
    running.communicate(timeout=PATIENCE)
    assert all_end(everybody) and comes(lambda: not working_in(tmp_path)), named(working_in(tmp_path))
    assert running.returncode == (-number if number == signal.SIGKILL else 128 + number)
