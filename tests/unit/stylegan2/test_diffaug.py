"""DiffAugment: each step by hand, its ranges, its derivatives, its randomness, and its place in the training loop."""

from __future__ import annotations

import pytest
import torch
from benchmark.methods.finetune import Finetune
from torch import Tensor

from benchmark.config import TrainConfig
from benchmark.conformity.trial import TRAIN, same, toy_reals, toy_source
from benchmark.errors import ConfigError
from benchmark.stylegan2 import Nets
from benchmark.stylegan2.diffaug import Draw, diffaug, draw, transform
from benchmark.training.train import train

OUTSIDE = 1000


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(n: int = 2, height: int = 16, width: int = 24, seed: int = 1) -> Tensor:
    return torch.rand(n, 3, height, width, generator=rng(seed), dtype=torch.float64) * 2 - 1


def only(n: int = 2, **values: float) -> Draw:
    """Everything off but `values`, for each of n images."""
    off = {"brightness": 0.0, "saturation": 1.0, "contrast": 1.0, "shift_x": 0, "shift_y": 0}
    off |= {"cut_x": OUTSIDE, "cut_y": OUTSIDE}
    return Draw(**{name: torch.full((n,), value) for name, value in (off | values).items()})


def close(got: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-12)


# --- each step alone, and their order


def test_with_everything_off_an_image_stays_as_it_is() -> None:
    x = images()
    assert transform(x, only()).equal(x)


def test_colour_steps_by_hand() -> None:
    x = images()
    close(transform(x, only(brightness=0.25)), x + 0.25)
    grey = (x[:, :1] + x[:, 1:2] + x[:, 2:]) / 3
    close(transform(x, only(saturation=0.0)), grey.expand_as(x))
    close(transform(x, only(saturation=1.5)), grey + 1.5 * (x - grey))
    for one, got in zip(x, transform(x, only(contrast=0.5)), strict=True):
        close(got, 0.5 * one + 0.5 * one.mean())


@pytest.mark.parametrize(("right", "down"), [(3, 0), (0, -2), (-3, 2)])
def test_a_shift_moves_whole_pixels_and_lets_zeros_in(right: int, down: int) -> None:
    x = images()
    padded = torch.nn.functional.pad(x, (4, 4, 4, 4))
    expected = padded[:, :, 4 - down : 20 - down, 4 - right : 28 - right]
    assert transform(x, only(shift_x=right, shift_y=down)).equal(expected)


@pytest.mark.parametrize(("first_y", "first_x"), [(2, 3), (-4, -6), (12, 20)])
def test_cutout_zeroes_half_a_side_and_no_more(first_y: int, first_x: int) -> None:
    x = images()
    expected = x.clone()
    expected[:, :, max(first_y, 0) : first_y + 8, max(first_x, 0) : first_x + 12] = 0
    assert transform(x, only(cut_y=first_y, cut_x=first_x)).equal(expected)


def test_order_is_brightness_saturation_contrast_shift_cutout() -> None:
    together = {
        "brightness": 0.3,
        "saturation": 0.4,
        "contrast": 1.4,
        "shift_x": 3,
        "shift_y": -2,
        "cut_x": 4,
        "cut_y": 3,
    }
    x = expected = images()
    for name in ("brightness", "saturation", "contrast"):
        expected = transform(expected, only(**{name: together[name]}))
    expected = transform(expected, only(shift_x=3, shift_y=-2))
    expected = transform(expected, only(cut_x=4, cut_y=3))
    close(transform(x, only(**together)), expected)
    assert transform(x, only(**together))[:, :, 3:11, 4:16].eq(0).all()  # brightness does not light up the cut


def test_images_have_their_own_parameters_and_do_not_see_each_other() -> None:
    x = images(6)
    other = x.clone()
    other[0] = float("nan")
    one, two = diffaug(x, rng(3)), diffaug(other, rng(3))
    assert one[1:].equal(two[1:])
    params = draw(6, 16, 24, rng(3))
    assert all(value.unique().numel() > 1 for value in params)
    for i in range(6):
        close(transform(x[i : i + 1], Draw(*(value[i : i + 1] for value in params))), one[i : i + 1])


# --- ranges


