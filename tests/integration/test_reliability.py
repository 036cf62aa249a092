"""Runs that are killed, stopped, doubled or out of space: real processes, and afterwards the records of a quiet run."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import Done, environment, process, python, start
from namespaces import in_namespace, may_mount
from waiting import PATIENCE, comes

from benchmark.errors import WeightsError
from benchmark.stylegan2.weights import read_header, read_tensors

STEPS = 12
RUN = (
    *("run", "--suite", "smoke", "--methods", "finetune", "--domains", "toy-rings", "--out", "res", "--threads", "1"),
    *("--set", f"train.kimg={STEPS * 8 / 1000}", "--set", "train.tick_kimg=0.016", "--set", "eval.samples=8"),
    *("--set", "eval.pairs=4", "--set", "eval.metrics=[kid_randconv]", "--set", "train.checkpoint_minutes=0"),
    *("--set", "train.augment=ada", "--set", "train.pl_weight=2", "--set", "train.snapshot_kimg=[0.04]"),
)
"""A dozen steps of everything that has a state; a checkpoint after each."""


def progress_of(out: Path) -> int:
    """Images of the training that is stored to go on from."""
    for path in (out / "checkpoints").glob("*.progress"):
        try:
            images = read_header(path)["images"]
        except WeightsError:  # it was just finished
            return 0
        assert isinstance(images, int)
        return images
    return 0


def records(out: Path) -> dict[str, Any]:
    """What the records say, but for times and the machine."""
    found = {}
    for path in (out / "records").glob("*.json"):
        found[path.stem] = json.loads(path.read_text())
        del found[path.stem]["timing"], found[path.stem]["environment"]
    return found


def same_weights(one: Path, two: Path) -> None:
    names = {p.name for p in (one / "checkpoints").iterdir()}
    assert names == {p.name for p in (two / "checkpoints").iterdir()} and len(names) == 2
    for name in names:
        (a, meta), (b, other) = (read_tensors(out / "checkpoints" / name) for out in (one, two))
        assert a.keys() == b.keys() and all(a[k].equal(b[k]) for k in a)
        assert {k: v for k, v in meta.items() if k not in ("cost", "ticks")} == {
            k: v for k, v in other.items() if k not in ("cost", "ticks")
        }


def losses(out: Path) -> list[Any]:
    """The training's log, but for times; a tick that was repeated counts as its last course."""
    (log,) = (out / "logs").glob("*.jsonl")
    ticks = {tick["images"]: tick for tick in map(json.loads, log.read_text().splitlines())}
    return [(images, tick["losses"], tick["ada_p"]) for images, tick in sorted(ticks.items())]


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """The results folder of a run that nothing disturbed, all in one process."""
    folder = tmp_path_factory.mktemp("quiet")
    done = process((*RUN, "--jobs", "0"), cache, folder)
    assert done.code == 0, done.err
    return folder / "res"


@pytest.mark.slow(twin="tests/integration/test_cli.py::test_an_interrupted_run_goes_on_to_the_same_records")
def test_a_run_killed_at_random_steps_ends_with_the_same_bits(quiet: Path, cache: Path, tmp_path: Path) -> None:
    out = tmp_path / "res"
    assert any(stopped_twice(cache, tmp_path, number) for number in range(20))
    assert not list((out / "checkpoints").glob("*[0-9a-f].safetensors"))
    done = process(RUN, cache, tmp_path)
    assert done.code == 0, done.err
    same_weights(out, quiet)
    assert records(out) == records(quiet)
    assert losses(out) == losses(quiet)
    assert not list(out.rglob("*.tmp")) and not list(out.rglob("*.progress"))


def stopped_twice(cache: Path, folder: Path, number: int) -> bool:
    """Killed and told to stop while it trains; False, and all is as before, where it was over before we looked."""
    out, rng = folder / "res", random.Random(number)
    for end, code in ((signal.SIGKILL, -9), (signal.SIGTERM, 143)):
        goal = progress_of(out) + 8 * rng.randint(1, 3)
        running = start(RUN, cache, folder)
        assert comes(lambda goal=goal, running=running: progress_of(out) >= goal or running.poll() is not None)
        running.send_signal(end)
        _, err = running.communicate(timeout=PATIENCE)
        assert "Traceback" not in err
        if list((out / "checkpoints").glob("*[0-9a-f].safetensors")):
            shutil.rmtree(out)
            return False
        assert running.returncode == code
        assert progress_of(out) >= goal, "what was done is kept"
    return True


