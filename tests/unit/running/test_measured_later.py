"""Metrics whose file was not there at first: the same command measures them once it is, with the stored weights."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from said import Said

from benchmark.engines.engine import Work
from benchmark.engines.queueing import asking
from benchmark.engines.settings import Chosen
from benchmark.engines.slurm import SlurmSettings
from benchmark.metrics import Evaluator
from benchmark.metrics.base import STAND_IN
from benchmark.metrics.catalogue import METRICS
from benchmark.metrics.networks import weight_files
from benchmark.metrics.networks.weight_files import NETWORK_FILES
from benchmark.metrics.sizes import Sizes, shortage
from benchmark.results.reals import read_reals
from benchmark.running import weights
from benchmark.running.launch import Launch, run_all
from benchmark.running.setup import Request, Run, prepare
from benchmark.running.shortages import WANTED
from benchmark.use.outside import measure

FD = "fd_effnetlite0_128"
QUICK = (
    *("train.kimg=0.016", "train.batch=8", "train.snapshot_kimg=[0.008]", "eval.samples=8", "eval.pairs=4"),
    *("eval.curve_samples=8", f"eval.metrics=[{FD},kid_randconv,recall_randconv]", f"eval.curve_metrics=[{FD}]"),
    *("split.train=8", "split.test=4"),
)


def without_files(patch: pytest.MonkeyPatch) -> None:
    """As on a machine that has none of the files and packages."""
    patch.setattr(weight_files, "_usual_places", lambda file, cache: iter(()))


def prepared(folder: Path) -> Run:
    """The command, ready to begin."""
    request = Request("smoke", QUICK, {"domains": ["toy-rings"], "methods": ["fixnoise"]}, "cpu", folder / "cache", 1)
    return prepare(request, folder / "out", Console(quiet=True))


def run(folder: Path, which: str = "all") -> tuple[Run, list[str]]:
    """The command once, in this process: the run, and the lines that it said."""
    said = Said()
    made = replace(prepared(folder), bars=said)
    launch = Launch(which=which)  # type: ignore[arg-type]
    records = run_all(made, said, launch, lambda seats: pytest.fail("no processes"))  # type: ignore[arg-type,return-value]
    assert all(record.status == "done" for record in records), [r.reason for r in records]
    return made, said.lines


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of a run that had no file of a network, and the cache. Do not write to it."""
    folder = tmp_path_factory.mktemp("first")
    with pytest.MonkeyPatch.context() as patch:
        without_files(patch)
        made, _ = run(folder)
        for record in made.store.read_all()[0]:
            assert record.metrics[FD].value is None and record.metrics["kid_randconv"].value is not None
            assert "images; there are" in (record.metrics["recall_randconv"].reason or ""), "for another reason"
        before = times(made)
        again, lines = run(folder)
        assert times(again) == before and "0 records to make" in lines[-1], "the files are still not there"
    return folder


