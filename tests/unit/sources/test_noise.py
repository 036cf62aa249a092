"""How much a source listens to its noise, on the card and in the notes of records."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from benchmark.methods.finetune import Finetune
from benchmark.methods.fixnoise import FixNoise
from benchmark.methods.freezed import FreezeD

from benchmark.config import NetConfig
from benchmark.registry.composition import composed
from benchmark.running.make_record import noise_notes
from benchmark.sources.noise import noise_distances, noise_facts, noise_shares
from benchmark.stylegan2 import Generator, Nets

NETS = NetConfig(resolution=32, z_dim=8, w_dim=8, mapping_layers=2, channel_base=128, channel_max=8)


def listening(strength: float, classes: int = 0) -> Generator:
    g = Nets.create(NETS.model_copy(update={"c_dim": classes}), seed=3).g_ema
    for name in g.synthesis.layer_names:
        torch.nn.init.constant_(g.synthesis.get_submodule(name).get_parameter("noise_strength"), strength)
    return g.eval()


def test_the_share_is_the_noise_that_a_layer_adds_over_the_features_that_it_gives() -> None:
    g = listening(-0.2)
    seen: dict[str, list[np.ndarray]] = {name: [] for name in g.synthesis.layer_names}
    for name, values in seen.items():
        g.synthesis.get_submodule(name).register_forward_hook(lambda _, __, y, v=values: v.append(y.double().numpy()))
    shares = noise_shares(g)
    assert list(shares) == list(g.synthesis.layer_names)
    for name, share in shares.items():
        assert share == pytest.approx(0.2 * 2**0.5 / np.sqrt((seen[name][0] ** 2).mean()), rel=1e-4)


def test_noise_moves_nothing_where_strengths_are_zero_and_more_where_they_are_larger(tmp_path: Path) -> None:
    found = [noise_distances(listening(strength), tmp_path, 8) for strength in (0.0, 0.05, 0.5)]
    noises = [pair[0] for pair in found if pair]
    assert len(noises) == 3 and noises[0] == 0 < noises[1] < noises[2]
    assert all(pair and pair[1] > 0 for pair in found)


def test_a_card_warns_where_there_is_nothing_to_act_on(tmp_path: Path) -> None:
    assert "hardly listens" in noise_facts(listening(1e-4), tmp_path)["caution"]
    loud = noise_facts(listening(0.3), tmp_path)
    assert "caution" not in loud and loud["noise"].startswith("b4.conv1 0.") and "ST-LPIPS" in loud["noise moves"]


@pytest.mark.parametrize("classes", [3, 20])
def test_a_network_of_classes_has_a_card_too(classes: int, tmp_path: Path) -> None:
    facts = noise_facts(listening(0.3, classes), tmp_path)
    assert facts["noise"].startswith("b4.conv1 0.") and "of another latent and noise" in facts["noise moves"]
    shares = [noise_shares(listening(strength, classes))["b8.conv1"] for strength in (0.1, 0.3)]
    assert 0 < shares[0] < shares[1]


def test_rows_whose_control_acts_on_noise_say_so_where_it_cannot() -> None:
    both = composed([FixNoise, FreezeD])()
    for method in (FixNoise(), both):
        said = noise_notes(method, {"b4.conv1": 0.0004, "b8.conv0": 0.001})
        assert len(said) == 2 and "hardly listens" in said[1]
        assert noise_notes(method, {"b4.conv1": 0.0712, "b8.conv0": 0.001}) == [
            "Noise of the source's layers, as a share of their features: b4.conv1 0.071, b8.conv0 0.001."
        ]
    assert len(noise_notes(Finetune(), {"b4.conv1": 0.001})) == 1
    assert noise_notes(Finetune(), {}, (0.0081, 0.22))[1:] == [
        "Two noises of the source differ by 0.008 in ST-LPIPS, another latent and noise by 0.220."
    ]
