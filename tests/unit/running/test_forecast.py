"""What a run would cost and what is missing for it, before anything is fetched or trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from made_records import make

from benchmark.config import NetConfig
from benchmark.domains import Domain
from benchmark.domains.assets import target_folder
from benchmark.domains.cards import list_cards
from benchmark.errors import ConfigError
from benchmark.results import ResultStore, Timing
from benchmark.running import forecast as demand
from benchmark.running.forecast import Forecast, forecast
from benchmark.running.plan import Job, plan, trainings
from benchmark.stylegan2 import Nets
from benchmark.suites import load_suite

SMALL = NetConfig(resolution=32, z_dim=8, w_dim=8, mapping_layers=2, channel_base=256, channel_max=8)


pytestmark = pytest.mark.usefixtures("no_weights_elsewhere")


def foreseen(name: str, folder: Path, given: float | None = None, settings: tuple[str, ...] = ()) -> Forecast:
    return forecast(*load_suite(name, settings), folder / "cache", folder / "results", given)


def test_trainings_are_counted_once_and_records_for_every_control(tmp_path: Path) -> None:
    found = foreseen("paper-metfaces", tmp_path, 36.0)
    assert (found.jobs, found.trainings, found.kimg) == (8, 6, 12_000)  # layer swapping has none of its own
    assert found.hours == pytest.approx(120) and "36 s/kimg as given" in found.text()
    seeds = foreseen("paper-metfaces", tmp_path, 36.0, ("seeds=[0, 1, 2]", "methods=[finetune, layer_swap]"))
    assert (seeds.jobs, seeds.trainings, seeds.kimg, seeds.hours) == (9, 3, 6_000, pytest.approx(60))
    assert seeds.records == 3 * (1 + 1 + 3)


def test_what_is_foreseen_is_what_is_planned(tmp_path: Path) -> None:
    chosen = ["seeds=[0, 1]", "methods=[finetune, layer_swap, weight_interpolation, fixnoise]"]
    suite, methods = load_suite("smoke", [*chosen, "budgets={fixnoise: 0.5}"])
    images = np.zeros((4, 3, 32, 32), np.uint8)
    domains = {name: Domain(name, images, images, f"digest of {name}", list_cards()[name]) for name in suite.domains}
    jobs = plan(suite, methods, domains, "sha")
    found = forecast(suite, methods, tmp_path / "cache", tmp_path / "results")
    assert (found.jobs, found.trainings) == (len(jobs), len(trainings(jobs))) == (2 * 2 * 5, 2 * 2 * 2)
    assert found.records == sum(len(job.record_keys) for job in jobs)
    assert found.kimg == pytest.approx(demand.remaining_kimg(jobs, tmp_path)) == pytest.approx(4 * (0.128 + 0.5))


def test_each_budget_counts(tmp_path: Path) -> None:
    found = foreseen("fewshot-ffhq-photos", tmp_path, settings=("methods=[finetune, cdc]", "seeds=[0]"))
    assert found.kimg == 2 * (20 + 4)
    assert found.hours is None and "--seconds-per-kimg" in found.speed


def test_speeds_are_those_of_the_records_of_that_source(tmp_path: Path) -> None:
    store = ResultStore(tmp_path / "results")
    for seed, speed in enumerate((10.0, 20.0, 90.0)):
        store.write(make("finetune", seed=seed, source="source_ffhq", timing=Timing(seconds_per_kimg=speed)))
    store.write(make("cdc", source="source_ffhq", timing=Timing(seconds_per_kimg=50.0)))
    store.write(make("finetune", "e", source="other", timing=Timing(seconds_per_kimg=1e9)))
    found = foreseen("fewshot-ffhq-photos", tmp_path, settings=("methods=[finetune, cdc, ewc]", "seeds=[0]"))
    assert found.hours == pytest.approx(2 * (20 * 20 + 4 * 50 + 20 * 20) / 3600)
    assert "finetune 20 s/kimg" in found.speed and "ewc taken for 20" in found.speed


def test_ranks_of_a_job_are_counted_and_only_trainings_by_as_many_say_how_fast_they_are(tmp_path: Path) -> None:
    asked = ("methods=[finetune]", "seeds=[0]", "train.ranks=4")
    given = foreseen("fewshot-ffhq-photos", tmp_path, 36.0, asked)
    assert given.hours == pytest.approx(2 * 20 * 36 / 3600)
    assert "0.4 h of training by 4 ranks each, together 1.6 h of GPUs" in given.text()
    store = ResultStore(tmp_path / "results")
    store.write(make("finetune", source="source_ffhq", timing=Timing(seconds_per_kimg=90.0)))
    unknown = foreseen("fewshot-ffhq-photos", tmp_path, settings=asked)
    assert unknown.hours is None and "trained by 4 ranks" in unknown.speed
    together = {"train": {"ranks": 4}}
    store.write(make("finetune", seed=1, source="source_ffhq", timing=Timing(seconds_per_kimg=30.0), settings=together))
    assert foreseen("fewshot-ffhq-photos", tmp_path, settings=asked).hours == pytest.approx(2 * 20 * 30 / 3600)
    alone = foreseen("fewshot-ffhq-photos", tmp_path, settings=asked[:2])
    assert alone.hours == pytest.approx(2 * 20 * 90 / 3600) and "ranks" not in alone.text()
    with pytest.raises(ConfigError, match="x 3 processes"):
        foreseen("fewshot-ffhq-photos", tmp_path, settings=("train.ranks=3",))


def test_what_is_missing_comes_with_the_command_that_gets_it(tmp_path: Path) -> None:
    source, target, inception, vgg = foreseen("paper-metfaces", tmp_path).missing
    run = "python -m benchmark"
    name = "ffhq-res256-mirror-paper256-noaug"
    assert f"{run} datasets fetch {name} --accept-licence && {run} sources import " in source
    assert source.endswith(f" sources import {name}")
    assert f"{run} datasets fetch metfaces --accept-licence" in target
    assert target.endswith(f"{run} datasets prepare metfaces --resolution 256 --filter squash_bilinear")
    assert inception == f"weights inception-2015-12-05.pt: {run} weights fetch inception"
    assert vgg == f"weights vgg16-397923af.pth: {run} weights fetch vgg16"
    prepared = target_folder(tmp_path / "cache", "metfaces").prepared(256, "squash_bilinear")
    prepared.parent.mkdir(parents=True)
    prepared.touch()
    assert [what.split()[0] for what in foreseen("paper-metfaces", tmp_path).missing] == [
        "source",
        "weights",
        "weights",
    ]
    lanczos = foreseen("paper-metfaces", tmp_path, settings=("split.filter=lanczos",)).missing
    assert any(what.endswith("prepare metfaces --resolution 256") for what in lanczos)
    assert not foreseen("smoke", tmp_path).missing


def jobs_of(suite_name: str) -> list[Job]:
    suite, methods = load_suite(suite_name, ["methods=[finetune, layer_swap, freezed]", "train.kimg=3"])
    images = np.zeros((4, 3, 32, 32), np.uint8)
    domain = Domain("toy-rings", images, images, "d", list_cards()["toy-rings"])
    return plan(suite, methods, {"toy-rings": domain}, "sha")


def test_what_is_trained_already_does_not_count(tmp_path: Path) -> None:
    jobs = jobs_of("smoke")
    assert demand.remaining_kimg(jobs, tmp_path) == 6
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / f"{jobs[1].train_key}.safetensors").touch()
    assert demand.remaining_kimg(jobs, tmp_path) == 3


def test_hours_on_a_cpu_want_a_yes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nets, jobs = Nets.create(SMALL, 0), jobs_of("smoke")
    assert demand.require_patience([(nets, jobs)], tmp_path, yes=False) is None  # small networks are not asked about
    monkeypatch.setattr(demand, "LARGE_PX", 32)
    monkeypatch.setattr(demand, "seconds_per_kimg", lambda nets: 1000.0)
    assert demand.require_patience([(nets, jobs)], tmp_path, yes=False) is None  # 1.7 hours
    monkeypatch.setattr(demand, "seconds_per_kimg", lambda nets: 6000.0)
    with pytest.raises(ConfigError, match=r"will take 10 hours or more\. .*--scale .*--yes"):
        demand.require_patience([(nets, jobs)], tmp_path, yes=False)
    said = demand.require_patience([(nets, jobs)], tmp_path, yes=True)
    assert said is not None and "10 hours" in said


def test_trying_one_image_changes_nothing_and_grows_with_the_networks() -> None:
    small, large = Nets.create(SMALL, 0), Nets.create(SMALL.model_copy(update={"channel_max": 128}), 0)
    before = {name: tensor.clone() for name, tensor in small.state_dict().items()}
    state = torch.get_rng_state()
    assert demand.seconds_per_kimg(small) > 0
    assert torch.equal(state, torch.get_rng_state())
    needs = [demand.memory_gib(small, n, bf16=False) for n in (0, 1, 2)]
    assert needs[0] > 0 and needs[2] - needs[1] == pytest.approx(needs[1] - needs[0]) and needs[1] > needs[0]
    assert demand.memory_gib(large, 1, bf16=False) > needs[1] > demand.memory_gib(small, 1, bf16=True)
    assert all(tensor.equal(before[name]) for name, tensor in small.state_dict().items())
    assert all(p.grad is None for net in (small.g, small.d) for p in net.parameters())