@pytest.mark.slow(twin="tests/unit/system/test_claims.py::test_many_that_want_it_have_it_one_after_the_other")
def test_two_runs_at_once_share_the_work(quiet: Path, tmp_path: Path) -> None:
    """One results folder, one cache that is empty: everything is drawn, trained and measured once."""
    runs = [start(RUN, tmp_path / "cache", tmp_path) for _ in range(2)]
    said_by = [run.communicate(timeout=PATIENCE) for run in runs]
    done = [Done(run.returncode, *texts) for run, texts in zip(runs, said_by, strict=True)]
    assert [d.code for d in done] == [0, 0], done
    said = Counter(re.findall(r"(?:draw|train|evaluate) [\w-]+", "\n".join(d.out for d in done)))
    assert said and set(said.values()) == {1}, said
    assert records(tmp_path / "res") == records(quiet)
    same_weights(tmp_path / "res", quiet)


@pytest.mark.slow(twin="tests/unit/system/test_claims.py::test_a_claim_ends_with_its_owner_however_it_dies")
def test_a_dead_owners_claim_is_free(quiet: Path, cache: Path, tmp_path: Path) -> None:
    """A process that holds every claim is killed while another waits for it."""
    code = (
        "import sys, time\nfrom contextlib import ExitStack\nfrom pathlib import Path\n"
        "from benchmark.system.claims import claimed\n"
        "stack = ExitStack()\n[stack.enter_context(claimed(Path('res/locks', key))) for key in sys.argv[1:]]\n"
        "print('held', flush=True)\ntime.sleep(6000)\n"
    )
    found = [path.stem for folder in ("records", "checkpoints") for path in (quiet / folder).iterdir()]
    keys = [name for name in found if "-" not in name]  # snapshots belong to the claim of their training
    command = [sys.executable, "-c", code, *keys]
    owner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment(cache), cwd=tmp_path)
    assert owner.stdout is not None and owner.stdout.readline() == "held\n"
    running = start(RUN, cache, tmp_path)
    assert running.stdout is not None
    waited = any("another process is running it" in line for line in running.stdout)
    owner.kill()
    owner.communicate()
    assert running.communicate(timeout=PATIENCE) and running.returncode == 0 and waited
    assert records(tmp_path / "res") == records(quiet)
    assert not list((tmp_path / "res" / "locks").glob("*-*"))


@pytest.fixture
def namespaces(tmp_path: Path) -> None:
    if not may_mount(tmp_path):
        pytest.skip("this user may not mount a file system of a given size")


QUOTED = " ".join(f"'{word}'" for word in RUN)


@pytest.mark.usefixtures("namespaces")
def test_a_full_disk_stops_cleanly_and_space_lets_it_go_on(quiet: Path, cache: Path, tmp_path: Path) -> None:
    """Results on a file system of their own that is too small, then large enough; the cache is on another one."""
    done = in_namespace(
        "mkdir res && mount -t tmpfs -o size=300k small res\n"
        f"$PYTHON -m benchmark {QUOTED} >first.out 2>first.err && exit 99 || echo $? >first.code\n"
        "mkdir kept && cp -r res/records kept\nmount -o remount,size=64m res\n"
        f"$PYTHON -m benchmark {QUOTED}\ncp -r res after",
        tmp_path,
        cache,
    )
    assert done.code == 0, done
    err, code = (tmp_path / "first.err").read_text(), (tmp_path / "first.code").read_text().strip()
    assert "Traceback" not in err and code in ("1", "2")
    assert "No space left on device" in (tmp_path / "first.out").read_text() + err
    whole = records(tmp_path / "kept")
    assert all(record == records(quiet)[key] for key, record in whole.items() if record["status"] == "done")
    assert records(tmp_path / "after") == records(quiet)
    same_weights(tmp_path / "after", quiet)
    assert not list((tmp_path / "after").rglob("*.tmp"))


