"""Adaptive discriminator augmentation, pipe ``bgc`` (Karras et al. 2020, arXiv 2006.06676, appendix B).

Three plain values in a row::

    draw(n, p, rng) -> Draw            random parameters per image; 0 in every field means "leave alone"
    Draw -> 3x3 matrix, 3x4 matrix     all geometry in one, all colour in one
    transform(images, Draw) -> images  resample, then recolour

Geometry is linear in the images, so its derivative is the transposed operator, whose derivative is the operator again:
that gives derivatives of every order (R1 needs two; ``grid_sample`` alone offers one).

Deviations from the paper, both in the resampling only:

- The paper's low-pass filter, the wavelet sym6, is lopsided (its centre lies at 5.10 of taps 0..11), so flips and turns
  would shift the image by a fraction of a pixel. We split sym6's autocorrelation into two *symmetric* filters instead:
  up and down together act exactly as sym6 does, and flips, quarter turns and whole-pixel shifts are exact.
- Borders mirror without end, where the paper pads by reflection up to the size that the batch needs.
"""

from __future__ import annotations

from functools import lru_cache, reduce
from math import pi
from typing import Any, NamedTuple

import torch
from torch import Tensor

from benchmark.errors import ConfigError

# Centre tap first, the other side mirrored. Spectral factors of Daubechies' maximally flat half-band filter of order 6
# (1992, "Ten Lectures on Wavelets", 6.1 and 8.3), which is the autocorrelation of sym6: the real zero outside z = -1
# and 4 of the 12 zeros at z = -1 go to DOWN, the rest to UP. Each sums to 1; DOWN after UP is the identity.
UP = (
    *(0.54554555828156233, 0.28312057997749027, -0.053393243749980449, -0.046102174713111852, 0.037513757495884387),
    *(0.013908531904643608, -0.0080363565609683073, -0.00092693716902202859, 0.0011430636742832044),
)
DOWN = (0.58524719194674720, 0.30256179798668680, -0.042623595973373602, -0.052561797986686801)
MARGIN = len(DOWN) - 1


class Draw(NamedTuple):
    """Parameters of one batch, float64 [N] each, in the order of application; 0 = this transformation is off."""

    flip: Tensor  # 1 = mirrored left-right
    quarter_turns: Tensor  # 0..3, counter-clockwise
    shift_x: Tensor  # share of the width, rounded to whole pixels when applied
    shift_y: Tensor  # share of the height
    log2_scale: Tensor
    angle_before: Tensor  # radians, counter-clockwise
    log2_stretch: Tensor  # wider and flatter by this power of two
    angle_after: Tensor
    offset_x: Tensor  # share of the width, not rounded
    offset_y: Tensor
    brightness: Tensor  # added to every channel
    log2_contrast: Tensor
    luma_flip: Tensor  # 1 = luma negated, chroma kept
    hue: Tensor  # radians about the grey axis
    log2_saturation: Tensor


def augment(images: Tensor, p: Tensor | float, rng: torch.Generator) -> Tensor:
    """Transform each image at random, each transformation with probability ``p``.

    images: [N, 3, H, W], any float dtype, about [-1, 1]; worked on in float32 at least, autocast or not.
    p: in [0, 1], a number or a tensor (scalar or [N]). ``rng``: on the device of ``images``; the only source of
    randomness, and it advances by the same amount whatever ``p`` is.
    Returns the same shape and dtype (values are not clipped). An image for which every draw is off, so every image when
    p = 0, comes out bit for bit as it went in. Derivatives of any order with respect to ``images``.
    Raises ConfigError when ``images`` are not RGB of at least 2 x 2 px, or ``p`` is a number outside [0, 1].
    """
    if images.ndim != 4 or images.shape[1] != 3 or min(images.shape[2:]) < 2:
        raise ConfigError(
            f"augmentation needs RGB images [N, 3, H, W] of at least 2 x 2 px, found {list(images.shape)}: "
            "convert them, or set train.augment=none"
        )
    if not isinstance(p, Tensor) and not 0 <= p <= 1:
        raise ConfigError(f"augmentation probability must lie in [0, 1], found {p}: check the ADA settings")
    params = draw(len(images), p, rng)
    if not isinstance(p, Tensor) and p == 0:
        return images
    active = torch.stack(params).ne(0).any(0)
    return torch.where(active[:, None, None, None], transform(images, params), images)


