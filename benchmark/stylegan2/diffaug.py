"""Differentiable augmentation: colour, translation and cutout (Zhao et al. 2020, arXiv 2006.10738, section 4.1).

Two plain values in a row, as in `augment.py`::

    draw(n, height, width, rng) -> Draw      random parameters per image
    transform(images, Draw) -> images        brightness, saturation, contrast, shift, cutout

Always on and at full strength, for reals, fakes and R1 alike: there is no probability to adapt. Each step is affine in
the image and consists of operations that autograd differentiates any number of times.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from benchmark.errors import ConfigError


class Draw(NamedTuple):
    """Parameters of one batch, [N] each, in the order of application."""

    brightness: Tensor  # float64 in [-0.5, 0.5), added; images have the range [-1, 1]
    saturation: Tensor  # float64 in [0, 2), factor of the distance to the pixel's mean over channels
    contrast: Tensor  # float64 in [0.5, 1.5), factor of the distance to the image's mean
    shift_x: Tensor  # int64, whole pixels to the right, at most an eighth of the width; zeros come in
    shift_y: Tensor  # int64, downwards
    cut_x: Tensor  # int64, first column of the square that is set to 0; may lie outside
    cut_y: Tensor  # int64, first row


def diffaug(images: Tensor, rng: torch.Generator) -> Tensor:
    """Transform each image at random with the policy "color,translation,cutout".

    images: [N, 3, H, W], any float dtype, about [-1, 1]; worked on in float32 at least. `rng`: on the device of
    ``images``; the only source of randomness. Returns the same shape and dtype (values are not clipped). Derivatives of
    any order with respect to ``images``. Raises ConfigError when ``images`` are not RGB of at least 2 x 2 px.
    """
    if images.ndim != 4 or images.shape[1] != 3 or min(images.shape[2:]) < 2:
        raise ConfigError(
            f"augmentation needs RGB images [N, 3, H, W] of at least 2 x 2 px, found {list(images.shape)}: "
            "convert them, or set train.augment=none"
        )
    return transform(images, draw(len(images), images.shape[2], images.shape[3], rng))


def draw(n: int, height: int, width: int, rng: torch.Generator) -> Draw:
    """Draw the parameters of ``n`` images, on the device of ``rng``, with the published distributions."""
    # float64, so that the product of a number below 1 and a count stays below the count.
    uniforms = torch.rand(7, n, generator=rng, device=rng.device).double()
    brightness, saturation, contrast, shift_x, shift_y, cut_x, cut_y = uniforms

    def whole(uniform: Tensor, first: int, count: int) -> Tensor:
        return first + (uniform * count).long()

    def cut(uniform: Tensor, size: int) -> Tensor:
        half = size // 2  # the square's middle lies anywhere in the image, the far border included if its side is even
        return whole(uniform, -(half // 2), size + 1 - half % 2)

    return Draw(
        brightness=brightness - 0.5,
        saturation=2 * saturation,
        contrast=contrast + 0.5,
        shift_x=whole(shift_x, -(width // 8), 2 * (width // 8) + 1),
        shift_y=whole(shift_y, -(height // 8), 2 * (height // 8) + 1),
        cut_x=cut(cut_x, width),
        cut_y=cut(cut_y, height),
    )


def transform(images: Tensor, params: Draw) -> Tensor:
    """Apply ``params`` to ``images`` [N, 3, H, W]. Same shape and dtype; see `diffaug`."""
    x = images.to(torch.promote_types(images.dtype, torch.float32))
    brightness, saturation, contrast = (value.to(x.dtype)[:, None, None, None] for value in params[:3])
    x = x + brightness
    x = x.mean(1, keepdim=True).lerp(x, saturation)
    x = x.mean((1, 2, 3), keepdim=True).lerp(x, contrast)
    x = _shifted(_shifted(x, params.shift_x, 3), params.shift_y, 2)
    cut = _span(params.cut_y, x, 2) & _span(params.cut_x, x, 3)
    return x.masked_fill(cut, 0.0).to(images.dtype)


def _shifted(x: Tensor, shift: Tensor, dim: int) -> Tensor:
    """x moved by shift [N] whole pixels along ``dim``, towards higher indices; zeros come in."""
    size = x.shape[dim]
    origin = _positions(x, dim) - shift[:, None, None, None]
    moved = x.gather(dim, origin.clamp(0, size - 1).expand_as(x))
    return moved.masked_fill((origin < 0) | (origin >= size), 0.0)


def _span(first: Tensor, x: Tensor, dim: int) -> Tensor:
    """Which positions along ``dim`` lie in the cut half of the side that begins at first [N]."""
    at = _positions(x, dim) - first[:, None, None, None]
    return (at >= 0) & (at < x.shape[dim] // 2)


def _positions(x: Tensor, dim: int) -> Tensor:
    """0, 1, ... along ``dim``, int64, one dimension each for the others."""
    shape = [1] * x.ndim
    shape[dim] = -1
    return torch.arange(x.shape[dim], device=x.device).view(shape)
