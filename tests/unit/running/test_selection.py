"""Snapshots of a training: kept exactly, measured, and chosen by the split that the settings name."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from benchmark.config import EvalConfig
from benchmark.errors import BenchmarkError, ConfigError, DataError
from benchmark.metrics import Score
from benchmark.metrics.sampling import to_uint8
from benchmark.results import ResultStore, RunRecord
from benchmark.running import weights as training_job
from benchmark.running.launch import Launch
from benchmark.running.selection import best_of
from benchmark.running.setup import Request, Run, prepare
from benchmark.running.suite import run_suite
from benchmark.running.weights import seconds_at
from benchmark.stylegan2.weights import load, load_generator

QUIET = Console(quiet=True)
SMALL = [
    "train.kimg=0.048",
    "eval.samples=16",
    "eval.pairs=8",
    "eval.curve_samples=16",
    "train.snapshot_kimg=[0.016, 0.032, 0.048]",
]
SELECT = ["split={train: 32, test: 24, selection: 16}"]


def prepared(out: Path, settings: Sequence[str], methods: Sequence[str] = ("finetune",)) -> Run:
    chosen = {"methods": methods, "domains": ["toy-rings"]}
    request = Request("smoke", [*SMALL, *settings], chosen, "cpu", out.parent / "cache", threads=1)
    return prepare(request, out, QUIET)


def run(tmp_path: Path, settings: Sequence[str], out: str = "out", tensorboard: bool = False) -> list[RunRecord]:
    """The jobs without the report, whose charts take most of the time of so small a run."""
    records = run_suite(prepared(tmp_path / out, settings), QUIET, tensorboard, Launch())
    assert all(r.status == "done" for r in records)
    return [r for r in ResultStore(tmp_path / out).read_all()[0] if not r.zero_step]


def test_a_curve_has_a_point_for_each_snapshot_and_the_end(tmp_path: Path) -> None:
    (record,) = run(tmp_path, ["eval.curve_metrics=[kid_randconv, consistency_randconv]"])
    assert [p.kimg for p in record.curve] == [0.016, 0.032, 0.048] and record.weights_kimg == 0.048
    seconds = [p.seconds or 0 for p in record.curve]
    assert 0 < seconds[0] < seconds[1] < seconds[2] == record.timing.train_seconds
    assert all([*p.metrics] == ["kid_randconv", "consistency_randconv"] for p in record.curve)
    assert len({p.metrics["consistency_randconv"].value for p in record.curve}) == 3
    last, whole = record.curve[-1].metrics["kid_randconv"], record.metrics["kid_randconv"]
    assert last.value == pytest.approx(whole.value)  # as many samples of the same weights, from the same latents


def test_a_snapshot_is_the_average_that_a_shorter_training_ends_with(tmp_path: Path) -> None:
    curve = ["eval.curve_metrics=[kid_randconv]"]
    (long,) = run(tmp_path, curve, "long")
    (short,) = run(tmp_path, [*curve, "train.kimg=0.032"], "short")
    kept = load_generator(tmp_path / "long/checkpoints" / f"{long.train_key}-0.032kimg.safetensors")
    end = load(tmp_path / "short/checkpoints" / f"{short.train_key}.safetensors").g_ema
    assert all(a.equal(b) for a, b in zip(kept.state_dict().values(), end.state_dict().values(), strict=True))


def test_a_snapshot_survives_an_interruption_between_it_and_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    curve = ["eval.curve_metrics=[kid_randconv]", "train.tick_kimg=0.008", "train.checkpoint_minutes=0"]
    (whole,) = run(tmp_path, curve, "whole")
    stop = training_job.TrainingLog.extend

    def interrupted(self: training_job.TrainingLog, ticks: Sequence[training_job.Tick]) -> None:
        stop(self, ticks)
        if any(tick.images == 40 for tick in ticks):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training_job.TrainingLog, "extend", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, curve, "cut")
    (cut,) = run(tmp_path, curve, "cut")
    assert [p.metrics for p in cut.curve] == [p.metrics for p in whole.curve] and cut.metrics == whole.metrics


@pytest.mark.parametrize("way", ["selected", "legacy_best_on_test"])
def test_the_weights_that_count_are_those_best_on_the_named_split(tmp_path: Path, way: str) -> None:
    curve = ["eval.curve_metrics=[kid_randconv]", *SELECT]
    (last,) = run(tmp_path, curve, "last")
    (record,) = run(tmp_path, [*curve, f"eval.snapshot={way}"])
    assert record.train_key == last.train_key and record.record_key != last.record_key
    assert [p.metrics for p in record.curve] == [p.metrics for p in last.curve]  # reported on the test split either way
    if way == "legacy_best_on_test":
        assert record.weights_kimg == best_on_test(record)
        assert any("optimistic" in note for note in record.notes)
    else:
        assert any("selection split" in note for note in record.notes)
    assert record.settings["reals"] == {"train": 32, "reference (held out)": 24, "selection": 16}


def best_on_test(record: RunRecord) -> float:
    values = {p.kimg: p.metrics["kid_randconv"].value or 0 for p in record.curve}
    return min(values, key=lambda kimg: values[kimg])


def test_the_selection_split_alone_chooses(tmp_path: Path) -> None:
    """It holds images of the source here, which the first weights resemble most; the test split prefers others."""
    fast = ["train.lr_g=0.01", "train.ema_kimg=0.001"]
    settings = ["eval.curve_metrics=[kid_randconv]", "eval.snapshot=selected", *SELECT, *fast]
    plan = prepared(tmp_path / "out", settings)
    z = torch.randn(16, plan.nets.cfg.z_dim, generator=torch.Generator().manual_seed(3))
    sources = to_uint8(plan.nets.g_ema(z, noise=plan.nets.g_ema.synthesis.anchor_noise()))
    domains = {name: replace(domain, selection=sources) for name, domain in plan.domains.items()}
    assert all(r.status == "done" for r in run_suite(replace(plan, domains=domains), QUIET, False, Launch()))
    (record,) = (r for r in ResultStore(tmp_path / "out").read_all()[0] if not r.zero_step)
    assert record.weights_kimg == 0.016 != best_on_test(record)


@pytest.mark.parametrize(
    ("metrics", "reason"),
    [
        ("[fid, kid_randconv]", "not available: needs inception"),
        ("[step_randconv, kid_randconv]", "not measured along a training"),
        ("[picture_kid_randconv, kid_randconv]", "not measured along a training"),
        ("[translation_error_l1, kid_randconv]", "the right answer is not known"),
        ("[memorisation_randconv, kid_randconv]", "needs .* held-out images; there are 16"),
    ],
)
def test_a_metric_that_can_have_no_value_is_refused_before_training(tmp_path: Path, metrics: str, reason: str) -> None:
    settings = [f"eval.metrics={metrics}", "split={train: 32, test: 24, selection: 16}", "eval.snapshot=selected"]
    with pytest.raises(ConfigError, match=rf"eval\.snapshot=selected chooses by .* on toy-rings .*{reason}"):
        prepared(tmp_path / "out", settings)


def test_what_chooses_is_the_first_metric_in_its_own_direction() -> None:
    lower = EvalConfig(metrics=("kid_randconv",), snapshot="selected")
    higher = EvalConfig(metrics=("recall_randconv",), snapshot="selected")
    scores = {k: Score.measured(v, 10) for k, v in {0.5: 0.2, 1.0: 0.1, 1.5: 0.1, 2.0: 0.3}.items()}
    assert best_of(dict(scores), lower) == 1.5 and best_of(dict(scores), higher) == 2.0
    with pytest.raises(DataError, match="no weights file"):
        best_of({**scores, 1.0: Score.missing("no weights file")}, lower)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["eval.snapshot=selected", *SELECT, "train.snapshot_kimg=[]"], "train.snapshot_kimg names none"),
        (["eval.snapshot=selected"], "split.selection is 0"),
        (["eval.snapshot=best"], "eval.snapshot = 'best'"),
        (["train.snapshot_kimg=[-1]"], "train.snapshot_kimg"),
        (["eval.curve_metrics=[kidd]"], "kidd"),
    ],
)
def test_settings_that_cannot_be_met_are_refused_before_training(
    tmp_path: Path, settings: list[str], words: str
) -> None:
    with pytest.raises(BenchmarkError, match=words):
        prepared(tmp_path / "out", settings)


def test_seconds_lie_on_straight_lines_between_ticks() -> None:
    assert seconds_at([(100, 2.0), (300, 1.0)], [0.05, 0.1, 0.2, 0.3]) == [1.0, 2.0, 2.5, 3.0]


def test_tensorboard_shows_the_losses_of_the_log(tmp_path: Path) -> None:
    (record,) = run(tmp_path, ["train.tick_kimg=0.016"], tensorboard=True)
    ticks = [
        json.loads(line) for line in (tmp_path / "out/logs" / f"{record.train_key}.jsonl").read_text().splitlines()
    ]
    (folder,) = (tmp_path / "out/logs/tensorboard").iterdir()
    board = EventAccumulator(str(folder)).Reload()
    shown = [(e.step, e.value) for e in board.Scalars("loss/g_adversarial")]
    assert [step for step, _ in shown] == [16, 32, 48]
    np.testing.assert_allclose([v for _, v in shown], [t["losses"]["g_adversarial"] for t in ticks], rtol=1e-6)