def draw(n: int, p: Tensor | float, rng: torch.Generator) -> Draw:
    """Draw the parameters of ``n`` images with the paper's distributions, on the device of ``rng``; see ``augment``."""
    gates = torch.rand(13, n, generator=rng, device=rng.device)
    uniforms = torch.rand(8, n, generator=rng, device=rng.device).double()
    flip, turns, shift_x, shift_y, before, after, luma, hue = uniforms
    normals = torch.randn(7, n, generator=rng, device=rng.device).double()
    scale, stretch, offset_x, offset_y, brightness, contrast, saturation = normals

    p = p if isinstance(p, Tensor) else torch.full((), p, device=rng.device)
    # Either rotation happens with probability p: 1 - (1 - p_rot)^2 = p.
    on, turning = gates < p, gates < 1 - (1 - p).sqrt()
    return Draw(
        flip=on[0] * (2 * flip).floor(),
        quarter_turns=on[1] * (4 * turns).floor(),
        shift_x=on[2] * (0.25 * shift_x - 0.125),
        shift_y=on[2] * (0.25 * shift_y - 0.125),
        log2_scale=on[3] * 0.2 * scale,
        angle_before=turning[4] * pi * (2 * before - 1),
        log2_stretch=on[5] * 0.2 * stretch,
        angle_after=turning[6] * pi * (2 * after - 1),
        offset_x=on[7] * 0.125 * offset_x,
        offset_y=on[7] * 0.125 * offset_y,
        brightness=on[8] * 0.2 * brightness,
        log2_contrast=on[9] * 0.5 * contrast,
        luma_flip=on[10] * (2 * luma).floor(),
        hue=on[11] * pi * (2 * hue - 1),
        log2_saturation=on[12] * saturation,
    )


def transform(images: Tensor, params: Draw) -> Tensor:
    """Apply ``params`` to ``images`` [N, 3, H, W]: geometry, then colour. Same shape and dtype; see ``augment``."""
    height, width = images.shape[2:]
    work: Tensor = images.to(torch.promote_types(images.dtype, torch.float32))
    grid = sampling_grid(source_matrix(params, height, width), height, width, work.dtype)
    moved: Tensor = _Resample.apply(work, grid, False)
    # Elementwise on purpose: a matrix product would be rounded by autocast or TF32, here and in its derivatives.
    colour = color_matrix(params).to(work.dtype)[..., None, None]
    red, green, blue = (moved[:, i : i + 1] for i in range(3))
    work = colour[:, :, 0] * red + colour[:, :, 1] * green + colour[:, :, 2] * blue + colour[:, :, 3]
    return work.to(images.dtype)


def source_matrix(params: Draw, height: int, width: int) -> Tensor:
    """Where each output pixel comes from: float64 [N, 3, 3], (x, y, 1) -> (x, y, 1) in px from the centre, y down.

    The inverse of the paper's G. float64 also keeps TF32 out, which would misplace pixels.
    """
    zero = torch.zeros_like(params.flip)
    one = zero + 1

    def matrix(a: Tensor, b: Tensor, x: Tensor, c: Tensor, d: Tensor, y: Tensor) -> Tensor:
        return torch.stack([a, b, x, c, d, y, zero, zero, one], -1).reshape(-1, 3, 3)

    def turned(angle: Tensor) -> Tensor:
        return matrix(angle.cos(), -angle.sin(), zero, angle.sin(), angle.cos(), zero)

    def moved(x: Tensor, y: Tensor) -> Tensor:
        return matrix(one, zero, -x, zero, one, -y)

    def scaled(x: Tensor, y: Tensor) -> Tensor:
        return matrix(1 / x, zero, zero, zero, 1 / y, zero)

    inverses = (  # of the paper's T1 ... T8, as (T8 ... T1)^-1 = T1^-1 ... T8^-1
        scaled(1 - 2 * params.flip, one),
        turned(params.quarter_turns * (pi / 2)),
        moved((params.shift_x * width).round(), (params.shift_y * height).round()),
        scaled(params.log2_scale.exp2(), params.log2_scale.exp2()),
        turned(params.angle_before),
        scaled(params.log2_stretch.exp2(), (-params.log2_stretch).exp2()),
        turned(params.angle_after),
        moved(params.offset_x * width, params.offset_y * height),
    )
    return reduce(torch.matmul, inverses)


def color_matrix(params: Draw) -> Tensor:
    """All colour transformations in one: float64 [N, 3, 4], (r, g, b, 1) -> (r, g, b)."""
    eye = torch.eye(3, dtype=torch.float64, device=params.hue.device)
    grey = torch.full_like(eye, 1 / 3)  # projection on the luma axis (1, 1, 1) / sqrt 3
    # Cross product with the luma axis: rows (0, -1, 1), (1, 0, -1), (-1, 1, 0), over sqrt 3.
    cross = (eye.roll(-1, 1) - eye.roll(1, 1)) / 3**0.5

    def each(value: Tensor) -> Tensor:
        return value[:, None, None]

    contrast, saturation = each(params.log2_contrast.exp2()), each(params.log2_saturation.exp2())
    flipped = eye - 2 * grey * each(params.luma_flip)  # Householder reflection
    turned = grey + (eye - grey) * each(params.hue.cos()) + cross * each(params.hue.sin())  # Rodrigues' formula
    saturated = grey + (eye - grey) * saturation
    linear = saturated @ turned @ flipped * contrast
    return torch.cat([linear, linear.sum(-1, keepdim=True) * each(params.brightness)], -1)


