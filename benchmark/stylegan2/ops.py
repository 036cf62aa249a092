"""Convolution and resampling primitives that differentiate twice at full speed.

PyTorch's own double backward of convolutions is generic and slow; R1 and path-length regularisation depend on it.
`_Conv` and `_WeightGrad` are therefore two small autograd functions whose backward passes call each other. All tensors
are NCHW in shape and channels_last in memory.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

SLOPE = 0.2
"""Of leaky ReLUs."""
SQRT2 = math.sqrt(2.0)
"""Gain that keeps the second moment through a leaky ReLU of slope 0.2, as StyleGAN2 uses it."""
FIR_TAPS = (1.0, 3.0, 3.0, 1.0)
"""The resampling filter of StyleGAN2 (Karras et al. 2020); a 4x4 outer product, normalised to sum 1."""


def fir_kernel() -> Tensor:
    """float32 [4, 4] low-pass kernel that sums to 1."""
    total = sum(FIR_TAPS) ** 2
    return torch.tensor([[a * b / total for b in FIR_TAPS] for a in FIR_TAPS])  # no arithmetic on the meta device


def _output_padding(large: Tensor, small: Tensor, weight: torch.Size, stride: int, padding: int) -> list[int]:
    """What a transposed convolution of `small` must add to have the size of `large` (strides leave it open)."""
    return [large.shape[i] - ((small.shape[i] - 1) * stride - 2 * padding + weight[i]) for i in (2, 3)]


class _Conv(Function):
    """y = conv(x, w), or its transpose; differentiable any number of times."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, w: Tensor, stride: int, padding: int, transposed: bool, outpad: list[int], groups: int
    ) -> Tensor:
        ctx.save_for_backward(x, w)
        ctx.spec = (stride, padding, transposed, groups)
        return torch.ops.aten.convolution(x, w, None, [stride] * 2, [padding] * 2, [1, 1], transposed, outpad, groups)

    @staticmethod
    def backward(ctx: Any, gy: Tensor) -> tuple[Tensor | None, ...]:
        x, w = ctx.saved_tensors
        stride, padding, transposed, groups = ctx.spec
        gx = gw = None
        if ctx.needs_input_grad[0]:
            outpad = [0, 0] if transposed else _output_padding(x, gy, w.shape, stride, padding)
            gx = _Conv.apply(gy, w, stride, padding, not transposed, outpad, groups)
        if ctx.needs_input_grad[1]:
            gw = _WeightGrad.apply(gy, x, w.shape, stride, padding, transposed, groups)
        return gx, gw, None, None, None, None, None


class _WeightGrad(Function):
    """d<gy, conv(x, w)>/dw, which is bilinear in gy and x."""

    @staticmethod
    def forward(
        ctx: Any, gy: Tensor, x: Tensor, shape: torch.Size, stride: int, padding: int, transposed: bool, groups: int
    ) -> Tensor:
        ctx.save_for_backward(gy, x)
        ctx.spec = (stride, padding, transposed, groups)
        if _nchw_is_faster(x, stride):
            gy, x = gy.contiguous(), x.contiguous()
        like = x.new_empty(1).expand(shape)
        outpad = _output_padding(gy, x, shape, stride, padding) if transposed else [0, 0]
        return torch.ops.aten.convolution_backward(
            gy, x, like, None, [stride] * 2, [padding] * 2, [1, 1], transposed, outpad, groups, [False, True, False]
        )[1]

    @staticmethod
    def backward(ctx: Any, ggw: Tensor) -> tuple[Tensor | None, ...]:
        gy, x = ctx.saved_tensors
        stride, padding, transposed, groups = ctx.spec
        ggy = gx = None
        if ctx.needs_input_grad[0]:
            # For a transposed convolution gy is the large side; its exact size has to be given back.
            outpad = _output_padding(gy, x, ggw.shape, stride, padding) if transposed else [0, 0]
            ggy = _Conv.apply(x, ggw, stride, padding, transposed, outpad, groups)
        if ctx.needs_input_grad[1]:
            outpad = [0, 0] if transposed else _output_padding(x, gy, ggw.shape, stride, padding)
            gx = _Conv.apply(gy, ggw, stride, padding, not transposed, outpad, groups)
        return ggy, gx, None, None, None, None, None


