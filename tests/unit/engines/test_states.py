"""The state of jobs, told from a results folder: with a scheduler, and without one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from made_records import make

import benchmark
from benchmark.engines.engine import Queued
from benchmark.engines.request import Asked, Piece, Task, log_of
from benchmark.engines.states import JobState, Looks, counts, in_words
from benchmark.results import ResultStore
from benchmark.system.claims import LOST, Owner

NAMES = ("stored", "failed", "running", "silent", "queued", "lost")


def key(name: str, what: str = "a") -> str:
    return (what + name.encode().hex())[:32].ljust(32, "0")


def request() -> Asked:
    tasks = [
        Task(
            suite=0,
            method="finetune",
            jobs=(Piece(label=n, method="m", domain="d", seed=0, train_key=key(n), records=(key(n, "b"),), kimg=2),),
        )
        for n in NAMES
    ]
    return Asked(schema=1, engine="slurm", folder="/", requests=({},), launch={}, tasks=tuple(tasks))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A results folder in which every job is in the state that it is called by."""
    store = ResultStore(tmp_path)
    store.write(make().model_copy(update={"record_key": key("stored", "b")}))
    failed = {"record_key": key("failed", "b"), "status": "failed", "reason": "it diverged"}
    store.write(make().model_copy(update=failed))
    (tmp_path / "locks").mkdir()
    for name, silence in (("running", 1.0), ("silent", LOST + 60)):
        claim = tmp_path / "locks" / f"{key(name)}-0"
        claim.write_text(json.dumps(asdict(replace(Owner(), node="node7", machine="another", since=5.0))))
        os.utime(claim, (time.time() - silence,) * 2)
    (tmp_path / "logs").mkdir()
    ticks = [{"images": n, "seconds": 1.0, "seconds_per_kimg": 60.0, "losses": {}, "ada_p": 0.0} for n in (250, 500)]
    log = "".join(json.dumps(tick) + "\n" for tick in ticks) + '{"images": 7'
    (tmp_path / "logs" / f"{key('running')}.jsonl").write_text(log)
    log_of(tmp_path, 5).parent.mkdir(parents=True)
    log_of(tmp_path, 5).write_text("begun\n\x1b[31mkilled\x1b[0m\n\n")
    return tmp_path


def states(out: Path, queued: Mapping[int, Queued] | None) -> dict[str, JobState]:
    return {state.label: state for state in Looks(out, request()).states(queued)}


def test_what_the_folder_and_the_scheduler_say(out: Path) -> None:
    found = states(out, {4: Queued(False, "pending, Resources")})
    assert {name: state.state for name, state in found.items()} == {name: name for name in NAMES} | {"silent": "lost"}
    running = found["running"]
    assert (running.node, running.since, running.kimg, running.of_kimg) == ("node7", 5.0, 0.5, 2)
    assert running.seconds_left == 1.5 * 60
    assert found["failed"].why == "failed: it diverged" and found["queued"].why == "pending, Resources"
    assert "node7" in found["silent"].why
    assert found["lost"].why.endswith(r"it said last: \x1b[31mkilled\x1b[0m"), "shown, not obeyed"
    assert in_words(counts([*found.values()])) == "1 stored, 1 running, 1 queued, 1 failed, 2 lost"


def test_without_a_scheduler_what_is_done_or_at_work_is_known_all_the_same(out: Path) -> None:
    found = states(out, None)
    assert [found[name].state for name in ("stored", "failed", "running", "silent")] == [
        *("stored", "failed", "running", "lost")
    ]
    assert found["queued"].state == found["lost"].state == "waiting"


def test_a_failed_job_that_is_queued_again_is_queued_and_a_stored_one_stored(out: Path) -> None:
    found = states(out, {number: Queued(True, "node1") for number in range(len(NAMES))})
    assert found["failed"].state == "queued" and found["failed"].why == "its task runs on node1"
    assert found["stored"].state == "stored"


def test_a_second_look_sees_what_has_changed(out: Path) -> None:
    looks = Looks(out, request())
    before = {state.label: state.state for state in looks.states({})}
    ResultStore(out).write(make().model_copy(update={"record_key": key("lost", "b")}))
    ResultStore(out).write(make().model_copy(update={"record_key": key("failed", "b")}))
    after = {state.label: state.state for state in looks.states({})}
    assert before["lost"] == "lost" and after == before | {"lost": "stored", "failed": "stored"}


def test_status_and_cancel_answer_without_torch() -> None:
    """For each engine of this package."""
    code = (
        "import sys\nfrom benchmark.cli import engines\nfrom benchmark.engines import logs, states\n"
        "from benchmark.engines.engine import OWN, find_engine\n[find_engine(name) for name in OWN]\n"
        "assert not {'torch', 'ray', 'pandas'} & set(sys.modules)"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(benchmark.__file__).parents[1])}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def test_a_record_that_was_changed_is_to_be_made_again(out: Path) -> None:
    path = out / "records" / f"{key('stored', 'b')}.json"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))
    assert ResultStore(out).has(key("stored", "b")) is None
    found = states(out, {})["stored"]
    assert (found.state, found.why) == ("lost", "its record was changed after it was stored")