def sampling_grid(source: Tensor, height: int, width: int, dtype: torch.dtype) -> Tensor:
    """Positions for ``grid_sample`` (align_corners) on the doubled image, [N, 2H - 1 + 2m, 2W - 1 + 2m, 2], m = MARGIN.

    The doubled image has a sample on every pixel and one between any two; the output, the same and ``MARGIN`` more on
    each side, which the down filter uses up.
    """
    y, x = (
        torch.arange(2 * size - 1 + 2 * MARGIN, dtype=dtype, device=source.device) / 2 - (size - 1 + MARGIN) / 2
        for size in (height, width)
    )
    axes = []
    for row, size in ((0, width), (1, height)):
        a, b, c = (source[:, row] * (2 / (size - 1))).to(dtype).T[..., None, None]
        axes.append(a * x + b * y[:, None] + c)
    return torch.stack(axes, -1)


class _Resample(torch.autograd.Function):
    """The linear map images -> images given by a sampling grid, or its transpose; each is the other's derivative."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, grid: Tensor, transposed: bool) -> Tensor:
        ctx.save_for_backward(grid)
        ctx.transposed = transposed
        with torch.autocast(images.device.type, enabled=False):
            return _resample_transposed(images, grid) if transposed else _resample(images, grid)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return _Resample.apply(grad, ctx.saved_tensors[0], not ctx.transposed), None, None


def _resample(images: Tensor, grid: Tensor) -> Tensor:
    """Double, sample at ``grid`` with mirrored borders, halve."""
    height, width = images.shape[2:]
    up_y, up_x = (_up_matrix(size, images.dtype, images.device) for size in (height, width))
    down_y, down_x = (_down_matrix(size, images.dtype, images.device) for size in (height, width))
    doubled = up_y @ (images @ up_x.T)
    sampled = torch.nn.functional.grid_sample(doubled, grid, "bilinear", "reflection", align_corners=True)
    return down_y @ (sampled @ down_x.T)


def _resample_transposed(grad: Tensor, grid: Tensor) -> Tensor:
    """The transpose of ``_resample``: the same steps backwards."""
    height, width = grad.shape[2:]
    up_y, up_x = (_up_matrix(size, grad.dtype, grad.device) for size in (height, width))
    down_y, down_x = (_down_matrix(size, grad.dtype, grad.device) for size in (height, width))
    sampled = down_y.T @ (grad @ down_x)
    # The operator asks for an input, but only the shape matters when no derivative of the grid is wanted.
    shape = grad.new_zeros(()).expand(*grad.shape[:2], len(up_y), len(up_x))
    doubled: Tensor = torch.ops.aten.grid_sampler_2d_backward(sampled, shape, grid, 0, 2, True, (True, False))[0]
    return up_y.T @ (doubled @ up_x)


def _mirrored(taps: tuple[float, ...], dtype: torch.dtype) -> Tensor:
    return torch.tensor([*taps[:0:-1], *taps], dtype=dtype)


@lru_cache(maxsize=32)
def _up_matrix(size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """[2 size - 1, size]: put samples between the pixels; borders mirror about the last pixel."""
    reach, period = len(UP) - 1, 2 * (size - 1)
    fine = torch.arange(2 * size - 1)
    pixel = torch.arange(-(reach // 2), size + reach // 2)
    lag = fine[:, None] - 2 * pixel + reach
    weight = 2 * _mirrored(UP, dtype)[lag.clamp(0, 2 * reach)] * ((lag >= 0) & (lag <= 2 * reach))
    inside = (pixel % period).minimum(-pixel % period)
    return torch.zeros(2 * size - 1, size, dtype=dtype).index_add_(1, inside, weight).to(device)


@lru_cache(maxsize=32)
def _down_matrix(size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """[size, 2 size - 1 + 2 MARGIN]: low-pass and keep the samples that lie on pixels."""
    lag = torch.arange(2 * size - 1 + 2 * MARGIN) - 2 * torch.arange(size)[:, None]
    weight = _mirrored(DOWN, dtype)[lag.clamp(0, 2 * MARGIN)]
    return (weight * ((lag >= 0) & (lag <= 2 * MARGIN))).to(device)
