"""What a source draws is found in it again; a code means something to an adapted generator, too."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import cache
from typing import get_args

import numpy as np
import pytest
import torch

from benchmark.config import NetConfig
from benchmark.errors import BenchmarkError
from benchmark.metrics.networks.perceptual import PerceptualNetwork, load_perceptual_network
from benchmark.metrics.sampling import to_uint8
from benchmark.sources.inversion import Inversion, Search, Space, invert, nearest
from benchmark.stylegan2 import Generator, Nets
from benchmark.system.random_streams import generator

CFG = NetConfig(resolution=16, z_dim=8, w_dim=8, mapping_layers=1, channel_base=128, channel_max=8, conv_clamp=None)
SPACES = get_args(Space)
SEARCH = Search(steps=40)


@cache
def distance() -> PerceptualNetwork:
    return load_perceptual_network("randconv", {})


@cache
def source() -> Generator:
    """Whose images differ and listen to the noise."""
    g = Nets.create(CFG, 3).g_ema
    with torch.no_grad():
        for name, p in g.named_parameters():
            if name.endswith("noise_strength"):
                p.fill_(0.2)
    return g.eval().requires_grad_(False)


@cache
def pictures(n: int = 3) -> np.ndarray:
    """What the source draws at its anchor noise."""
    z = torch.randn(n, CFG.z_dim, generator=generator("test pictures"))
    return to_uint8(source()(z, noise=source().synthesis.anchor_noise()))


@cache
def found(space: Space) -> Inversion:
    return invert(source(), pictures(), distance(), replace(SEARCH, space=space, grain=False))


def rms(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.sqrt(np.square(a.astype(float) - b).mean((1, 2, 3)))


@pytest.mark.parametrize("space", SPACES)
def test_what_the_source_draws_is_found_nearer_than_the_best_of_the_drawn_latents(space: Space) -> None:
    made = found(space)
    (z,) = nearest(source(), [torch.from_numpy(pictures())])
    begun = to_uint8(source()(z, noise=source().synthesis.anchor_noise()))
    assert rms(made.images, pictures()).mean() < 0.7 * rms(begun, pictures()).mean()
    assert made.rms == pytest.approx(rms(made.images, pictures())) and (made.rms > 0).all() and made.seconds > 0


@pytest.mark.parametrize("space", SPACES)
def test_a_code_draws_the_image_that_was_found(space: Space) -> None:
    made = found(space)
    again = to_uint8(made.code.draw(source(), source().synthesis.anchor_noise()))
    assert np.abs(again.astype(int) - made.images).max() <= 1
    features = [distance().features(torch.from_numpy(images)) for images in (made.images, pictures())]
    assert made.distances == pytest.approx(distance().distance(*features).numpy(), rel=1e-3, abs=1e-6)


def test_grain_is_found_in_the_noise_and_leaves_the_drawing_alone() -> None:
    other = source().synthesis.random_noise(3, generator("other grain"))
    z = torch.randn(3, CFG.z_dim, generator=generator("test pictures"))
    grained = to_uint8(source()(z, noise=other))
    held, free = (invert(source(), grained, distance(), replace(SEARCH, grain=grain)) for grain in (False, True))
    assert (free.rms < 0.8 * held.rms).all()
    clean = [to_uint8(made.code.draw(source(), "none")) for made in (held, free)]
    true = to_uint8(source()(z, noise="none"))
    assert rms(clean[1], true).mean() < rms(clean[0], true).mean()


def test_spaces_are_as_wide_as_their_names_say() -> None:
    offsets = {space: found(space).code.offset for space in SPACES}
    assert all(offset.shape == (3, source().synthesis.num_ws, CFG.w_dim) for offset in offsets.values())
    assert (offsets["z"] == 0).all()
    assert (offsets["w"] == offsets["w"][:, :1]).all() and (offsets["w"] != 0).any()
    assert (offsets["w+"] != offsets["w+"][:, :1]).any()


def test_a_picture_is_found_at_the_same_place_whatever_others_are_looked_for() -> None:
    alone = invert(source(), pictures()[1:2], distance(), replace(SEARCH, grain=False))
    torch.testing.assert_close(alone.code.offset, found("w+").code.offset[1:2], rtol=1e-2, atol=1e-3)


def test_the_way_of_an_adapted_mapping_network_is_gone_along() -> None:
    moved = copy.deepcopy(source())
    with torch.no_grad():
        moved.mapping.fc0.bias.add_(50)  # type: ignore[union-attr,operator]
    code = found("w+").code
    way = moved.mapping(code.z) - source().mapping(code.z)
    assert way.abs().max() > 0.1
    torch.testing.assert_close(code.ws(moved), code.ws(source()) + way)


@pytest.mark.parametrize(("px", "together"), [(16, 20), (64, 20), (128, 5)])
def test_candidates_are_drawn_a_few_at_a_time_where_they_are_large(px: int, together: int) -> None:
    g, drawn, ticks = Nets.create(CFG.model_copy(update={"resolution": px}), 3).g_ema.eval(), list[int](), list[float]()
    g.register_forward_hook(lambda _, z, images: drawn.append(len(images)))
    (z,) = nearest(g, [torch.zeros(2, 3, px, px)], ticks.append)
    assert sum(drawn) == 200 and max(drawn) == together and z.shape == (2, CFG.z_dim)
    assert len(ticks) == len(drawn) and sum(ticks) == pytest.approx(1)


def test_the_bar_moves_from_the_first_candidates_on_to_all_pictures() -> None:
    ticks = list[float]()
    invert(source(), pictures(), distance(), replace(SEARCH, steps=7), ticks.append)
    assert len(ticks) == 200 // 20 + 7 and min(ticks) > 0 and sum(ticks) == pytest.approx(3)


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (np.zeros((1, 3, 8, 8), np.uint8), r"uint8 \[n, 3, 16, 16\]; found uint8 \[1, 3, 8, 8\]"),
        (np.zeros((0, 3, 16, 16), np.uint8), r"found uint8 \[0, 3, 16, 16\]"),
        (np.zeros((1, 3, 16, 16)), "found float64"),
    ],
)
def test_other_pictures_are_refused(images: np.ndarray, said: str) -> None:
    with pytest.raises(BenchmarkError, match=said):
        invert(source(), images, distance())


def test_a_generator_with_labels_is_refused() -> None:
    g = Nets.create(CFG.model_copy(update={"c_dim": 2}), 0).g_ema
    with pytest.raises(BenchmarkError, match="draws 2 classes"):
        invert(g, pictures(), distance())
