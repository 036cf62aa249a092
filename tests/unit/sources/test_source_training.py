"""Recipes that go on from another source, with noise strengths to begin with and to hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.config import DomainConfig, NetConfig, TrainConfig
from benchmark.errors import ConfigError
from benchmark.sources import find_source, training
from benchmark.sources.scores import noise_effect
from benchmark.sources.source import NoiseStart, Recipe
from benchmark.sources.training import SourceTraining, noise_strengths, start_of, train_source
from benchmark.stylegan2 import Nets
from benchmark.training.train import train

NETS = find_source("smoke-32").card.networks
assert NETS is not None
TRAIN = TrainConfig(kimg=0.032, batch=8, ema_kimg=0.01, precision="fp32", lr_g=0.05)


def recipe(**changes: object) -> Recipe:
    about = {"domain": "toy-disks", "split": DomainConfig(), "networks": NETS, "train": TRAIN, "start": "smoke-32"}
    return Recipe.model_validate({**about, "noise": NoiseStart(strength=0.1, held=0.07, held_to_px=8), **changes})


def strengths(nets: Nets) -> dict[int, set[float]]:
    found: dict[int, set[float]] = {}
    for px, strength in [*noise_strengths(nets.g), *noise_strengths(nets.g_ema)]:
        found.setdefault(px, set()).add(round(float(strength.detach()), 6))
    return found


def test_a_training_begins_with_the_recipes_strengths_and_the_other_sources_weights() -> None:
    nets, other = start_of(recipe()), Nets.create(NETS, seed=0)
    assert strengths(nets) == {4: {0.07}, 8: {0.07}, 16: {0.1}, 32: {0.1}}
    assert torch.equal(nets.g.synthesis.b4.const, other.g_ema.synthesis.b4.const)
    assert strengths(start_of(recipe(noise=None))) == {px: {0.0} for px in (4, 8, 16, 32)}


def test_a_second_phase_starts_from_the_averages_of_the_first_and_keeps_their_strengths() -> None:
    first = start_of(recipe())
    with torch.no_grad():
        for px, strength in noise_strengths(first.g_ema):
            strength.fill_(px / 100)
    later = recipe(start="", before=recipe(), noise=NoiseStart(strength=None, held=0.05, held_to_px=4))
    nets = start_of(later, first)
    assert strengths(nets) == {4: {0.05}, 8: {0.08}, 16: {0.16}, 32: {0.32}}
    with pytest.raises(ConfigError, match="not those of the phase before"):
        start_of(later.model_copy(update={"networks": NetConfig(resolution=64)}), first)


def test_one_command_trains_all_phases_and_its_repetition_trains_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    phase = recipe(snapshot_kimg=0.016, split=DomainConfig(train=16, test=4))
    later = phase.model_copy(update={"start": "", "before": phase, "noise": None})
    monkeypatch.setattr(training, "_recipe", lambda name, kimg: later)
    said: list[str] = []
    train_source("smoke-32", tmp_path / "out", tmp_path, None, "cpu", said.append)
    assert sum("kimg" in line for line in said) == 2  # a tick a phase
    made = {path: path.read_bytes() for path in tmp_path.rglob("snapshot-*.safetensors")}
    assert {path.parent for path in made} == {tmp_path / "out", tmp_path / "out" / "before"}
    said.clear()
    train_source("smoke-32", tmp_path / "out", tmp_path, None, "cpu", said.append)
    assert all("resuming" in line for line in said) and len(said) == 2
    assert made == {path: path.read_bytes() for path in tmp_path.rglob("snapshot-*.safetensors")}


def test_held_strengths_stay_while_the_others_train() -> None:
    nets = start_of(recipe())
    images = np.random.default_rng(5).integers(0, 256, (16, 3, 32, 32), dtype=np.uint8)
    train(nets, images, SourceTraining(held_to_px=8), TRAIN, ("test",))
    found = strengths(nets)
    assert found[4] == found[8] == {0.07}
    assert all(value != 0.1 for px in (16, 32) for value in found[px])


def test_a_recipe_does_not_go_on_from_networks_of_another_shape() -> None:
    with pytest.raises(ConfigError, match="not those of smoke-32"):
        start_of(recipe(networks=NetConfig(resolution=64)))


def test_the_effect_of_noise_grows_with_the_strengths() -> None:
    nets = Nets.create(NETS, seed=0)
    assert "noise moves a pixel by 0.0 grey levels" in noise_effect(nets.g_ema)
    for _, strength in noise_strengths(nets.g_ema):
        strength.data.fill_(1.0)
    said = noise_effect(nets.g_ema)
    assert "by 0.0 grey levels" not in said and "4 px 1, 8 px 1" in said
