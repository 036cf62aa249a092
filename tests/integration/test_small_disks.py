"""Disks of 20 MB that are nearly full, and no shared memory: one line, nothing is lost, the same command ends well."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import QUICK, Finished, environment, process
from namespaces import in_namespace, may_mount
from PIL import Image

from benchmark.stylegan2.weights import read_tensors

RUN = ("run", *QUICK, "--methods", "finetune", "--domains", "toy-rings", "--out", "res", "--jobs", "1")
SCRIPT = """
mkdir -p start disk && mount -t tmpfs -o size=20m small disk && cp -r start/. disk && cd disk
for left in $LEFT; do
  rm -f filler
  fallocate -l $(($(df --output=avail -k . | tail -1) - left))k filler
  "$@" >../$left.out 2>../$left.err && echo 0 >../$left.code || echo $? >../$left.code
  cp -r . ../after.$left
  rm -f ../after.$left/filler
done
rm -f filler
"$@" >../end.out 2>../end.err && echo 0 >../end.code || echo $? >../end.code
cp -r . ../after.end
"""
TRAIN = """
import sys
from benchmark.config import DomainConfig, TrainConfig
from benchmark.sources import find_source, training
from benchmark.sources.source import Recipe
sizes = TrainConfig(kimg=0.064, batch=8, tick_kimg=0.016, precision="fp32")
about = {"domain": "toy-disks", "split": DomainConfig(train=64, test=16)}
nets = find_source("smoke-32").card.networks
training._recipe = lambda name, kimg: Recipe(**about, networks=nets, train=sizes, snapshot_kimg=0.016)
if __name__ == "__main__":
    from benchmark.cli import main
    main()
"""


@pytest.fixture(autouse=True)
def mountable(tmp_path: Path) -> None:
    if not may_mount(tmp_path):
        pytest.skip("this user may not mount a file system of a given size")


def on_small_disk(folder: Path, left: tuple[int, ...], *command: str) -> None:
    """Call a command on a disk with so many kB free, then on one with enough; `start` is what lies there at first."""
    done = in_namespace(f"LEFT='{' '.join(map(str, left))}'\n{SCRIPT}", folder, folder / "disk/cache", command)
    assert done.code == 0, done
    short = []
    for free in left:
        out, err, code = ((folder / f"{free}.{what}").read_text() for what in ("out", "err", "code"))
        assert "Traceback" not in err and code.strip() in ("0", "1", "2"), (free, err)
        assert len([line for line in err.splitlines() if not line.startswith(("note:", "warning:"))]) <= 1, (free, err)
        short += [free] if code.strip() != "0" else []
        assert code.strip() == "0" or "No space left on device" in out + err, (free, out, err)
    assert short, "there was enough room everywhere: this tested nothing"
    assert (folder / "end.code").read_text().strip() == "0", (folder / "end.err").read_text()
    assert not list((folder / "after.end").rglob("*.tmp"))


def records(out: Path) -> dict[str, object]:
    found = [json.loads(path.read_text()) for path in (out / "records").glob("*.json")]
    return {record["record_key"]: record["metrics"] for record in found if record["status"] == "done"}


def test_a_run(finished: Finished, tmp_path: Path) -> None:
    left = (100, 600, 800)
    on_small_disk(tmp_path, left, sys.executable, "-m", "benchmark", *RUN)
    expected = records(finished.out)
    made = records(tmp_path / "after.end/res")
    assert len(made) == 2 and all(expected[key] == value for key, value in made.items())
    for free in left:
        kept = records(tmp_path / f"after.{free}/res")
        assert all(expected[key] == value for key, value in kept.items())
    assert (tmp_path / "after.end/res/tables.md").is_file()


def test_a_report(finished: Finished, tmp_path: Path) -> None:
    shutil.copytree(
        finished.out, tmp_path / "start/res", ignore=shutil.ignore_patterns("*.tex", "page.html", "figures")
    )
    on_small_disk(tmp_path, (60, 500), sys.executable, "-m", "benchmark", "report", "res")
    assert records(tmp_path / "after.60/res") == records(finished.out)
    for name in ("tables.md", "tables.csv", "page.html"):
        assert (tmp_path / "after.end/res" / name).read_bytes() == (finished.out / name).read_bytes(), name


def test_a_preparation(tmp_path: Path) -> None:
    (tmp_path / "start/mine").mkdir(parents=True)
    for number in range(24):
        pixels = np.random.default_rng(number).integers(0, 256, (160, 160, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"start/mine/{number}.png")
    prepare = ("datasets", "prepare", "mine", "--resolution", "128", "--workers", "1", "--out", "out")
    on_small_disk(tmp_path, (300,), sys.executable, "-m", "benchmark", *prepare)
    assert not list((tmp_path / "after.300").rglob("*.zip"))
    assert process(prepare, tmp_path / "cache", tmp_path / "start").code == 0
    name = "out/mine-128-lanczos.zip"
    assert (tmp_path / "after.end" / name).read_bytes() == (tmp_path / "start" / name).read_bytes()


@pytest.mark.slow(twin="tests/integration/test_small_disks.py::test_a_run")
def test_the_training_of_a_source(tmp_path: Path) -> None:
    (tmp_path / "start").mkdir()
    (tmp_path / "start/command.py").write_text(TRAIN)
    train = (sys.executable, "command.py", "sources", "train", "smoke-32", "--out", "source")
    on_small_disk(tmp_path, (50, 700), *train)
    done = subprocess.run(train, cwd=tmp_path / "start", env=environment(tmp_path / "cache"), capture_output=True)
    assert done.returncode == 0, done.stderr
    ticks, snapshots = [], []
    for folder in (tmp_path / "after.end/source", tmp_path / "start/source"):
        ticks.append([json.loads(line)["images"] for line in (folder / "ticks.jsonl").read_text().splitlines()])
        snapshots.append(read_tensors(folder / "snapshot-00000.safetensors")[0])
    assert ticks[0] == ticks[1] == [16, 32, 48, 64], "whole lines, each tick once"
    assert all(tensor.equal(snapshots[1][name]) for name, tensor in snapshots[0].items())


def test_without_shared_memory(finished: Finished, tmp_path: Path) -> None:
    """As in containers and sandboxes: no semaphores, and so no pools of processes."""
    (tmp_path / "mine").mkdir()
    for number in range(8):
        pixels = np.random.default_rng(number).integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"mine/{number}.png")
    prepare = ("datasets", "prepare", "mine", "--resolution", "32", "--workers", "2", "--out", "out")
    script = 'mount -t tmpfs -o ro,size=4k none /dev/shm && ! touch /dev/shm/x 2>/dev/null\n"$@"\n'
    done = in_namespace(script, tmp_path, tmp_path / "cache", (sys.executable, "-m", "benchmark", *prepare))
    assert done.code == 0 and "Traceback" not in done.err, done
    assert (tmp_path / "out/mine-32-lanczos.zip").is_file()
    done = in_namespace(script, tmp_path, tmp_path / "cache", (sys.executable, "-m", "benchmark", *RUN))
    assert done.code == 0 and "Traceback" not in done.err, done
    expected = records(finished.out)
    assert all(expected[key] == value for key, value in records(tmp_path / "res").items())
