"""Convolutions and resampling: values and derivatives of first and second order."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import grad, gradcheck, gradgradcheck

from benchmark.stylegan2 import ops

# stride, padding, groups, kernel; 4 channels in and 4 out. Where stride 2 leaves the last column unused it is hardest.
SPECS = [(1, 0, 1, 3), (1, 1, 1, 3), (1, 1, 2, 3), (1, 2, 4, 4), (2, 0, 1, 3), (2, 1, 1, 3), (2, 1, 4, 4), (1, 0, 1, 1)]
Convolution = Callable[..., Tensor]


def tensor(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=rng, dtype=torch.float64).to(dtype).requires_grad_(True)


def weight(groups: int, kernel: int, channels: int = 4, dtype: torch.dtype = torch.float64) -> Tensor:
    return tensor(channels, channels // groups, kernel, kernel, seed=1, dtype=dtype)


def derivatives(conv: Convolution, x: Tensor, w: Tensor, stride: int, padding: int, groups: int) -> list[Tensor]:
    """Value, gradients, and gradients of a function of these gradients (as R1 and path length take them)."""
    y = conv(x, w, stride=stride, padding=padding, groups=groups)
    dx, dw = grad(y.pow(3).mean(), (x, w), create_graph=True)
    ddx, ddw = grad(dx.square().sum() + dw.square().sum(), (x, w))
    return [t.detach() for t in (y, dx, dw, ddx, ddw)]


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(("stride", "padding", "groups", "kernel"), SPECS)
def test_derivatives_agree_with_finite_differences(
    transposed: bool, stride: int, padding: int, groups: int, kernel: int
) -> None:
    conv = ops.conv_transpose2d if transposed else ops.conv2d
    inputs = (tensor(2, 4, 4, 5), weight(groups, kernel))

    def function(x: Tensor, w: Tensor) -> Tensor:
        return conv(x, w, stride, padding, groups)

    assert gradcheck(function, inputs, fast_mode=True)
    assert gradgradcheck(function, inputs, fast_mode=True)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(("stride", "padding", "groups", "kernel"), SPECS)
@pytest.mark.parametrize("size", [(6, 6), (7, 6)])
def test_values_and_derivatives_equal_pytorchs(
    transposed: bool, stride: int, padding: int, groups: int, kernel: int, size: tuple[int, int]
) -> None:
    ours = ops.conv_transpose2d if transposed else ops.conv2d
    theirs = F.conv_transpose2d if transposed else F.conv2d
    x, w = tensor(3, 4, *size), weight(groups, kernel)
    a = derivatives(ours, x, w, stride, padding, groups)
    b = derivatives(theirs, x, w, stride, padding, groups)
    torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(("stride", "px"), [(1, 16), (1, 64), (2, 32)])  # small maps, and those with copies in NCHW
def test_memory_layout_does_not_change_results(transposed: bool, stride: int, px: int) -> None:
    conv = ops.conv_transpose2d if transposed else ops.conv2d
    x, w = tensor(2, 8, px, px, dtype=torch.float32), weight(1, 3, 8, dtype=torch.float32)
    y = derivatives(conv, x, w, stride, 1, 1)
    x, w = (t.detach().to(memory_format=torch.channels_last).requires_grad_(True) for t in (x, w))
    for a, b in zip(derivatives(conv, x, w, stride, 1, 1), y, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-5 * b.abs().max().item())


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("stride", [1, 2])
def test_bfloat16_is_close(transposed: bool, stride: int) -> None:
    conv = ops.conv_transpose2d if transposed else ops.conv2d
    x, w = tensor(2, 8, 16, 16, dtype=torch.float32), weight(1, 3, 8, dtype=torch.float32)

    def gradients(x: Tensor, w: Tensor) -> list[Tensor]:
        y = conv(x, w, stride, 1)
        dx, dw = grad(y.float().square().sum(), (x, w), create_graph=True)
        return [y, dx, dw, *grad(dx.float().square().sum(), (x, w))]

    exact = gradients(x, w)
    rounded = gradients(*(t.detach().bfloat16().requires_grad_(True) for t in (x, w)))
    for a, b in zip(rounded, exact, strict=True):
        assert a.dtype == torch.bfloat16
        assert (a.float() - b).norm() < 0.01 * b.norm()


# --- the FIR filter, against zero insertion, padding, correlation and decimation written out


def correlate(x: np.ndarray, pad: tuple[int, int], gain: float) -> np.ndarray:
    """Pad the last two axes by (before, after) and correlate with the 4x4 kernel, normalised to `gain`."""
    taps = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64 * gain
    padded = np.pad(x, ((0, 0), (0, 0), pad, pad))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (4, 4), axis=(2, 3))
    return np.einsum("nchwij,ij->nchw", windows, taps)


FIR = ops.fir_kernel()
IMAGES = [(2, 3, 4, 4), (1, 5, 8, 6)]


@pytest.mark.parametrize("shape", IMAGES)
def test_upsample_inserts_zeros_and_filters(shape: tuple[int, int, int, int]) -> None:
    x = tensor(*shape).detach()
    spread = np.zeros((*shape[:2], 2 * shape[2], 2 * shape[3]))
    spread[:, :, ::2, ::2] = x
    np.testing.assert_allclose(ops.upsample(x, FIR), correlate(spread, (2, 1), 4), atol=1e-12)


@pytest.mark.parametrize("shape", IMAGES)
def test_downsample_filters_and_keeps_every_second_pixel(shape: tuple[int, int, int, int]) -> None:
    x = tensor(*shape).detach()
    expected = correlate(x.numpy(), (1, 1), 1)[:, :, ::2, ::2]
    np.testing.assert_allclose(ops.downsample(x.float(), FIR), expected, atol=1e-6)  # works in float32


@pytest.mark.parametrize("padding", [1, 2])
def test_blur_filters_each_channel(padding: int) -> None:
    x = tensor(2, 3, 6, 6).detach()
    expected = correlate(x.numpy(), (padding, padding), 4)
    np.testing.assert_allclose(ops.blur(x, FIR, padding, gain=4.0), expected, atol=1e-12)


def test_resampling_keeps_a_constant_image_away_from_the_border() -> None:
    grey = torch.full((1, 2, 16, 16), 0.25)
    torch.testing.assert_close(ops.upsample(grey, FIR)[..., 2:-2, 2:-2], torch.full((1, 2, 28, 28), 0.25))
    torch.testing.assert_close(ops.downsample(grey, FIR)[..., 1:-1, 1:-1], torch.full((1, 2, 6, 6), 0.25))


def test_lrelu_clamps_what_leaves_the_slope() -> None:
    x = torch.tensor([-100.0, -10.0, 0.0, 3.0, 100.0])
    assert ops.lrelu(x.clone(), None).tolist() == pytest.approx([-20.0, -2.0, 0.0, 3.0, 100.0])
    assert ops.lrelu(x.clone(), 4.0).tolist() == pytest.approx([-4.0, -2.0, 0.0, 3.0, 4.0])


# --- leaky ReLU and clamp in one


@pytest.mark.parametrize("clamp", [None, 1.0])
def test_the_activation_differentiates_twice(clamp: float | None) -> None:
    """Away from the kinks, at 0, -5 and 1."""
    values = torch.tensor([-7.0, -6.0, -4.0, -1.0, 0.3, 0.8, 1.4, 9.0], dtype=torch.float64).requires_grad_(True)

    def function(x: Tensor) -> Tensor:
        return ops.lrelu(x * 1, clamp) * x

    assert gradcheck(function, (values,))
    assert gradgradcheck(function, (values,))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_activation_is_a_leaky_relu_and_a_clamp_bit_for_bit(dtype: torch.dtype) -> None:
    x = (3 * tensor(2, 4, 8, 8, dtype=torch.float32)).to(dtype).detach()
    ours, plain = x.clone().requires_grad_(True), x.clone().requires_grad_(True)
    y, expected = ops.lrelu(ours * 1, 0.75), F.leaky_relu(plain * 1, 0.2).clamp(-0.75, 0.75)
    within = y.detach().abs() < 0.75
    assert y.equal(expected) and within.any() and not within.all()
    seed = torch.randn(x.shape, generator=torch.Generator().manual_seed(5)).to(dtype)
    (one,), (two,) = grad(y, ours, seed), grad(expected, plain, seed)
    assert one[within].equal(two[within]) and not one[~within].any()  # at the limit itself 0, as NVIDIA's


def test_the_activation_works_in_place() -> None:
    x = tensor(2, 3, 4, 4) * 1
    at = x.data_ptr()
    assert ops.lrelu(x, 0.5).data_ptr() == at
    with torch.no_grad():
        plain = tensor(2, 3, 4, 4).detach()
        assert ops.lrelu(plain, 0.5).data_ptr() == plain.data_ptr()