@pytest.mark.usefixtures("namespaces")
def test_a_cache_that_cannot_be_written_is_read(quiet: Path, cache: Path, tmp_path: Path) -> None:
    read_only = f"mount --bind {cache} {cache} && mount -o remount,bind,ro {cache} && ! touch {cache}/x 2>/dev/null\n"
    done = in_namespace(f"{read_only}$PYTHON -m benchmark {QUOTED}", tmp_path, cache)
    assert done.code == 0, done.err
    assert records(tmp_path / "res") == records(quiet)
    other = QUOTED.replace("toy-rings", "toy-disks")
    done = in_namespace(f"{read_only}$PYTHON -m benchmark {other}", tmp_path, cache)
    assert done.code == 2 and re.fullmatch(
        r"error: cannot write to .*cache\d*: Read-only.*; choose another .*\n", done.err
    )


def test_moved_folders_are_as_good_and_verified(quiet: Path, cache: Path, tmp_path: Path) -> None:
    """Another results folder, another cache folder: nothing is made again, and hashes tell one bit."""
    shutil.copytree(quiet, tmp_path / "moved" / "res")
    shutil.copytree(cache, tmp_path / "moved" / "cache")
    done = process(RUN, tmp_path / "moved" / "cache", tmp_path / "moved")
    assert done.code == 0 and "0 records to make" in done.out and "draw " not in done.out
    verify = ("results", "verify", "moved/res")
    done = process(verify, cache, tmp_path)
    assert done.code == 0 and re.search(r"^\d+ files as they were stored, 0 bad, 0 gone, 0 without", done.out, re.M)
    (path, _) = sorted((tmp_path / "moved/res/checkpoints").glob("*.safetensors"))
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    done = process(verify, cache, tmp_path)
    assert done.code == 1 and f"BAD: checkpoints/{path.name}: is not what was stored" in done.out
    for command in ("info", "verify", "prune"):
        done = process(("cache", command), tmp_path / "moved" / "cache", tmp_path)
        assert done.code == 0 and not done.err, done


def test_names_of_folders_that_are_no_utf8_cost_nothing(cache: Path, tmp_path: Path) -> None:
    out = os.fsdecode(b"r\xe9sultats")
    done = python((*RUN, "--out", out, "--set", "train.kimg=0.008"), cache, tmp_path)
    assert done.code == 0 and "Traceback" not in done.err, done
    found = [json.loads(path.read_bytes()) for path in (tmp_path / out / "records").glob("*.json")]
    assert [record["status"] for record in found] == ["done", "done"]
    assert all(r"--out 'r\udce9sultats'" in record["environment"]["command"] for record in found)


def test_the_user_is_not_in_the_records(quiet: Path, cache: Path, tmp_path: Path) -> None:
    for path in (quiet / "records").glob("*.json"):
        found = json.loads(path.read_text())["environment"]
        assert found["command"].startswith("python -m benchmark run --suite smoke") and found["threads"] == 1
        assert found["started"] <= found["ended"] and found["dependencies"]["numpy"]
        text = path.read_text()
        assert not [value for name, value in os.environ.items() if len(value) > 12 and value in text], "no variable"


def test_the_place_of_the_cache_is_not_in_the_records(
    command: Callable[..., Done], cache: Path, tmp_path: Path
) -> None:
    """Nor in what real images score."""
    done = command(
        *RUN, "--set", "eval.metrics=[kid_randconv,fid,lpips_vgg]", "--set", "train.kimg=0.008", "--jobs", "0"
    )
    assert done.code == 0, done.err
    files = [*(tmp_path / "res/records").glob("*.json"), *(tmp_path / "res/reals").glob("*.json")]
    texts = [path.read_text() for path in files]
    assert len(texts) == 3 and all("put it into CACHE/weights" in text for text in texts)
    assert not [text for text in texts if str(cache) in text]