@pytest.fixture
def lacking(first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same as one's own; nothing may be trained any more."""
    monkeypatch.setattr(weights, "start_training", lambda job, run: pytest.fail("it was trained again"))
    return Path(shutil.copytree(first, tmp_path / "lacking"))


def times(made: Run, *folders: str) -> dict[str, int]:
    paths = [path for folder in folders or ("records",) for path in (made.store.out / folder).iterdir()]
    return {path.name: path.stat().st_mtime_ns for path in paths}


def test_it_is_measured_once_the_file_is_there_and_nothing_is_trained(lacking: Path) -> None:
    before = {path.name for path in (lacking / "out" / "records").iterdir()}
    made, lines = run(lacking)
    records = made.store.read_all()[0]
    assert {f"{record.record_key}.json" for record in records} == before, "the keys are what they were"
    assert all(record.metrics[FD].value is not None for record in records)
    points = [point.metrics[FD].value for record in records for point in record.curve]
    assert len(points) == 2 and None not in points
    (real,) = read_reals(made.store.out)
    assert real.metrics[FD].value is not None
    assert any(f"{len(records)} records are measured again: what {FD} needs" in line for line in lines)
    measured = times(made, "records", "reals")
    again, lines = run(lacking)
    assert times(again, "records", "reals") == measured, "what has another reason stays"
    assert "0 records to make" in lines[-1]


@pytest.mark.parametrize("gone", ["*[0-9a-f].safetensors", "*kimg.safetensors"])
def test_it_is_not_trained_again_for_a_metric_and_what_to_do_is_said(lacking: Path, gone: str) -> None:
    for path in (lacking / "out" / "checkpoints").glob(gone):
        path.unlink()
    made, lines = run(lacking)
    for record in made.store.read_all()[0]:
        assert (record.metrics[FD].value is not None) == record.zero_step
    (line,) = [line for line in lines if "no longer in checkpoints/" in line]
    names = [f"records/{r.record_key}.json" for r in made.store.read_all()[0] if not r.zero_step]
    assert line.startswith(f"{len(names)} records stay without {FD}") and any(name in line for name in names)
    measured = times(made)
    assert times(run(lacking)[0]) == measured


def test_so_are_a_network_and_pictures_from_elsewhere(lacking: Path) -> None:
    (network,) = (lacking / "out" / "checkpoints").glob("*[0-9a-f].safetensors")
    pictures = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), np.uint8)
    (lacking / "pictures").mkdir()
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(lacking / "pictures" / f"{number}.png")
    request = Request("smoke", QUICK, {"domains": ["toy-rings"]}, "cpu", lacking / "cache", 1)
    for what in (network, lacking / "pictures"):
        with pytest.MonkeyPatch.context() as patch:
            without_files(patch)
            (before,) = measure(what, request, Console(quiet=True), lacking / "outside", name=what.stem[:9])
        (after,) = measure(what, request, Console(quiet=True), lacking / "outside", name=what.stem[:9])
        assert before.metrics[FD].value is None and after.metrics[FD].value is not None
        assert after.record_key == before.record_key
        (again,) = measure(what, request, Console(quiet=True), lacking / "outside", name=what.stem[:9])
        assert again == after


def test_an_engine_queues_their_tasks_again(lacking: Path) -> None:
    def queued(which: str) -> list[int]:
        launch = Launch(which=which)  # type: ignore[arg-type]
        work = Work([made], Console(quiet=True), launch, False, Chosen(SlurmSettings()))
        with asking(work, "slurm", lambda out: {}) as (asked, numbers):
            assert len(asked.tasks) == 2
            return list(numbers)

    with pytest.MonkeyPatch.context() as patch:
        without_files(patch)
        made, _ = run(lacking)
        assert queued("all") == []
    made = prepared(lacking)
    assert queued("all") == queued("missing") == [0, 1] and queued("failed") == []


def test_it_did_not_fail(lacking: Path) -> None:
    before = times(run(lacking, "failed")[0])
    assert times(run(lacking, "missing")[0]) != before


NETWORKS = [name for name, files in NETWORK_FILES.items() if files]


@pytest.mark.parametrize("network", NETWORKS)
def test_the_reason_of_every_missing_file_is_known_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: str
) -> None:
    without_files(monkeypatch)
    names = [name for name, info in METRICS.items() if info.network in (network, STAND_IN + network)]
    missing = Evaluator(names, tmp_path).missing
    assert len(missing) == 2 and all(WANTED.match(reason) for reason in missing.values())


def test_so_is_that_of_a_missing_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    (reason,) = Evaluator([FD], tmp_path).missing.values()
    assert WANTED.match(reason)


def test_too_few_images_are_another_reason() -> None:
    reasons = [shortage(info, Sizes(1, 1, 1, 1)) for info in METRICS.values()]
    found = [reason for reason in reasons if reason]
    assert len(found) > 20 and not any(WANTED.match(reason) for reason in found)
