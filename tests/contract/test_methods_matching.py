"""What FixNoise and its ablation can match, each against its formula written out."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from benchmark.methods.fixnoise import FixNoise
from pydantic import ValidationError
from small_nets import generator_step
from torch import Tensor, nn

from benchmark.api import Extra, Generator, GeneratorStep, feature_matching
from benchmark.conformity.stand_ins import vgg, with_stand_ins
from benchmark.conformity.trial import TRAIN, toy_reals, toy_source
from benchmark.registry import find_method
from benchmark.report.lines import taught_by
from benchmark.stylegan2 import ops
from benchmark.system.random_streams import generator
from benchmark.training.train import train


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
        "image_weight": "auto",
        "normalise": False,
        "interpolation": "linear",
    }  # they enter keys


@pytest.mark.parametrize(("grey", "weight"), [(0, 6 / 1.5**2), (255, 6 / 0.5**2), (191, 600)])
@pytest.mark.parametrize("match", ["rgb", "image", "all"])
def test_an_automatic_image_weight_lets_every_translation_cost_the_same(match: str, grey: int, weight: float) -> None:
    """6 over the mean squared distance between the mean images, of which 0.01 is the least."""
    nets = toy_source().copy()
    with torch.no_grad():
        for block in nets.g_ema.synthesis.blocks.values():
            block.torgb.weight.zero_()
            block.torgb.bias.zero_()
        block.torgb.bias.fill_(0.5)  # every image is 0.5 everywhere
    reals = torch.full((20, 3, 32, 32), grey, dtype=torch.uint8)
    method = FixNoise(match=match)  # type: ignore[arg-type]
    extra = method.prepare(nets, reals, generator("prepare"))
    assert isinstance(extra, Extra) and extra.get_buffer("image_weight").item() == pytest.approx(weight, rel=1e-4)
    step = generator_step(nets, toy_source().g_ema, extra)
    name = "fixnoise_rgb" if match == "rgb" else "fixnoise_image"
    one = FixNoise(match=match, image_weight=1).generator_loss(step)[name]  # type: ignore[arg-type]
    assert method.generator_loss(step)[name].item() == pytest.approx(one.item() * weight, rel=1e-4)


def test_only_matched_images_draw_from_the_streams() -> None:
    """The published form trains bit by bit as before the weight of the image came from the data."""
    for method in (FixNoise(), FixNoise(match="all", image_weight=3)):
        rng = generator("prepare")
        before = rng.get_state()
        assert method.prepare(toy_source().copy(), torch.zeros(4, 3, 32, 32, dtype=torch.uint8), rng) is None
        assert rng.get_state().equal(before)


@pytest.mark.parametrize("given", ["some", "-1", -1, float("nan"), float("inf"), None])
def test_an_image_weight_is_a_number_or_auto(given: object) -> None:
    with pytest.raises(ValidationError):
        FixNoise(image_weight=given)  # type: ignore[arg-type]


def test_matching_rgb_leaves_no_hooks_and_holds_the_layers_to_rgb() -> None:
    nets = toy_source().copy()
    nets.g.requires_grad_(True)
    FixNoise(match="rgb", image_weight=10).generator_loss(generator_step(nets, toy_source().g_ema))[
        "fixnoise_rgb"
    ].backward()
    for g in (nets.g, toy_source().g_ema):
        assert all(not block._forward_hooks for block in g.synthesis.blocks.values())
    assert all(block.torgb.weight.grad is not None for block in nets.g.synthesis.blocks.values())


def test_the_loss_and_control_0_share_an_anchor_where_g_and_its_average_have_two() -> None:
    """As in rosinality's files, whose noise maps are drawn for each network."""
    nets, anchors = toy_source().copy(), []

    class Watched(FixNoise):
        def generator_loss(self, step: GeneratorStep) -> dict[str, Tensor]:
            anchors.append(self.noise(step.source, 1, 0.0, step.rng))
            return super().generator_loss(step)

    for name, buffer in nets.g.named_buffers():
        if name.endswith("noise_const"):
            buffer.copy_(torch.randn(buffer.shape, generator=generator("other", name)))
    train(nets, toy_reals(), Watched(), TRAIN, ("anchor", 0))
    evaluated = FixNoise().noise(nets.g_ema, 1, 0.0, generator("unused"))
    trained_at = anchors[-1]
    assert isinstance(evaluated, dict) and isinstance(trained_at, dict)
    assert all(evaluated[layer].equal(trained_at[layer]) for layer in evaluated)


def torchvisions_vgg(state: Mapping[str, Tensor]) -> nn.Sequential:
    """The convolutional part of torchvision's VGG-16, in the widths of `state`."""
    layers: list[nn.Module] = []
    for entry in (0, 2, "pool", 5, 7, "pool", 10, 12, 14, "pool", 17, 19, 21, "pool", 24, 26, 28):
        if entry == "pool":
            layers.append(nn.MaxPool2d(2))
        else:
            n_out, n_in = state[f"features.{entry}.weight"].shape[:2]
            layers += [nn.Conv2d(n_in, n_out, 3, padding=1), nn.ReLU()]
    network = nn.Sequential(*layers)
    network.load_state_dict({name.removeprefix("features."): t for name, t in state.items()})
    return network


@pytest.mark.parametrize("name", ["fixnoise", "feature_matching"])
def test_vgg_is_the_distance_of_five_stages_at_the_weight_of_the_features(name: str) -> None:
    """Summed over channels, mean over places, stages and batch; the images go in as they are, in [-1, 1]."""
    method = find_method(f"{name}[match=vgg]").model_validate({"weight": 0.3})
    nets = toy_source().copy()
    nets.g.requires_grad_(True)
    with with_stand_ins(method.needs):
        extra = method.prepare(nets, torch.zeros(1, 3, 32, 32), generator("unused"))
    assert isinstance(extra, Extra) and not extra.state_dict() and not list(extra.parameters())
    seen: list[Tensor] = []
    step = generator_step(nets, toy_source().g_ema.requires_grad_(False), extra)
    keep = [g.synthesis.register_forward_hook(lambda _, __, made: seen.append(made[0])) for g in (nets.g, step.source)]
    loss = method.generator_loss(step)
    for hook in keep:
        hook.remove()
    reference, expected, (ours, theirs) = torchvisions_vgg(vgg()), [], seen
    for i, layer in enumerate(reference):
        ours, theirs = layer(ours), layer(theirs)
        if i in (3, 8, 15, 22, 29):  # ReLU 1_2, 2_2, 3_3, 4_3, 5_3
            expected.append(((ours - theirs) ** 2).sum(dim=1).mean().item())
    assert list(loss) == [f"{method.name}_vgg"]
    assert loss[f"{method.name}_vgg"].item() == pytest.approx(0.3 * np.mean(expected), rel=1e-4)
    loss[f"{method.name}_vgg"].backward()
    assert all(block.torgb.weight.grad is not None for block in nets.g.synthesis.blocks.values())


def test_only_vgg_needs_a_file_and_its_row_is_taught_by_lpips_vgg() -> None:
    assert FixNoise(match="vgg").needs == ("vgg16",)
    assert [FixNoise(match=match).needs for match in ("features", "rgb", "image", "all")] == [()] * 4  # type: ignore[arg-type]
    assert FixNoise().prepare(toy_source().copy(), torch.zeros(1), generator("unused")) is None
    record = SimpleNamespace(trained_on=("vgg16",))
    assert taught_by(record, "lpips_vgg") and not taught_by(record, "kid_effnetlite0_128")  # type: ignore[arg-type]
