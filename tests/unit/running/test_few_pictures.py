"""Very few pictures of a person's own: what they forbid is said before the training, and the record is done."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from image_files import folder_of, noise
from rich.console import Console

from benchmark.errors import ConfigError
from benchmark.metrics.catalogue import METRICS
from benchmark.running.launch import Launch, run_all
from benchmark.running.setup import Request, Run, prepare
from benchmark.system.progress import Bars

METRICS_WITHOUT_FILES = [name for name, info in METRICS.items() if info.needs == "nothing"]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all: the source's held-out pictures, which are inverted, are the same."""
    return tmp_path_factory.mktemp("cache")


def prepared(folder: Path, pictures: int, *settings: str, cache: Path | None = None) -> tuple[Run, str]:
    """A run on so many pictures, and what was said before its first step."""
    domain = folder / f"own{pictures}"
    if not domain.exists():
        folder_of(domain, map(noise, range(pictures)))
    quick = (
        *("train.kimg=0.008", "eval.samples=8", "eval.pairs=8"),
        f"eval.metrics=[{','.join(METRICS_WITHOUT_FILES)}]",
    )
    overrides = {"domains": [str(domain)], "methods": ["finetune"]}
    said = StringIO()
    request = Request("smoke", (*quick, *settings), overrides, "cpu", cache or folder / "cache", 1)
    return prepare(request, folder / "out", Console(file=said, width=1000)), said.getvalue()


@pytest.mark.parametrize("pictures", [4, 5, 8, 12, 18])
def test_each_metric_costs_its_own_cell_and_the_record_is_done(tmp_path: Path, cache: Path, pictures: int) -> None:
    run, said = prepared(tmp_path, pictures, cache=cache)
    bars = Bars(Console(quiet=True))
    records = run_all(replace(run, bars=bars), bars, Launch(), lambda seats: pytest.fail("no processes"))  # type: ignore[arg-type,return-value]
    assert [record.status for record in records] == ["done", "done"]
    for record in records:
        for name, metric in record.metrics.items():
            if metric.reason and "images; there are" in metric.reason:
                assert name in said and metric.reason in said, "it was said before"
    assert records[1].metrics["fd_randconv"].value is not None


def test_the_number_of_pictures_that_would_do_is_said_and_true(tmp_path: Path) -> None:
    _, said = prepared(tmp_path, 8)
    assert "kid_randconv on own8: not available: needs 3 held-out images; there are 2. Enough would be: 9" in said
    assert "needs 19 held-out images; there are 2. Enough would be: 57 different pictures." in said
    _, said = prepared(tmp_path, 9)
    assert "kid_randconv" not in said and "precision_randconv" in said
    _, said = prepared(tmp_path, 57, "split.test=48", "eval.samples=100", "eval.pairs=8")
    assert "needs" not in said and "Enough would be" not in said


def test_settings_that_forbid_a_metric_are_named(tmp_path: Path) -> None:
    _, said = prepared(tmp_path, 57, "split.test=2", "eval.samples=2", "eval.pairs=2")
    assert "Enough would be: --set eval.samples=3 and --set split.test=3." in said


def test_weights_are_not_chosen_by_a_metric_without_a_value(tmp_path: Path) -> None:
    settings = (
        "train.snapshot_kimg=[0.004]",
        "train.batch=4",
        "eval.snapshot=legacy_best_on_test",
        "eval.metrics=[kid_randconv]",
    )
    with pytest.raises(ConfigError, match="chooses by kid_randconv, on own8 not available: needs 3 held-out images"):
        prepared(tmp_path, 8, *settings)
