"""What FixNoise and its ablation can match, each against its formula written out."""

from __future__ import annotations

import numpy as np
import pytest
from benchmark.methods.fixnoise import FixNoise
from pydantic import ValidationError
from small_nets import generator_step
from torch import Tensor

from benchmark.api import Generator, feature_matching
from benchmark.conformity.trial import toy_source
from benchmark.stylegan2 import ops


def rgb_sums(g: Generator, z: Tensor) -> dict[int, np.ndarray]:
    """From the features of each block and its layer to RGB: the sum that it hands on."""
    ws = g.mapping(z)
    _, features = g.synthesis(ws, "const")
    found: dict[int, np.ndarray] = {}
    rgb, at = None, 0
    for px, block in g.synthesis.blocks.items():
        at += len(block.layers)
        own = block.torgb(features[px], ws[:, at])
        rgb = own if rgb is None else ops.upsample(rgb, block.resample_filter) + own
        found[px] = rgb.detach().double().numpy()
    return found


@pytest.mark.parametrize("match", ["features", "rgb", "image", "all"])
def test_each_choice_is_the_distance_of_what_it_names(match: str) -> None:
    nets = toy_source().copy()
    step = generator_step(nets, toy_source().g_ema)
    loss = FixNoise(match=match, weight=0.3, image_weight=7.0).generator_loss(step)  # type: ignore[arg-type]
    ours, theirs = (rgb_sums(g, step.z) for g in (nets.g, step.source))
    distances = [((ours[px] - theirs[px]) ** 2).mean() for px in (4, 8, 16, 32)]
    plain = [g.synthesis(g.mapping(step.z), "const") for g in (nets.g, step.source)]
    np.testing.assert_allclose(ours[32], plain[0][0].detach().double().numpy(), rtol=1e-4, atol=1e-5)
    expected = {
        "fixnoise": 0.3 * feature_matching(plain[0][1], plain[1][1]).item(),
        "fixnoise_rgb": 7 * np.mean(distances),
        "fixnoise_image": 7 * distances[-1],
    }
    parts = {
        "features": ["fixnoise"],
        "rgb": ["fixnoise_rgb"],
        "image": ["fixnoise_image"],
        "all": ["fixnoise", "fixnoise_image"],
    }
    assert list(loss) == parts[match]
    for name, value in loss.items():
        assert value.item() == pytest.approx(expected[name], rel=1e-4) and value.item() > 0


def test_features_are_matched_bit_by_bit_as_ever() -> None:
    nets = toy_source().copy()
    step = generator_step(nets, toy_source().g_ema)
    ours, theirs = (g.synthesis(g.mapping(step.z), step.source.synthesis.anchor_noise()) for g in (nets.g, step.source))
    expected = 0.05 * feature_matching(ours[1], theirs[1])
    assert FixNoise().generator_loss(step)["fixnoise"].equal(expected)
    assert FixNoise().model_dump() == {
        "weight": 0.05,
        "match": "features",
        "image_weight": 10.0,
        "normalise": False,
        "interpolation": "linear",
    }  # they enter keys


def test_matching_rgb_leaves_no_hooks_and_holds_the_layers_to_rgb() -> None:
    nets = toy_source().copy()
    nets.g.requires_grad_(True)
    FixNoise(match="rgb").generator_loss(generator_step(nets, toy_source().g_ema))["fixnoise_rgb"].backward()
    for g in (nets.g, toy_source().g_ema):
        assert all(not block._forward_hooks for block in g.synthesis.blocks.values())
    assert all(block.torgb.weight.grad is not None for block in nets.g.synthesis.blocks.values())


def test_vgg_is_not_among_the_choices() -> None:
    with pytest.raises(ValidationError, match="'features', 'rgb', 'image' or 'all'"):
        FixNoise(match="vgg")  # type: ignore[arg-type]