def _nchw_is_faster(x: Tensor, stride: int) -> bool:
    """oneDNN's fp32 channels_last weight gradient is up to three times slower on large or strided maps (CPU only)."""
    if x.device.type != "cpu" or x.dtype != torch.float32:
        return False
    return x.shape[-1] >= (32 if stride == 2 else 64)


def conv2d(x: Tensor, w: Tensor, stride: int = 1, padding: int = 0, groups: int = 1) -> Tensor:
    """Correlation of x [N, I, H, W] with w [O, I / groups, k, k]."""
    if torch.compiler.is_compiling():  # which differentiates once
        return F.conv2d(x, w, stride=stride, padding=padding, groups=groups)
    return _Conv.apply(x, w, stride, padding, False, [0, 0], groups)


def conv_transpose2d(x: Tensor, w: Tensor, stride: int = 1, padding: int = 0, groups: int = 1) -> Tensor:
    """Transpose of `conv2d`: x [N, I, H, W], w [I, O / groups, k, k]."""
    if torch.compiler.is_compiling():
        return F.conv_transpose2d(x, w, stride=stride, padding=padding, groups=groups)
    return _Conv.apply(x, w, stride, padding, True, [0, 0], groups)


def _depthwise(fir: Tensor, x: Tensor, gain: float = 1.0) -> Tensor:
    return (fir * gain).to(x.dtype).expand(x.shape[1], 1, -1, -1)


def blur(x: Tensor, fir: Tensor, padding: int, gain: float = 1.0) -> Tensor:
    """Low-pass filter each channel; [N, C, H, W] -> [N, C, H + 2 padding - 3, ...]."""
    return conv2d(x, _depthwise(fir, x, gain), padding=padding, groups=x.shape[1])


def upsample(x: Tensor, fir: Tensor) -> Tensor:
    """[N, C, H, W] -> [N, C, 2H, 2W] by zero insertion and the FIR filter, unit gain."""
    return conv_transpose2d(x, _depthwise(fir, x, 4.0), stride=2, padding=1, groups=x.shape[1])


def downsample(x: Tensor, fir: Tensor) -> Tensor:
    """[N, C, H, W] -> [N, C, H/2, W/2] by the FIR filter and decimation.

    Runs in float32: oneDNN's strided depthwise backward in bf16 is an unoptimised reference kernel.
    """
    y = x.float() if x.device.type == "cpu" else x
    return conv2d(y, _depthwise(fir, y), stride=2, padding=1, groups=x.shape[1]).to(x.dtype)


def lrelu(x: Tensor, clamp: float | None) -> Tensor:
    """Leaky ReLU of slope 0.2 in place (gains are folded into what comes before), then clamp to ±clamp, likewise."""
    if torch.compiler.is_compiling():  # which makes one pass of both
        x = F.leaky_relu(x, SLOPE)
        return x if clamp is None else x.clamp(-clamp, clamp)
    return F.leaky_relu_(x, SLOPE) if clamp is None else _ClampedLeakyReLU.apply(x, clamp)


class _ClampedLeakyReLU(Function):
    """Both in place and differentiable from the result alone: `clamp` would cost comparisons, a mask and a copy.

    The gradient at the limit itself is 0, as in stylegan2-ada-pytorch's CUDA kernel.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, clamp: float) -> Tensor:
        y = F.hardtanh_(F.leaky_relu_(x, SLOPE), -clamp, clamp)
        ctx.mark_dirty(x)
        ctx.save_for_backward(y)
        ctx.clamp = clamp
        return y

    @staticmethod
    def backward(ctx: Any, gy: Tensor) -> tuple[Tensor, None]:
        return _ClampedLeakyReLUGrad.apply(gy, ctx.saved_tensors[0], ctx.clamp), None


class _ClampedLeakyReLUGrad(Function):
    """gy times the slope at the result y; linear in gy, constant in y nearly everywhere."""

    @staticmethod
    def forward(ctx: Any, gy: Tensor, y: Tensor, clamp: float) -> Tensor:
        ctx.save_for_backward(y)
        ctx.clamp = clamp
        inside = torch.ops.aten.hardtanh_backward(gy, y, -clamp, clamp)
        return torch.ops.aten.leaky_relu_backward(inside, y, SLOPE, True)

    @staticmethod
    def backward(ctx: Any, gg: Tensor) -> tuple[Tensor, None, None]:
        return _ClampedLeakyReLUGrad.apply(gg, ctx.saved_tensors[0], ctx.clamp), None, None
