"""Adaptive discriminator augmentation: the operator, its derivatives, its randomness, its controller."""

from __future__ import annotations

import json
from math import pi

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmark.errors import ConfigError, WeightsError
from benchmark.stylegan2.ada import Ada
from benchmark.stylegan2.augment import (
    DOWN,
    UP,
    Draw,
    augment,
    color_matrix,
    draw,
    source_matrix,
    transform,
)

# Daubechies' least asymmetric wavelet with 6 vanishing moments ("Ten Lectures", table 6.3).
SYM6 = (
    *(0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633, 0.4910559419267466),
    *(0.787641141030194, 0.3379294217276218, -0.07263752278646252, -0.021060292512300564, 0.04472490177066578),
    *(0.0017677118642428036, -0.007800708325034148),
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand(*shape, generator=generator(seed), dtype=dtype) * 2 - 1


def only(n: int = 1, /, **values: float) -> Draw:
    """Everything off but ``values``."""
    off = draw(n, 0.0, generator())
    return off._replace(**{name: getattr(off, name) + value for name, value in values.items()})


# --- the resampling filters


def test_filters_together_are_sym6_with_its_mirror_image() -> None:
    up, down = (np.array([*taps[:0:-1], *taps]) for taps in (UP, DOWN))
    np.testing.assert_allclose(2 * np.convolve(up, down), np.convolve(SYM6, SYM6[::-1]), atol=1e-12)
    assert up.sum() == pytest.approx(1, abs=1e-14)


def test_stripes_beyond_the_new_nyquist_vanish_instead_of_aliasing() -> None:
    stripes = (1 - 2 * (torch.arange(32, dtype=torch.float64) % 2)).expand(1, 3, 32, 32)
    halved = transform(stripes, only(log2_scale=-1))  # plain sampling would give a constant 1 or -1
    assert halved[..., 4:-4].abs().max() < 1e-9


# --- nothing to do


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("p", [0, 0.0, torch.tensor(0.0), torch.zeros(5)])
def test_zero_probability_changes_no_bit(p: Tensor | float, dtype: torch.dtype) -> None:
    x = images(5, 3, 16, 16).to(dtype)
    assert torch.equal(augment(x, p, generator()), x)


def test_images_without_any_transformation_keep_every_bit() -> None:
    x, p = images(64, 3, 8, 8, dtype=torch.float32), 0.05
    off = torch.stack(draw(64, p, generator())).eq(0).all(0)
    y = augment(x, p, generator())
    assert 10 < off.sum() < 60
    assert torch.equal(y[off], x[off])
    assert (y[~off] - x[~off]).abs().amax((1, 2, 3)).min() > 1e-3


@pytest.mark.parametrize("size", [(2, 2), (3, 5), (16, 16), (9, 33)])
def test_neutral_parameters_give_the_image_back(size: tuple[int, int]) -> None:
    x = images(2, 3, *size)
    torch.testing.assert_close(transform(x, only(2)), x, rtol=0, atol=1e-11)


def test_identity_in_float32_at_training_size() -> None:
    x = images(2, 3, 64, 64, dtype=torch.float32)
    torch.testing.assert_close(transform(x, only(2)), x, rtol=0, atol=5e-5)


# --- derivatives


def test_first_and_second_derivatives() -> None:
    x = images(3, 3, 4, 5).requires_grad_()

    def function(x: Tensor) -> Tensor:
        return augment(x, torch.tensor([1.0, 1.0, 0.0]), generator(3)).sin()

    assert torch.autograd.gradcheck(function, x)
    assert torch.autograd.gradgradcheck(function, x)


def test_gradient_penalty_reaches_the_weights() -> None:
    """R1 through augmentation: the weights' gradient against a central difference."""
    x, weight = images(2, 3, 8, 8).requires_grad_(), images(4, 3, 3, 3, seed=2).requires_grad_()

    def penalty(weight: Tensor) -> Tensor:
        score = torch.nn.functional.conv2d(augment(x, 0.9, generator(5)), weight).tanh().sum()
        (gradient,) = torch.autograd.grad(score, x, create_graph=True)
        return gradient.square().sum()

    (got,) = torch.autograd.grad(penalty(weight), weight)
    step = 1e-6 * images(4, 3, 3, 3, seed=4)
    expected = (penalty(weight + step) - penalty(weight - step)).detach() / 2
    torch.testing.assert_close((got * step).sum(), expected, rtol=1e-5, atol=0)


def geometric(n: int) -> Draw:
    colour = ("brightness", "log2_contrast", "luma_flip", "hue", "log2_saturation")
    full = draw(n, 1.0, generator(8))
    return full._replace(**{name: torch.zeros_like(full.hue) for name in colour})


def test_backward_of_geometry_is_its_transpose() -> None:
    x, y = images(6, 3, 12, 9).requires_grad_(), images(6, 3, 12, 9, seed=2)
    out = transform(x, geometric(6))
    (pulled,) = torch.autograd.grad(out, x, y)
    torch.testing.assert_close((out * y).sum((1, 2, 3)), (x * pulled).sum((1, 2, 3)), rtol=1e-9, atol=1e-9)


def test_geometry_is_linear_and_keeps_constants() -> None:
    params, x, y = geometric(6), images(6, 3, 12, 9), images(6, 3, 12, 9, seed=2)
    both = 2 * transform(x, params) - 3 * transform(y, params)
    torch.testing.assert_close(transform(2 * x - 3 * y, params), both, rtol=0, atol=1e-11)
    constant = torch.full_like(x, 0.7)
    torch.testing.assert_close(transform(constant, params), constant, rtol=0, atol=1e-11)


# --- each transformation alone


def close(got: Tensor, expected: Tensor, atol: float = 1e-10) -> None:
    torch.testing.assert_close(got, expected, rtol=0, atol=atol)


def test_flip_mirrors_left_and_right() -> None:
    x = images(1, 3, 8, 11)
    close(transform(x, only(flip=1)), x.flip(3))


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_quarter_turns(turns: int) -> None:
    x = images(1, 3, 9, 9)
    close(transform(x, only(quarter_turns=turns)), x.rot90(turns, (2, 3)))
    close(transform(x, only(angle_before=turns * pi / 2)), x.rot90(turns, (2, 3)))
    close(transform(x, only(angle_after=turns * pi / 2)), x.rot90(turns, (2, 3)))


@pytest.mark.parametrize(("right", "down"), [(2, 0), (0, -3), (-1, 3)])
def test_whole_pixel_shift_mirrors_what_comes_in(right: int, down: int) -> None:
    x = images(1, 3, 24, 16)
    padded = torch.nn.functional.pad(x, (4, 4, 4, 4), mode="reflect")
    expected = padded[:, :, 4 - down : 28 - down, 4 - right : 20 - right]
    # 0.3 px off the whole number: rounding must remove it; the same as an offset, exact, without rounding.
    close(transform(x, only(shift_x=(right + 0.3) / 16, shift_y=(down - 0.3) / 24)), expected)
    close(transform(x, only(offset_x=right / 16, offset_y=down / 24)), expected)


def test_borders_mirror_without_end() -> None:
    x = images(1, 3, 8, 8)
    close(transform(x, only(offset_x=2 * 7 / 8)), x)
    close(transform(x, only(offset_x=7 / 8)), x.flip(3))


def test_order_is_flip_turn_shift() -> None:
    x = images(1, 3, 16, 16)
    turned = x.flip(3).rot90(1, (2, 3))
    expected = torch.nn.functional.pad(turned, (2, 0, 0, 0), mode="reflect")[..., :16]
    close(transform(x, only(flip=1, quarter_turns=1, shift_x=2 / 16)), expected)


def blob(x: Tensor, y: Tensor) -> Tensor:
    """A smooth shape without symmetry, positions in px from the centre."""
    return torch.exp(-((x - 4) ** 2) / 50 - (y + 2) ** 2 / 30 + (x - 4) * (y + 2) / 90)


@pytest.mark.parametrize(
    ("values", "source"),
    [
        ({"log2_scale": 0.5}, [[2**-0.5, 0, 0], [0, 2**-0.5, 0]]),
        ({"log2_stretch": 0.4}, [[2**-0.4, 0, 0], [0, 2**0.4, 0]]),
        ({"offset_x": 0.08, "offset_y": -0.03}, [[1, 0, -0.08 * 40], [0, 1, 0.03 * 40]]),
        ({"angle_before": pi / 6}, [[3**0.5 / 2, -0.5, 0], [0.5, 3**0.5 / 2, 0]]),
        ({"angle_after": pi / 6}, [[3**0.5 / 2, -0.5, 0], [0.5, 3**0.5 / 2, 0]]),
        # A quarter turn swaps the axes of the stretch if it comes first, and not if it comes after.
        ({"angle_before": pi / 2, "log2_stretch": 0.4}, [[0, -(2**0.4), 0], [2**-0.4, 0, 0]]),
        ({"angle_after": pi / 2, "log2_stretch": 0.4}, [[0, -(2**-0.4), 0], [2**0.4, 0, 0]]),
    ],
)
def test_smooth_shapes_land_where_the_formula_says(values: dict[str, float], source: list[list[float]]) -> None:
    axis = torch.arange(40, dtype=torch.float64) - 19.5
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    (a, b, c), (d, e, f) = source
    got = transform(blob(x, y).expand(1, 3, 40, 40), only(**values))[0, 0]
    inside = slice(6, -6)  # nearer to the border, mirrored parts come in
    close(got[inside, inside], blob(a * x + b * y + c, d * x + e * y + f)[inside, inside], atol=0.01)


def test_source_matrix_undoes_eight_steps_in_the_papers_order() -> None:
    params = geometric(1)

    def rotation(angle: Tensor) -> Tensor:  # counter-clockwise to the eye: y points down
        c, s = np.cos(angle.item()), np.sin(angle.item())
        return torch.tensor([[c, s, 0], [-s, c, 0], [0, 0, 1]], dtype=torch.float64)

    def translation(x: float, y: float) -> Tensor:
        return torch.tensor([[1, 0, x], [0, 1, y], [0, 0, 1]], dtype=torch.float64)

    def scaling(x: float, y: float) -> Tensor:
        return torch.diag(torch.tensor([x, y, 1], dtype=torch.float64))

    v = {name: value.item() for name, value in params._asdict().items()}
    g = scaling(1 - 2 * v["flip"], 1)
    g = rotation(params.quarter_turns * pi / 2) @ g
    g = translation(round(v["shift_x"] * 20), round(v["shift_y"] * 30)) @ g
    g = scaling(2 ** v["log2_scale"], 2 ** v["log2_scale"]) @ g
    g = rotation(params.angle_before) @ g
    g = scaling(2 ** v["log2_stretch"], 2 ** -v["log2_stretch"]) @ g
    g = rotation(params.angle_after) @ g
    g = translation(v["offset_x"] * 20, v["offset_y"] * 30) @ g
    close(source_matrix(params, 30, 20)[0] @ g, torch.eye(3, dtype=torch.float64), atol=1e-12)


# --- colour


def luma_and_rest(x: Tensor) -> tuple[Tensor, Tensor]:
    luma = x.mean(1, keepdim=True)
    return luma, x - luma


def test_colour_transformations_alone() -> None:
    x = images(1, 3, 6, 6)
    luma, rest = luma_and_rest(x)
    close(transform(x, only(brightness=0.3)), x + 0.3)
    close(transform(x, only(log2_contrast=-0.7)), x * 2**-0.7)
    close(transform(x, only(luma_flip=1)), rest - luma)
    close(transform(x, only(log2_saturation=1.2)), luma + rest * 2**1.2)


def test_hue_turns_about_the_grey_axis() -> None:
    x = images(1, 3, 6, 6)
    luma, rest = luma_and_rest(x)
    close(transform(x, only(hue=2 * pi / 3)), x.roll(1, 1))  # red -> green -> blue -> red
    close(transform(x, only(hue=pi)), luma - rest)
    turned = transform(x, only(hue=0.4))
    close(turned.mean(1, keepdim=True), luma)
    close(turned.norm(dim=1), x.norm(dim=1))


def test_colour_order_is_brightness_contrast_flip_hue_saturation() -> None:
    together = dict(brightness=0.2, log2_contrast=0.5, luma_flip=1.0, hue=0.9, log2_saturation=-0.8)
    x = images(1, 3, 6, 6)
    expected = x
    for name, value in together.items():
        expected = transform(expected, only(**{name: value}))
    close(transform(x, only(**together)), expected)
    # Saturation and hue commute, brightness and the luma flip do not: the order above is not the only one possible.
    assert color_matrix(only(**together))[0, :, 3].tolist() == pytest.approx([-0.2 * 2**0.5] * 3)


# --- randomness


@pytest.mark.parametrize("p", [0.3, 1.0])
def test_frequencies_and_distributions(p: float) -> None:
    n = 40_000
    sample = draw(n, p, generator(11))
    rotation = 1 - (1 - p) ** 0.5
    share = {"flip": p / 2, "luma_flip": p / 2, "quarter_turns": p * 3 / 4}
    share |= {"angle_before": rotation, "angle_after": rotation}
    for name, value in sample._asdict().items():
        expected = share.get(name, p)
        assert value.ne(0).double().mean().item() == pytest.approx(expected, abs=0.011), name
    either = sample.angle_before.ne(0) | sample.angle_after.ne(0)
    assert either.double().mean().item() == pytest.approx(p, abs=0.011)

    deviation = {"log2_scale": 0.2, "log2_stretch": 0.2, "offset_x": 0.125, "offset_y": 0.125, "brightness": 0.2}
    deviation |= {"log2_contrast": 0.5, "log2_saturation": 1.0}
    limit = {"shift_x": 0.125, "shift_y": 0.125, "angle_before": pi, "angle_after": pi, "hue": pi}
    deviation |= {name: value / 3**0.5 for name, value in limit.items()}
    for name, value in deviation.items():
        on = getattr(sample, name)[getattr(sample, name) != 0]
        assert on.std().item() == pytest.approx(value, rel=0.04), name
        assert abs(on.mean().item()) < 0.05 * value, name
        assert on.abs().max() <= limit.get(name, 10), name
    assert sample.quarter_turns.unique().tolist() == [0, 1, 2, 3]


def test_transformations_are_switched_independently() -> None:
    gates = torch.stack(draw(40_000, 0.5, generator(2))).ne(0).double()
    correlation = torch.corrcoef(gates) - torch.eye(len(gates), dtype=torch.float64)
    index = {name: i for i, name in enumerate(Draw._fields)}
    for pair in (("shift_x", "shift_y"), ("offset_x", "offset_y")):  # one transformation each
        a, b = (index[name] for name in pair)
        assert correlation[a, b] > 0.99
        correlation[a, b] = correlation[b, a] = 0
    assert correlation.abs().max() < 0.025


def test_probability_may_differ_by_image() -> None:
    p = torch.tensor([0.0, 1.0]).repeat(500)
    on = draw(1000, p, generator()).offset_x.ne(0)
    assert torch.equal(on, p.bool())


def test_same_seed_same_result_and_no_global_randomness() -> None:
    x, state = images(4, 3, 8, 8), torch.get_rng_state()
    first, again, other = (augment(x, 0.8, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)


def test_stream_advances_alike_whatever_p_is() -> None:
    x, states = images(4, 3, 8, 8), []
    for p in (0.0, 0.4, 1.0, torch.tensor(0.0)):
        rng = generator(1)
        augment(x, p, rng)
        states.append(rng.get_state())
    assert all(torch.equal(state, states[0]) for state in states)


def test_an_image_does_not_depend_on_its_neighbours() -> None:
    x, y = images(6, 3, 16, 16, dtype=torch.float32), images(6, 3, 16, 16, seed=2, dtype=torch.float32)
    y[3] = x[3]
    y[0] = float("nan")
    assert torch.equal(augment(x, 1.0, generator(4))[3], augment(y, 1.0, generator(4))[3])


# --- formats


def test_low_precision_and_memory_format_do_not_matter() -> None:
    x = images(4, 3, 16, 16, dtype=torch.float32).bfloat16()
    expected = augment(x.float(), 1.0, generator(4))
    low = augment(x, 1.0, generator(4))
    assert low.dtype == torch.bfloat16
    assert torch.equal(low, expected.bfloat16())
    last = x.float().to(memory_format=torch.channels_last)
    torch.testing.assert_close(augment(last, 1.0, generator(4)), expected, rtol=0, atol=1e-6)


def test_autocast_changes_nothing_in_any_derivative() -> None:
    def run(enabled: bool) -> tuple[Tensor, ...]:
        x = images(4, 3, 16, 16, dtype=torch.float32).requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            out = augment(x, 1.0, generator(4))
            (first,) = torch.autograd.grad(out.square().sum(), x, create_graph=True)
            (second,) = torch.autograd.grad(first.square().sum(), x)
        return out, first, second

    for plain, mixed in zip(run(False), run(True), strict=True):
        assert torch.equal(plain, mixed)


def test_use_in_inference_mode_does_not_spoil_training() -> None:
    with torch.inference_mode():
        augment(images(1, 3, 13, 13), 1.0, generator())
    x = images(1, 3, 13, 13).requires_grad_()
    augment(x, 1.0, generator()).sum().backward()
    assert x.grad is not None and x.grad.isfinite().all()


@pytest.mark.parametrize("shape", [(2, 1, 8, 8), (3, 8, 8), (2, 3, 8, 1)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="RGB"):
        augment(torch.zeros(shape), 0.5, generator())


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_impossible_probabilities_are_refused(p: float) -> None:
    with pytest.raises(ConfigError, match=r"\[0, 1\]"):
        augment(torch.zeros(1, 3, 8, 8), p, generator())


# --- the controller


def feed(ada: Ada, mean: float, steps: int, images: int = 16) -> list[float]:
    return [ada.update(mean * images, images) for _ in range(steps)]


def test_controller_moves_every_few_steps_by_the_images_seen() -> None:
    step = 4 * 16 / 100_000
    assert feed(Ada(), 1.0, 8) == pytest.approx([0, 0, 0, step, step, step, step, 2 * step])
    assert feed(Ada(p=0.5), -1.0, 4)[-1] == pytest.approx(0.5 - step)
    assert feed(Ada(p=0.5), 0.625, 4)[-1] == pytest.approx(0.5 + step)
    assert feed(Ada(p=0.5, target=0.625), 0.625, 4)[-1] == 0.5


def test_controller_judges_the_mean_since_the_last_adjustment_only() -> None:
    ada = Ada(p=0.5, every=2)
    feed(ada, 1.0, 20)
    high = ada.p
    ada.update(16.0, 16)
    assert ada.update(0.0, 16) < high  # mean 0.5 is below 0.6; the earlier ones are forgotten


def test_controller_crosses_the_range_in_its_kimg_and_stays_inside() -> None:
    ada = Ada(kimg=1.0, every=1)
    up = feed(ada, 1.0, 70)
    assert up[60] < 1 and up[-1] == 1.0  # 1000 images / 16 = 62.5 steps
    assert feed(ada, -1.0, 70)[-1] == 0.0


def test_controller_holds_still_on_nan() -> None:
    assert feed(Ada(p=0.5), float("nan"), 4)[-1] == 0.5


def test_state_survives_json_in_the_middle_of_an_interval() -> None:
    straight, first, second = Ada(kimg=1.0), Ada(kimg=1.0), Ada(kimg=1.0)
    logits = torch.randn(50, 16, generator=generator(3)) + 1.0
    expected = [straight.update(row.sign().sum(), 16) for row in logits]
    got = [first.update(row.sign().sum(), 16) for row in logits[:22]]
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    got += [second.update(row.sign().sum(), 16) for row in logits[22:]]
    assert got == expected
    assert len(set(expected)) > 3


@pytest.mark.parametrize("state", [{}, {"p": 0.5}, {"p": 7.0, "steps": 0, "images": 0, "signs": 0.0}])
def test_foreign_state_is_refused(state: dict[str, float]) -> None:
    with pytest.raises(WeightsError, match="ADA state"):
        Ada().load_state_dict(state)


@pytest.mark.parametrize("settings", [{"kimg": 0.0}, {"every": 0}, {"p": 2.0}])
def test_impossible_settings_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="ADA"):
        Ada(**settings)  # type: ignore[arg-type]