@pytest.mark.parametrize(("height", "width"), [(16, 16), (64, 32), (12, 20)])
def test_draws_reach_their_whole_ranges_evenly(height: int, width: int) -> None:
    n = 30_000
    params = draw(n, height, width, rng(5))
    for value, low, high in zip(params[:3], (-0.5, 0, 0.5), (0.5, 2, 1.5), strict=True):
        assert low <= value.min() < low + 0.01 and high - 0.01 < value.max() < high
        assert value.mean().item() == pytest.approx((low + high) / 2, abs=0.015)
    for value, size in ((params.shift_x, width), (params.shift_y, height)):
        most = size // 8
        counts = torch.bincount(value + most)
        assert len(counts) == 2 * most + 1 and counts.min() > 0.8 * n / len(counts)
    for value, size in ((params.cut_x, width), (params.cut_y, height)):
        half = size // 2
        middles = value + half // 2  # 0 .. size for a square of even side, 0 .. size - 1 for an odd one
        counts = torch.bincount(middles)
        assert middles.min() == 0 and len(counts) == size + 1 - half % 2 and counts.min() > 0.75 * n / len(counts)


# --- derivatives


def test_derivatives_are_right_to_the_second_order() -> None:
    x = images(3, 8, 8).requires_grad_()
    params = draw(3, 8, 8, rng(4))
    assert torch.autograd.gradcheck(lambda x: transform(x, params), x)
    assert torch.autograd.gradgradcheck(lambda x: transform(x, params).tanh(), x)


def test_a_penalty_on_the_gradient_reaches_weights_through_the_augmentation() -> None:
    weight = images(4, 3, 3, 2)[..., :3].requires_grad_()
    x = images(4, 8, 8).requires_grad_()

    def penalty(weight: Tensor) -> Tensor:
        score = torch.nn.functional.conv2d(diffaug(x, rng(5)), weight).tanh().sum()
        (gradient,) = torch.autograd.grad(score, x, create_graph=True)
        return gradient.square().sum()

    (got,) = torch.autograd.grad(penalty(weight), weight)
    step = 1e-6 * images(4, 3, 3, 4)[..., :3]
    expected = (penalty(weight + step) - penalty(weight - step)).detach() / 2
    torch.testing.assert_close((got * step).sum(), expected, rtol=1e-5, atol=0)


# --- formats, errors, randomness


def test_low_precision_is_worked_on_in_float32() -> None:
    x = images().float().bfloat16()
    low = diffaug(x, rng(4))
    assert low.dtype == torch.bfloat16 and low.equal(diffaug(x.float(), rng(4)).bfloat16())


def test_same_seed_same_result_and_no_global_randomness() -> None:
    x, before = images(), torch.get_rng_state()
    first, again, other = (diffaug(x, rng(seed)) for seed in (1, 1, 2))
    assert first.equal(again) and not first.equal(other)
    assert torch.get_rng_state().equal(before)


@pytest.mark.parametrize("shape", [(2, 1, 8, 8), (3, 8, 8), (2, 3, 8, 1)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="RGB"):
        diffaug(torch.zeros(shape), rng())


# --- in the loop


def trained(nets: Nets | None = None, **settings: object) -> tuple[Nets, dict[str, Tensor]]:
    nets = nets or toy_source().copy()
    cfg = TrainConfig.model_validate(TRAIN.model_dump() | settings)
    state = train(nets, toy_reals(), Finetune(), cfg, ("diffaug", 0))
    return nets, {name: t.clone() for name, t in state.streams.state_dict().items()}


def test_training_with_it_repeats_and_draws_from_its_own_stream_only() -> None:
    (first, streams), (again, _), (plain, others) = trained(augment="diffaug"), trained(augment="diffaug"), trained()
    for name, tensor in first.state_dict().items():
        assert same(tensor, again.state_dict()[name])
    assert not first.d.b4.out.weight.equal(plain.d.b4.out.weight)
    assert {name for name in streams if not streams[name].equal(others[name])} == {"augment"}


def test_the_discriminator_never_sees_an_image_without_its_cutout() -> None:
    nets, cut = toy_source().copy(), []
    assert not (toy_reals() == 127.5).any()  # no zeros of their own

    def look(module: object, given: tuple[Tensor, ...]) -> None:
        cut.append(given[0].detach().eq(0).all(1).sum((1, 2)))

    nets.d.register_forward_pre_hook(look)
    trained(nets, augment="diffaug")
    assert len(cut) == 2 * 3 + 1  # two steps: fakes for G, fakes and reals for D; and one R1
    assert torch.cat(cut).min() >= 8 * 8  # a square of 16 px with its middle inside leaves at least a quarter
